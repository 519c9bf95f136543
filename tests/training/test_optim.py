"""Parameter groups and the schedule, against direct counting and a formula of its own."""

import io
import math
from functools import partial

import pytest
import timm.optim
import torch
from timm.optim import param_groups_layer_decay
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from cloc.cli.config.compose import compose_config, make
from cloc.cli.config.folders import CONFIGS as CONFIG
from cloc.errors import UserError
from cloc.training.freeze import freeze
from cloc.training.optim import (
    made,
    on_device,
    parameter_groups,
    rated_groups,
    relative_rates,
    warmup_cosine,
)
from cloc.training.roles import roles
from tests.helpers.fit import Kept, fit, make_module
from tests.helpers.models import CONFIGS, CONVOLUTIONAL, NATIVE, make_model, model_batch


@pytest.mark.parametrize("kind", CONFIGS)
def test_groups_partition_the_trainable_parameters(kind):
    model = make_model(CONFIGS[kind])
    freeze(model, ["image_tower"])
    groups = parameter_groups(model)
    ids = [id(parameter) for group in groups for parameter in group["params"]]
    assert len(ids) == len(set(ids))
    assert set(ids) == {id(p) for p in model.parameters() if p.requires_grad}
    assert len(ids) < len(list(model.parameters()))
    assert [group.get("weight_decay") for group in groups] == [None, None, 0.0]
    assert [group["use_muon"] for group in groups] == [True, False, False]


@pytest.mark.parametrize("kind", [*CONFIGS, *CONVOLUTIONAL])
def test_what_has_under_two_axes_or_stands_for_a_position_or_class_is_not_decayed(kind):
    parts = {"region_head": None} if kind in CONVOLUTIONAL else {}
    model = make_model({**CONFIGS, **CONVOLUTIONAL}[kind], **parts)
    kept = {id(parameter) for parameter in parameter_groups(model)[-1]["params"]}
    names = {name for name, p in model.named_parameters() if id(p) not in kept}
    shapes = {name: p.shape for name, p in model.named_parameters()}
    assert all(len(shapes[name]) >= 2 for name in names)
    tables = ("pos", "cls", "class", "latent", "bias_table")
    assert not [name for name in names if any(word in name for word in tables)]
    assert not [name for name in names if "scale" in name.split(".")[-1] or "corners" in name]
    assert not [name for name in names if "gamma" in name]
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


def test_muon_steps_what_its_group_says_whatever_the_shapes(muon):
    model, make_optimizer = muon
    optimizer = make_optimizer(parameter_groups(model))
    optimizer.step()
    by_muon = {n for n, p in model.named_parameters() if "momentum_buffer" in optimizer.state[p]}
    assert by_muon == {name for name, role in roles(model).items() if role == "matrix"}
    assert len(by_muon) > 10
    assert "region_head.adapt.weight" in by_muon


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


OPTIONS = ("use_muon", "weight_decay")
RATES = {"factors": {"text_tower": 0.5, "scales": 4.0}, "layer_decay": {"image_tower": 0.1}}


@pytest.mark.parametrize("kind", CONFIGS)
def test_rated_groups_are_the_groups_split_by_rate_the_highest_first(kind):
    model = make_model(CONFIGS[kind])
    plain = parameter_groups(model)
    assert [[*g["params"]] for g in rated_groups(model, lr=3.0, factors={}, layer_decay={})] == [
        g["params"] for g in plain
    ]
    groups = rated_groups(model, lr=3.0, **RATES)
    rates = relative_rates(model, **RATES)
    names = {id(p): name for name, p in model.named_parameters()}
    for group in plain:
        kind = {key: value for key, value in group.items() if key != "params"}
        mine = [g for g in groups if {k: v for k, v in g.items() if k in OPTIONS} == kind]
        assert {id(p) for g in mine for p in g["params"]} == {id(p) for p in group["params"]}
        assert sum(len(g["params"]) for g in mine) == len(group["params"])
        given = [g["lr"] for g in mine]
        assert given == sorted(set(given), reverse=True)
    for group in groups:
        assert {3.0 * rates[names[id(p)]] for p in group["params"]} == {group["lr"]}


