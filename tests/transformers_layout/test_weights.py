"""Names and shapes of weights, both ways."""

import pytest
import torch
from safetensors.torch import save

from cloc.errors import UserError
from cloc.transformers_layout.weights import (
    IGNORED,
    clip_text_rules,
    clip_vision_rules,
    scale_rules,
    siglip_text_rules,
    siglip_vision_rules,
    to_open_clip_state,
    to_transformers_state,
)
from tests.helpers.hf import make_clip, make_siglip

CLIP = [
    *clip_vision_rules(2),
    *clip_text_rules(2, prefix=""),
    *scale_rules("logit_scale", scalar=True),
]
SIGLIP = [
    *siglip_vision_rules(2),
    *siglip_text_rules(2, prefix="text."),
    *scale_rules("logit_scale", "logit_bias", scalar=False),
]
KINDS = pytest.mark.parametrize(("make", "rules"), [(make_clip, CLIP), (make_siglip, SIGLIP)])


@KINDS
def test_there_and_back_is_bit_by_bit_the_same(make, rules):
    theirs = make().state_dict()
    ours = to_open_clip_state(rules, theirs)
    again = to_transformers_state(rules, ours)
    assert set(again) == set(theirs)
    assert all(again[name].equal(value) for name, value in theirs.items())
    assert sum(v.numel() for v in ours.values()) == sum(v.numel() for v in theirs.values())
    save(
        {name: value.contiguous() for name, value in again.items()}
    )  # parts of one tensor, but no memory twice


@KINDS
def test_in_the_files_own_precision(make, rules):
    half = {name: value.half() for name, value in make().state_dict().items()}
    assert {v.dtype for v in to_open_clip_state(rules, half).values()} == {torch.float16}


def test_position_ids_of_old_files_are_no_weights():
    state = make_clip().state_dict()
    old = {**state, **dict.fromkeys(IGNORED, torch.arange(3)[None])}
    assert to_open_clip_state(CLIP, old).keys() == to_open_clip_state(CLIP, state).keys()


def test_a_weight_that_is_missing_or_has_no_place():
    state = make_clip().state_dict()
    lost = {k: v for k, v in state.items() if "pre_layrnorm" not in k and "layer_norm2" not in k}
    with pytest.raises(UserError, match=r"config.json needs .*, which the weights lack") as error:
        to_open_clip_state(CLIP, lost)
    assert "and 7 more" in str(error.value)
    with pytest.raises(UserError, match=r"config.json has no place for the weights head.weight"):
        to_open_clip_state(CLIP, {**state, "head.weight": torch.ones(3)})
    ours = to_open_clip_state(CLIP, state)
    with pytest.raises(UserError, match=r"transformers' class has no place for .* visual.rope"):
        to_transformers_state(CLIP, {**ours, "visual.rope": torch.ones(3)})


def test_a_temperature_of_any_shape():
    rules = scale_rules("logit_scale", scalar=True)
    for shape in ((), (1,)):
        state = {"logit_scale": torch.full(shape, 2.0)}
        assert to_open_clip_state(rules, state)["logit_scale"].shape == ()
        assert to_transformers_state(rules, state)["logit_scale"].shape == ()
    [one] = to_transformers_state(
        scale_rules("logit_bias", scalar=False), {"logit_bias": torch.tensor(1.0)}
    ).values()
    assert one.shape == (1,)
