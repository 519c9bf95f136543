"""Weights on disk in a precision, and the region head beside them."""

import json

import pytest
import torch
from safetensors.torch import load_file

from cloc.errors import UserError
from cloc.export.weights import round_weights, save_region_head, save_weights
from tests.helpers.models import make_model


@pytest.mark.parametrize("precision", ["float32", "float16", "bfloat16"])
def test_rounded_weights_are_held_exactly_by_the_precision(tmp_path, precision):
    model = make_model(region_head=None)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    round_weights(model, precision)
    state = model.state_dict()
    save_weights(
        {**state, "count": torch.tensor(3)}, tmp_path / "w.safetensors", precision=precision
    )
    stored = load_file(tmp_path / "w.safetensors")
    assert stored.pop("count").dtype == torch.int64
    for name, value in stored.items():
        assert value.dtype == getattr(torch, precision)
        assert value.float().equal(state[name]), name
        torch.testing.assert_close(state[name], before[name], rtol=1e-2, atol=1e-5)
    changed = any(not state[name].equal(before[name]) for name in state)
    assert changed is (precision != "float32")


def test_an_unknown_precision_is_named():
    with pytest.raises(UserError, match=r"precision=int8; choose from float32, float16, bfloat16"):
        round_weights(make_model(region_head=None), "int8")


def test_a_weight_that_the_precision_cannot_hold_is_named():
    model = make_model(region_head=None)
    model.tower.clip.visual.proj.data[1, 2] = 7e4
    with pytest.raises(UserError, match=r"precision=float16 ends at 65504, which tower\.clip"):
        round_weights(model, "float16")
    model.tower.clip.visual.proj.data[1, 2] = 7e4
    round_weights(model, "bfloat16")


def test_a_region_head_lies_in_its_own_folder_and_a_plain_clip_has_none(tmp_path):
    save_region_head(make_model(region_head=None), tmp_path)
    assert not list(tmp_path.iterdir())
    model = make_model()
    save_region_head(model, tmp_path, precision="float16")
    stored = load_file(tmp_path / "region_head/region_head.safetensors")
    assert stored.keys() == model.region_state().keys()
    assert all(value.dtype == torch.float16 for value in stored.values())
    described = json.loads((tmp_path / "region_head/cloc_config.json").read_text())
    assert described == json.loads(json.dumps(model.description))