def test_a_rate_is_the_factor_of_the_part_times_the_decay_of_the_layers_above():
    rates = relative_rates(make_model(), **RATES)
    visual = "tower.clip.visual."
    for name, rate in {
        f"{visual}conv1.weight": 0.001,  # before two blocks
        f"{visual}positional_embedding": 0.001,
        f"{visual}transformer.resblocks.0.mlp.c_fc.weight": 0.01,
        f"{visual}transformer.resblocks.1.mlp.c_fc.weight": 0.1,
        f"{visual}ln_post.weight": 1,
        f"{visual}proj": 1,
        "tower.clip.token_embedding.weight": 0.5,
        "tower.clip.text_projection": 0.5,
        "tower.clip.logit_scale": 4,
        "region_scale.log_scale": 4,
        "region_head.corners": 1,
        "box_head.mlp.0.weight": 1,
    }.items():
        assert rates[name] == pytest.approx(rate), name


def test_layer_decay_is_timms_on_a_timm_trunk():
    """But for the last norm, which timm counts to the last block."""
    model = make_model(CONFIGS["siglip"])
    trunk = model.tower.clip.visual.trunk
    theirs = param_groups_layer_decay(trunk, layer_decay=0.7)
    expected = {id(p): group["lr_scale"] for group in theirs for p in group["params"]}
    rates = relative_rates(model, factors={}, layer_decay={"image_tower": 0.7})
    named = dict(model.named_parameters())
    mine = {id(named[name]): rate for name, rate in rates.items() if ".trunk." in name}
    for parameter in trunk.norm.parameters():
        assert mine.pop(id(parameter)) == 1
        assert expected.pop(id(parameter)) == 0.7
    assert mine == pytest.approx(expected)
    assert min(mine.values()) == pytest.approx(0.7**13)


@pytest.mark.parametrize(
    ("rates", "says"),
    [
        (
            {"factors": {"image": 0.1}},
            r"rates\.factors\.image=0\.1: .* from box_head, image",
        ),
        (
            {"layer_decay": {"region_head": 0.9}},
            r"region_head=0\.9: .* image_tower, text_tower$",
        ),
        ({"factors": {"text_tower": 0.0}}, r"factors\.text_tower=0\.0; choose above 0$"),
        ({"layer_decay": {"text_tower": 1.5}}, r"text_tower=1\.5; choose above 0 and at most 1$"),
    ],
)
def test_a_wrong_name_or_factor_is_an_error(rates, says):
    with pytest.raises(UserError, match=says):
        relative_rates(make_model(), **{"factors": {}, "layer_decay": {}, **rates})


@pytest.mark.parametrize("lr", [-1.0, 1e38, math.nan, math.inf])
def test_a_rate_that_no_step_can_have_is_refused(lr):
    with pytest.raises(UserError, match=r"optimizer\.lr=.*; choose from 0 to 1e\+06"):
        rated_groups(make_model(), lr=lr, factors={}, layer_decay={})


@pytest.mark.parametrize("kind", CONVOLUTIONAL)
def test_layer_decay_of_a_tower_of_stages_is_refused(kind):
    model = make_model(CONVOLUTIONAL[kind], region_head=None)
    relative_rates(model, factors={"image_tower": 0.1}, layer_decay={"text_tower": 0.7})
    with pytest.raises(UserError, match=r"image_tower=0\.7: this tower has stages, .* set it to 1"):
        relative_rates(model, factors={}, layer_decay={"image_tower": 0.7})


def test_a_factor_of_1_may_stand_at_a_part_that_the_model_has_not():
    clip = make_model(region_head=None)
    one = {"region_head": 1.0, "image_tower": 1.0}
    assert set(relative_rates(clip, factors=one, layer_decay={}).values()) == {1.0}
    with pytest.raises(UserError, match=r"region_head=2\.0: this model has no such part"):
        relative_rates(clip, factors={"region_head": 2.0}, layer_decay={})


def test_an_unknown_layer_is_an_error_where_layers_have_rates():
    model = make_model()
    model.tower.clip.visual.mystery = torch.nn.Linear(2, 2)
    relative_rates(model, factors={}, layer_decay={"text_tower": 0.5})
    with pytest.raises(UserError, match=r"visual\.mystery.* set rates\.layer_decay\.image_tower=1"):
        relative_rates(model, factors={}, layer_decay={"image_tower": 0.5})


