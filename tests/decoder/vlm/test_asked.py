"""Questions as a model takes them in."""

import re

import PIL.Image
import pytest
import torch

from cloc.decoder.vlm.asked import ask
from cloc.decoder.vlm.vlm import open_vlm
from cloc.errors import UserError
from tests.decoder.vlm.conftest import QUESTIONS, photos
from tests.helpers.vlms import SYSTEM, save_vlm


def test_what_stands_before_the_picture_is_its_system_prompt(vlm, asked):
    words = vlm.processor.tokenizer
    for row, question in enumerate(QUESTIONS):
        ids = asked.inputs["input_ids"][row]
        assert words.decode(ids[asked.before[row]]).startswith(f"<begin> {SYSTEM} user :")
        behind = asked.valid[row] & ~asked.before[row] & ~asked.picture[row]
        assert words.decode(ids[behind]).endswith(f"{question} assistant :")
        assert (ids[asked.picture[row]] == vlm.picture_token).all()
        rows, columns = asked.grids[row]
        assert rows * columns == asked.picture[row].sum()


def test_each_picture_has_its_grid(opened):
    own = {kind: ask(vlm, photos(), QUESTIONS).grids for kind, vlm in opened.items()}
    assert own["llava"] == [(4, 4)] * 3
    assert own["qwen2"] == own["qwen3"] == [(5, 3), (4, 4), (6, 2)]


def test_rows_are_padded_on_the_left_and_all_answer_at_the_end(vlm, asked):
    assert asked.rows.tolist() == [asked.valid.shape[1] - 1] * 3
    assert len(set(asked.valid.sum(1).tolist())) > 1
    right = asked._replace(valid=asked.valid.flip(1))
    assert right.rows.tolist() == (asked.valid.sum(1) - 1).tolist()


def test_a_token_of_a_tower_reads_the_patches_of_its_place(opened):
    """A bright cell at one place of the picture moves the token of that place most."""
    for kind in ("qwen2", "qwen3"):
        vlm = opened[kind]
        grey = PIL.Image.new("RGB", (40, 24), "grey")
        bright = grey.copy()
        bright.paste("white", (24, 8, 32, 16))  # column 3, row 1 of 3 x 5
        plain, moved = (features(vlm, ask(vlm, [x], ["what ?"])) for x in (grey, bright))
        assert int((plain - moved).norm(dim=1).argmax()) == 1 * 5 + 3


@torch.no_grad()
def features(vlm, asked):
    """What the model puts in place of the picture's tokens."""
    seen = []
    hook = vlm.language.register_forward_pre_hook(
        lambda module, args, more: seen.append(more["inputs_embeds"]), with_kwargs=True
    )
    vlm.model(**asked.inputs)
    hook.remove()
    return seen[0][asked.picture]


def test_a_folder_without_a_chat_asks_in_two_lines(opened):
    vlm = opened["llava"]
    told = vlm.processor.chat_template
    vlm.processor.chat_template = None
    try:
        found = ask(vlm, photos()[:1], ["what ?"])
    finally:
        vlm.processor.chat_template = told
    assert not found.before.any()
    ids = found.inputs["input_ids"][0]
    assert vlm.processor.tokenizer.decode(ids[~found.picture[0]]) == "what ?"


@pytest.mark.parametrize("question", ["", "  ", "what is <image> ?"])
def test_a_question_is_words(opened, question):
    says = re.escape(f"question={question}; give words, and without <image>")
    with pytest.raises(UserError, match=says):
        ask(opened["llava"], photos()[:1], [question])


@pytest.mark.parametrize(("seen", "asked_of"), [(0, 0), (1, 3), (3, 1)])
def test_a_picture_for_each_question(opened, tmp_path, seen, asked_of):
    """Processors of some models pair what they are given without counting."""
    others = open_vlm(f"hf:{save_vlm('blip2', tmp_path / 'blip2')}", device=torch.device("cpu"))
    for vlm in (opened["llava"], others):
        with pytest.raises(UserError, match=rf"{seen} pictures and {asked_of} of question; give"):
            ask(vlm, photos()[:seen], QUESTIONS[:asked_of])


def test_tokens_made_by_queries_lie_nowhere(opened):
    class TinyQFormer(torch.nn.Module):
        pass

    vlm = opened["llava"]
    vlm.model.add_module("asks", TinyQFormer())
    try:
        assert ask(vlm, photos(), QUESTIONS).grids is None
    finally:
        del vlm.model.asks
