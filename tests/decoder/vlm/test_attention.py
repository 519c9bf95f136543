"""What passes, and that nothing of it stays."""

from types import SimpleNamespace

import pytest
import torch

from cloc.decoder.vlm.attention import Attended, attending
from cloc.decoder.vlm.gaze import first_token
from cloc.errors import UserError


def test_it_sees_every_layer_of_the_language_model_and_none_of_the_image_tower(vlm, asked):
    seen = []
    with attending(vlm, lambda attended, out: seen.append(attended) or out):
        first_token(vlm, asked)
    b, n = asked.valid.shape
    assert [one.layer for one in seen] == [0, 1]
    for one in seen:
        assert one.query.shape == one.key.shape == one.value.shape == (b, 4, n, 8)
        row = one.sees.expand(b, 1, n, n)[:, 0, -1]
        assert row.equal(asked.valid)


def test_without_padding_each_token_sees_those_up_to_itself(vlm, asked):
    one = {key: x[1:2] for key, x in asked.inputs.items() if x.shape[0] == len(asked.valid)}
    sizes = asked.inputs.get("image_grid_thw")
    if sizes is not None:
        start = int(sizes[0].prod())
        one["pixel_values"] = asked.inputs["pixel_values"][start : start + int(sizes[1].prod())]
    valid, seen = asked.valid[1], []
    one = {k: x[:, valid] if x.shape[1:] == valid.shape else x for k, x in one.items()}
    with attending(vlm, lambda attended, out: seen.append(attended) or out):
        first_token(vlm, asked._replace(inputs=one))
    count = int(valid.sum())
    assert (
        seen[0].sees.expand(1, 1, count, count)[0, 0].equal(torch.ones(count, count).bool().tril())
    )


def test_what_it_gives_back_is_what_the_model_goes_on_with(vlm, asked):
    plain = first_token(vlm, asked)
    with attending(vlm, lambda attended, out: out.clone()):
        assert first_token(vlm, asked).equal(plain)
    with attending(vlm, lambda attended, out: torch.zeros_like(out)):
        assert not first_token(vlm, asked).allclose(plain)


def test_an_error_inside_leaves_nothing(vlm, asked):
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    names, own = set(ALL_ATTENTION_FUNCTIONS), vlm.language.config._attn_implementation
    with pytest.raises(KeyError, match="mine"), attending(vlm, lambda *_: _fail()):
        first_token(vlm, asked)
    assert set(ALL_ATTENTION_FUNCTIONS) == names
    assert vlm.language.config._attn_implementation == own


def _fail():
    raise KeyError("mine")


def test_a_model_that_is_not_reached_is_one_line(opened):
    with pytest.raises(UserError, match="LlamaModel has an attention of its own"):
        with attending(opened["llava"], lambda attended, out: out):
            pass


@pytest.mark.parametrize("scaling", [None, 8**-0.5, 0.25])
def test_logits_are_over_the_root_of_the_width_whatever_the_model_multiplies_by(scaling):
    from cloc.decoder.vlm.attention import _attended

    query, key = torch.randn(1, 4, 3, 8), torch.randn(1, 2, 3, 8)
    found = _attended(SimpleNamespace(layer_idx=5), query, key, key, None, scaling)
    assert isinstance(found, Attended)
    logits = found.query @ found.key.transpose(2, 3) / 8**0.5
    by = 8**-0.5 if scaling is None else scaling
    torch.testing.assert_close(logits, by * query @ key[:, [0, 0, 1, 1]].transpose(2, 3))
    mask = torch.zeros(1, 1, 3, 3).masked_fill(~found.sees, torch.finfo(torch.float32).min)
    for given in (mask, found.sees):
        again = _attended(SimpleNamespace(layer_idx=5), query, key, key, given, scaling)
        assert again.sees.equal(found.sees)


def test_logits_by_other_rules_are_refused(opened, asked, vlm):
    layer = vlm.language.layers[0].self_attn
    hook = layer.register_forward_pre_hook(
        lambda module, args, more: (args, {**more, "s_aux": torch.zeros(4)}), with_kwargs=True
    )
    try:
        with pytest.raises(UserError, match="its attention has s_aux, which is not known"):
            with attending(vlm, lambda attended, out: out):
                first_token(vlm, asked)
    finally:
        hook.remove()