def test_the_schedule_multiplies_every_rate(tmp_path):
    module = make_module(make_model(), lr=9.0, steps=4)
    module.make_groups = lambda model: rated_groups(model, lr=0.01, **RATES)
    trainer = fit(module, [model_batch(module.model)] * 2, tmp_path)
    (optimizer,) = trainer.optimizers
    first = [group["initial_lr"] for group in optimizer.param_groups]
    now = [group["lr"] for group in optimizer.param_groups]
    assert now == pytest.approx([0.75 * rate for rate in first])  # one of three after warm-up
    assert max(first) == pytest.approx(0.04)
    assert len(set(first)) == 6


GPU = torch.device("cuda")


def of_yaml(name, device):
    """The optimizer of `configs/optimizer/NAME.yaml` over weights on `device`."""
    chosen = make(compose_config("train", ["experiment=smoke", f"optimizer={name}"]).optimizer)
    with device:
        return on_device(chosen([*torch.nn.Linear(8, 8).parameters()]))


@pytest.mark.parametrize("name", sorted(p.stem for p in (CONFIG / "optimizer").glob("*.yaml")))
def test_on_gpus_every_optimizer_counts_its_steps_there(name):
    for device in (GPU, torch.device("cpu")):
        with FakeTensorMode():
            optimizer = of_yaml(name, device)
            for group in optimizer.param_groups:
                for weight in group["params"]:
                    weight.grad = torch.ones_like(weight)
            if device == GPU:
                optimizer.step()
                states = [v for s in optimizer.state.values() for v in s.values()]
                assert {v.device.type for v in states if torch.is_tensor(v)} == {"cuda"}
        fused = [group.get("fused") for group in optimizer.param_groups]
        assert fused == [(True if device == GPU else None) if name == "adamw" else None]


def test_what_is_asked_for_stays():
    with FakeTensorMode(), GPU:
        weights = [*torch.nn.Linear(8, 8).parameters()]
        plain = on_device(torch.optim.AdamW(weights, fused=False)).param_groups[0]
        loop = on_device(torch.optim.AdamW(weights, foreach=False)).param_groups[0]
    assert (plain["fused"], plain["capturable"]) == (False, True)
    assert (loop["fused"], loop["foreach"], loop["capturable"]) == (None, False, True)


@pytest.mark.parametrize("fused", [True, None])
def test_a_checkpoint_of_another_device_does_not_change_the_way(fused):
    """Where steps are counted, and by which kernel, is a matter of the device; numbers go on."""
    weights = [*torch.nn.Linear(4, 4).parameters()]
    before, after = (
        on_device(torch.optim.AdamW(weights, lr=lr, fused=way))
        for lr, way in ((0.1, fused), (0.2, None if fused else True))
    )
    for optimizer in (before, before, after):
        for weight in weights:
            weight.grad = torch.ones_like(weight)
        optimizer.step()
    after.load_state_dict(before.state_dict())
    [group] = after.param_groups
    assert (group["fused"], group["lr"]) == (None if fused else True, 0.1)
    assert all(state["step"] == 2 for state in after.state.values())
    after.step()


def stable_adamw(parameters, grads, *, lr, betas, eps, decay, at_most):
    """AdamW whose update is divided by max(1, RMS / at_most) of the tensor, written out."""
    moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in parameters]
    for t, step in enumerate(grads, 1):
        for p, g, (m, v) in zip(parameters, step, moments, strict=True):
            m.copy_(betas[0] * m + (1 - betas[0]) * g)
            v.copy_(betas[1] * v + (1 - betas[1]) * g * g)
            root = (v / (1 - betas[1] ** t)).sqrt() + eps
            clip = max(1.0, ((g / root).square().mean().sqrt() / at_most).item())
            p.copy_(p - lr * decay * p - lr * m / (1 - betas[0] ** t) / root / clip)


