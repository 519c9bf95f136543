"""Shares of the token that answers, as the model itself says them."""

import pytest
import torch

from cloc.decoder.vlm.asked import ask
from cloc.decoder.vlm.gaze import first_token, gaze
from cloc.decoder.vlm.vlm import open_vlm
from cloc.errors import UserError
from tests.decoder.vlm.conftest import QUESTIONS, photos
from tests.helpers.vlms import save_vlm


@torch.no_grad()
def eager(vlm, asked):
    """Of transformers' plain attention: all rows of all layers, and the logits that follow."""
    vlm.model.set_attn_implementation("eager")
    try:
        out = vlm.model(**asked.inputs, output_attentions=True, use_cache=False)
    finally:
        vlm.model.set_attn_implementation("sdpa")
    return torch.stack(out.attentions), out.logits


def test_shares_are_those_of_eager_attention_also_where_heads_share_keys(vlm, asked):
    found = gaze(vlm, asked)
    every, logits = eager(vlm, asked)
    assert found.layers == (0, 1)
    torch.testing.assert_close(
        found.shares, every[:, torch.arange(3), :, asked.rows].transpose(0, 1)
    )
    torch.testing.assert_close(found.shares.sum(-1), torch.ones(2, 3, 4))
    assert (found.shares * ~asked.valid[:, None]).abs().max() == 0
    torch.testing.assert_close(found.first, logits[:, -1])
    heads = found.shares[:, 0]
    assert not heads[:, 0].allclose(heads[:, 1], atol=1e-2)  # heads of one key and another query


def test_shares_are_the_same_whichever_function_the_model_runs(vlm, asked):
    fused = gaze(vlm, asked)
    vlm.model.set_attn_implementation("eager")
    try:
        plain = gaze(vlm, asked)
    finally:
        vlm.model.set_attn_implementation("sdpa")
    torch.testing.assert_close(plain.shares, fused.shares)


def test_looking_changes_no_answer_and_is_one_pass(vlm, asked):
    passes = []
    hook = vlm.language.register_forward_hook(lambda *_: passes.append(1))
    found = gaze(vlm, asked)
    hook.remove()
    assert len(passes) == 1
    assert found.first.equal(first_token(vlm, asked))


@pytest.mark.parametrize("row", [0, 2])
def test_a_batch_looks_as_each_alone(vlm, asked, row):
    alone = ask(vlm, photos()[row : row + 1], QUESTIONS[row : row + 1])
    both, one = gaze(vlm, asked), gaze(vlm, alone)
    own = both.shares[:, row][..., asked.valid[row]]
    torch.testing.assert_close(own, one.shares[:, 0], rtol=1e-4, atol=1e-5)


def test_tokens_made_by_queries_have_shares_and_no_place(tmp_path):
    vlm = open_vlm(f"hf:{save_vlm('blip2', tmp_path)}", device=torch.device("cpu"))
    asked = ask(vlm, photos(), QUESTIONS)
    assert asked.grids is None
    assert asked.picture.sum(1).tolist() == [4, 4, 4]
    found = gaze(vlm, asked)
    assert (found.shares * asked.picture[:, None]).sum(-1).min() > 0
    torch.testing.assert_close(found.shares.sum(-1), torch.ones(2, 3, 4))


def test_a_model_that_does_not_take_what_its_processor_made_is_one_line(opened):
    vlm = opened["llava"]
    asked = ask(vlm, photos(), QUESTIONS)
    ids = asked.inputs["input_ids"].clone()
    ids[0, asked.picture[0].nonzero()[0]] = 15  # a word in the place of a patch
    with pytest.raises(UserError, match=r"on what its processor makes .*do not match") as told:
        gaze(vlm, asked._replace(inputs={**asked.inputs, "input_ids": ids}))
    assert "\n" not in str(told.value)
