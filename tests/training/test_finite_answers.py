"""A model that has no answers any more is found, whatever its weights look like."""

import pytest
import torch

from cloc.training.finite_answers import fault, few, rows_not_finite
from tests.helpers.fit import fit, make_module
from tests.helpers.models import make_model, model_batch


@pytest.fixture
def module(tmp_path):
    """With a trainer, as in a run."""
    module = make_module(make_model())
    fit(module, [model_batch(module.model)], tmp_path, precision="bf16-mixed")
    return module


def test_a_sound_model_has_no_fault_and_is_left_as_it_was(module):
    before = {name: value.clone() for name, value in module.state_dict().items()}
    state = torch.get_rng_state()
    assert module.model.training
    assert fault(module, model_batch(module.model)) is None
    assert module.model.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], x) for name, x in module.state_dict().items())


def test_a_weight_that_is_not_finite_is_named(module):
    module.model.box_head.mlp[0].bias.data[0] = torch.inf
    batch = model_batch(module.model)
    assert fault(module, batch) == "the weights of box_head.mlp.0.bias are not finite"


@pytest.mark.parametrize(
    "part", ["tower.clip.ln_final.weight", "region_head.", "tower.clip.visual"]
)
def test_finite_weights_without_a_finite_answer(module, part):
    """As large as a float goes: what is multiplied with them overflows."""
    for name, weight in module.model.named_parameters():
        if name.startswith(part):
            weight.data.fill_(torch.finfo(torch.float32).max)
    batch = model_batch(module.model)
    assert fault(module, batch) == "the model has no finite answer to any sample any more"


def test_one_bad_sample_is_not_the_models_fault(module, monkeypatch):
    def poisoned(model, args, out):
        return out._replace(image=out.image.index_fill(0, torch.tensor([0]), torch.nan))

    module.model.register_forward_hook(poisoned)
    batch = model_batch(module.model)
    assert rows_not_finite(module.model(batch)).tolist() == [True, False, False]
    assert fault(module, batch) is None


def test_few_are_the_first_with_their_own_phrases():
    model = make_model().eval()
    batch = model_batch(model)
    part = few(batch, at_most=2)
    assert part.keys == batch.keys[:2]
    with torch.no_grad():
        ours, whole = model(part), model(batch)
    for name in ("image", "caption", "region", "predicted_boxes"):
        torch.testing.assert_close(getattr(ours, name), getattr(whole, name)[:2])