def test_stable_adamw_is_adamw_with_clipped_updates():
    """The gradient of the last steps is a hundred times what the second moment knows."""
    generator = torch.Generator().manual_seed(0)
    shapes, lr = [(5, 4), (7,), ()], 0.1
    start = [torch.randn(s, dtype=torch.float64, generator=generator) for s in shapes]
    sizes = [1, 1, 1, 100, 1, 100]
    grads = [
        [size * torch.randn(s, dtype=torch.float64, generator=generator) for s in shapes]
        for size in sizes
    ]
    expected = [p.clone() for p in start]
    settings = {"lr": lr, "betas": (0.9, 0.98), "eps": 1e-8}
    stable_adamw(expected, grads, **settings, decay=0.2, at_most=1.0)
    cfg = compose_config("train", ["optimizer=stable_adamw", "name=x", "steps=1", "batch_size=1"])
    mine = [torch.nn.Parameter(p.clone()) for p in start]
    plain = [torch.nn.Parameter(p.clone()) for p in start]
    for parameters, optimizer in (
        (mine, make(cfg.optimizer)(mine, lr=lr)),
        (plain, torch.optim.AdamW(plain, **settings, weight_decay=0.2)),
    ):
        for step in grads:
            for p, g in zip(parameters, step, strict=True):
                p.grad = g.clone()
            optimizer.step()
    for ours, theirs, unclipped in zip(mine, expected, plain, strict=True):
        torch.testing.assert_close(ours.data, theirs, rtol=0, atol=1e-12)
        assert (ours - unclipped).abs().max() > 1e-3


@pytest.mark.parametrize("fused", [None, True])
def test_gradients_are_clipped_before_a_fused_step_too(tmp_path, fused):
    """Rates so small that the update is the clipped gradient's: AdamW would hide its length."""
    model, kept = make_model(NATIVE), Kept()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    module = make_module(model)
    module.make_optimizer = lambda groups: torch.optim.AdamW(
        groups, lr=1.0, betas=(0.0, 0.0), eps=1e3, weight_decay=0.0, fused=fused
    )
    settings = {"precision": "bf16-mixed", "gradient_clip_val": 0.25}
    fit(module, [model_batch(model)], tmp_path, loggers=[kept], **settings)
    moved = torch.stack([(p - before[n]).norm() for n, p in model.named_parameters()]).norm()
    assert moved.item() * 1e3 == pytest.approx(0.25, rel=1e-2)


def test_a_part_that_waits_is_at_0_and_then_reaches_the_curve_of_the_others():
    parameters = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    groups = [{"params": parameters[:1]}, {"params": parameters[1:], "wait": 6}]
    optimizer = torch.optim.SGD(groups, lr=2.0)
    schedule = warmup_cosine(optimizer, warmup=4, steps=20)
    found = []
    for _ in range(20):
        found.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    others, waiting = zip(*found, strict=True)
    assert waiting[:6] == (0,) * 6
    shares = [waiting[i] / others[i] for i in range(6, 20)]
    assert shares == pytest.approx([0.25, 0.5, 0.75, *[1.0] * 11])


def test_groups_are_split_by_the_steps_a_part_waits():
    model = make_model()
    factors = {"factors": {}, "layer_decay": {}}
    groups = rated_groups(model, lr=1.0, **factors, wait={"image_tower": 3})
    waits = {id(p): group.get("wait", 0) for group in groups for p in group["params"]}
    for name, parameter in model.named_parameters():
        assert waits[id(parameter)] == (3 if ".visual." in name else 0), name
    with pytest.raises(UserError, match=r"rates\.wait\.tower=3: give a number of steps for one of"):
        rated_groups(model, lr=1.0, **factors, wait={"tower": 3})
    with pytest.raises(UserError, match=r"rates\.wait\.image_tower=-1: give"):
        rated_groups(model, lr=1.0, **factors, wait={"image_tower": -1})


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (torch.optim.Muon, r"Muon cannot be made \(Muon only supports 2D parameters"),
        (torch.optim.LBFGS, "LBFGS asks for the loss several times"),
        (torch.optim.SparseAdam, "SparseAdam wants sparse gradients"),
        (timm.optim.Adahessian, "Adahessian wants second derivatives"),
        (partial(torch.optim.SGD, lr="much"), r"SGD cannot be made \("),
    ],
)
def test_an_optimizer_that_does_not_fit_is_one_line(make, says):
    with pytest.raises(UserError, match=rf"^optimizer\._target_: {says}.*; choose optimizer=adamw"):
        made(make, [{"params": [nn.Parameter(torch.zeros(2, 2, 2))]}])
