"""Parameter groups and the schedule, against direct counting and a formula of its own."""

import io
import math

import pytest
import torch
from _run import compose_config, make

from cloc.training.optim import parameter_groups, warmup_cosine
from tests.helpers.models import CONFIGS, make_model


@pytest.mark.parametrize("kind", CONFIGS)
def test_two_groups_partition_the_trainable_parameters(kind):
    model = make_model(CONFIGS[kind])
    model.tower.freeze(image=True, text=False)
    groups = parameter_groups(model)
    ids = [id(parameter) for group in groups for parameter in group["params"]]
    assert len(ids) == len(set(ids))
    assert set(ids) == {id(p) for p in model.parameters() if p.requires_grad}
    assert len(ids) < len(list(model.parameters()))
    assert [group.get("weight_decay") for group in groups] == [None, 0.0]


@pytest.mark.parametrize("kind", CONFIGS)
def test_what_has_under_two_axes_or_stands_for_a_position_or_class_is_not_decayed(kind):
    model = make_model(CONFIGS[kind])
    decayed = {id(parameter) for parameter in parameter_groups(model)[0]["params"]}
    names = {name for name, p in model.named_parameters() if id(p) in decayed}
    shapes = {name: p.shape for name, p in model.named_parameters()}
    assert all(len(shapes[name]) >= 2 for name in names)
    assert not [name for name in names if "pos" in name or "cls" in name or "class" in name]
    assert not [name for name in names if "scale" in name or "corners" in name]
    others = [n for n, s in shapes.items() if len(s) >= 2 and n.endswith("weight")]
    assert names >= set(others)  # the matrices are
    assert others


def rates(warmup, steps, count):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = warmup_cosine(optimizer, warmup=warmup, steps=steps)
    found = []
    for _ in range(count):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_linear_over_the_warmup_then_half_a_cosine_down_to_0():
    found = rates(4, 12, 14)
    assert found[:4] == pytest.approx([0.5, 1.0, 1.5, 2.0])
    assert found[4:12] == pytest.approx([1 + math.cos(math.pi * k / 8) for k in range(8)])
    assert found[12:] == pytest.approx([0, 0])  # and it stays there


@pytest.mark.parametrize(("warmup", "first"), [(0, 2.0), (1, 2.0), (5, 0.4)])
def test_any_warmup_will_do(warmup, first):
    assert rates(warmup, 3, 3)[0] == pytest.approx(first)


@pytest.fixture
def muon():
    """A model with gradients and the optimizer of `experiment=demo`, over its two groups."""
    model = make_model()
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    return model, make(compose_config("train", ["experiment=demo"]).optimizer)


def stepped(model, optimizer):
    """Names of the parameters that a step moves."""
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer.step()
    return {name for name, p in model.named_parameters() if not torch.equal(before[name], p)}


def test_the_schedule_reaches_both_parts_of_muon(muon):
    model, make_optimizer = muon
    optimizer = make_optimizer(parameter_groups(model))
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    assert stepped(model, optimizer) == set()
    for group in optimizer.param_groups:
        group["lr"] = 0.1
    assert stepped(model, optimizer) == {name for name, _ in model.named_parameters()}


def test_muon_is_for_matrices_and_not_for_token_embeddings_norms_and_scales(muon):
    model, make_optimizer = muon
    optimizer = make_optimizer(parameter_groups(model))
    optimizer.step()
    by_muon = {n for n, p in model.named_parameters() if "momentum_buffer" in optimizer.state[p]}
    assert by_muon
    assert all(p.ndim >= 2 for n, p in model.named_parameters() if n in by_muon)
    assert not [name for name in by_muon if "token_embedding" in name or "scale" in name]


def test_muon_goes_on_from_a_state_that_was_read_with_weights_only(muon):
    model, make_optimizer = muon
    optimizer = make_optimizer(parameter_groups(model))
    optimizer.step()
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer.step()
    expected = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(weights)
    again = make_optimizer(parameter_groups(model))
    file.seek(0)
    again.load_state_dict(torch.load(file, weights_only=True))
    again.step()
    assert all(torch.equal(expected[n], value) for n, value in model.state_dict().items())
