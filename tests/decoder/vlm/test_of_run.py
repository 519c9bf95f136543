"""Our own decoder says of itself what a diagnosis asks, in the frame that its encoder sees."""

import json

import numpy as np
import PIL.Image
import pytest
import torch

from cloc.decoder import gaze
from cloc.decoder.vlm.diagnose import diagnose
from cloc.decoder.vlm.looker import Looker
from cloc.decoder.vlm.of_run import OfRun
from cloc.decoder.vlm.permute import order_of
from cloc.decoder.vlm.question import questions
from cloc.decoder.words import tokens_of
from cloc.errors import UserError
from cloc.eval.diagnosis.norms import Norms
from cloc.interfaces import Example
from tests.decoder.test_gaze import of_first_block
from tests.helpers.answering import answering, clip, repaired
from tests.helpers.checkpoints import save_run

CPU = torch.device("cpu")
SIZES = ((64, 32), (32, 64), (32, 32), (80, 21), (300, 200))
PHRASES = ("a red cup", "the cup left of a bowl", "a red cup", "a bowl", "a red cup")
THING = (0.0, 0.0, 0.5, 0.6)  # of each picture, in red on green


def pictures():
    for size, phrase in zip(SIZES, PHRASES, strict=True):
        image, box = PIL.Image.new("RGB", size, (0, 90, 0)), np.array(THING) * (*size, *size)
        image.paste((250, 0, 0), tuple(box.round().astype(int).tolist()))
        yield Example("a", image, (), box[None].astype(np.float32), (phrase,), ("",), {})


def put(looker):
    return list(questions(pictures(), looker.asks))


def opened(folder, model):
    for weight in model.decoder.parameters():  # so that heads differ
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=0.3)
    save_run(folder, model)
    return OfRun(folder, device=CPU)


@pytest.fixture(scope="module")
def looker(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "asked"
    return opened(folder, answering(boxes={"form": "tokens", "cells": 4}))


@pytest.fixture
def looked(looker):
    return looker.look(put(looker), Norms())


def read(looker):
    """What its parts give for the same questions."""
    images = [one.example.image for one in put(looker)]
    seen = looker.answerer.look(looker.answerer.embedder.prepare(images).images)
    return seen.patches, seen.grid, *looker.answerer.tokens([one.text for one in put(looker)])


def test_shares_are_those_of_attention_computed_by_hand(looker, looked):
    patches, _, tokens, valid = read(looker)
    expected = of_first_block(looker.answerer.model.decoder, patches, tokens, valid)
    torch.testing.assert_close(looked.look.shares[0], expected)
    torch.testing.assert_close(looked.look.shares.sum(-1), torch.ones(2, 5, 2))
    assert isinstance(looker, Looker)


def test_patches_stand_first_and_nothing_before_them(looked):
    assert looked.picture.sum(1).tolist() == [16] * 5
    assert looked.picture[:, :16].all()
    assert not looked.before.any()
    assert looked.valid.sum(1).tolist() == [16 + words for words in (7, 10, 7, 6, 7)]
    assert looked.valid[:, :16].all()


def test_inside_are_patches_of_the_frame_for_pictures_that_are_no_square(looked):
    """A wide picture fills rows 1 and 2 of 4, a tall one columns 1 and 2."""
    inside = looked.inside[:, :16].view(5, 4, 4).int()
    wide, tall, square = inside[:3].tolist()
    assert wide == [[0] * 4, [1, 1, 0, 0], [0] * 4, [0] * 4]  # 0.6 of two rows: one middle
    assert tall == [[0, 1, 0, 0], [0, 1, 0, 0], [0] * 4, [0] * 4]
    assert square == [[1, 1, 0, 0], [1, 1, 0, 0], [0] * 4, [0] * 4]
    assert not looked.inside[:, 16:].any()


def test_a_patch_is_inside_where_the_picture_that_is_shown_has_the_thing_at_its_middle(
    looker, looked
):
    for row, one in enumerate(put(looker)):
        image, boxes = looker.shown(one)
        side = max(max(one.example.image.size), 32)
        assert image.size == (side, side)
        middles = ((np.arange(4) + 0.5) / 4 * side).astype(int)
        red = np.asarray(image)[..., 0][np.ix_(middles, middles)] > 128
        assert red.tolist() == looked.inside[row, :16].view(4, 4).tolist()
        x0, y0, x1, y1 = (boxes[0] * side).round().astype(int)
        thing = np.asarray(image).astype(int)
        assert (thing[y0 + 1 : y1 - 1, x0 + 1 : x1 - 1, 0] > 200).all()
        assert (thing[..., 0] > 200).sum() <= (y1 - y0 + 2) * (x1 - x0 + 2)


def test_its_tokens_come_in_another_order_behind_the_encoder(looker, looked, monkeypatch):
    patches, grid, tokens, valid = read(looker)
    decoder, order = looker.answerer.model.decoder, order_of(16, seed=0)
    moved = gaze.first_token(decoder, patches[:, order], grid, tokens, valid)
    torch.testing.assert_close(looked.moved, moved)
    assert not looked.moved.allclose(looked.look.first)
    monkeypatch.setattr(
        "cloc.decoder.vlm.of_run.order_of", lambda count, *, seed: torch.arange(count)
    )
    found = looker.look(put(looker), Norms())
    torch.testing.assert_close(found.moved, found.look.first)


def test_norms_are_of_what_goes_in_and_nothing_stays(looker):
    decoder, lengths = looker.answerer.model.decoder, Norms()
    looker.look(put(looker), lengths)
    with torch.no_grad():
        expected = decoder.connector(*read(looker)[:2]).norm(dim=-1)
    assert lengths.count == 5 * 16
    assert lengths.figures()["mean"] == pytest.approx(float(expected.mean()))
    assert lengths.figures()["max"] == pytest.approx(float(expected.max()))
    table = decoder.language.token_embedding.weight.detach()
    assert looker.words().count == len(table)
    assert looker.words().figures()["max"] == pytest.approx(float(table.norm(dim=1).max()))
    assert not decoder.connector._forward_hooks


def test_figures_are_those_of_the_functions_that_look_and_hang_on_no_batch(looker, looked):
    found, maps = diagnose(looker, put(looker), batch_size=2, top_heads=1, shown=9)
    assert json.dumps(found, allow_nan=False)
    shares, picture = looked.look.shares, looked.picture
    there = looked.inside.any(1)
    told = {
        "image": gaze.of_picture(shares, picture).mean(1),
        "image_without_system": gaze.of_picture(shares, picture).mean(1),
        "entropy": gaze.spread(shares, picture).mean(1),
        "on_boxes": gaze.on_boxes(shares, picture, looked.inside)[:, there].mean(1),
    }
    for name, values in told.items():
        mine = torch.tensor([layer[name] for layer in found["layers"]])
        torch.testing.assert_close(mine, values, atol=1e-5, rtol=1e-4)
    assert found["tokens"] == {"image": 16, "before": 0, "prompt": pytest.approx(23.4)}
    assert (found["grid"], len(maps)) == ([4, 4], 3)
    own = shares[:, 2, :, :16]
    expected = (own / own.sum(-1, keepdim=True)).mean((0, 1)).view(4, 4)
    np.testing.assert_allclose(maps[0].all_heads, expected, atol=1e-5)


def test_the_text_of_a_token_and_of_a_line_of_a_box_its_number(looker):
    boxes = looker.answerer.boxes
    assert looker.say(boxes.words.encode("cup")[0]) == "cup"
    assert looker.say(boxes.words.end) == ""
    assert looker.say(boxes.first + 3) == "line 3 of 4"


def test_it_is_asked_as_it_was_taught(looker):
    assert [one.text for one in put(looker)] == [f"where is {phrase}?" for phrase in PHRASES]
    assert (looker.layout, looker.frame) == ("prefix-LM", "pad 32x32, bicubic")
    assert looker.background == looker.answerer.model.tower.background


@pytest.mark.parametrize("bias", [-1.0, 1.0])
def test_of_twins_the_expert_answers_that_the_router_chooses(bias, tmp_path):
    model = repaired(answering(), twin={"every": 1})
    torch.nn.init.constant_(model.decoder.router.score.bias, bias * 1e6)
    looker = opened(tmp_path / "run", model)
    found = looker.look(put(looker), Norms()).look.first
    decoder, (patches, grid, tokens, valid) = looker.answerer.model.decoder, read(looker)
    last = valid.sum(1) - 1
    with torch.no_grad():
        old, new = (
            decoder.language.logits(
                decoder(patches, grid, tokens, valid, share=torch.full((5,), share))[range(5), last]
            )
            for share in (1.0, 0.0)
        )
    assert not old.allclose(new)
    torch.testing.assert_close(found, old if bias > 0 else new)


def test_what_cannot_be_looked_at_is_one_line(tmp_path):
    save_run(tmp_path / "clip", clip())
    with pytest.raises(UserError, match=r"clip has no decoder: train one with experiment=scenes_v"):
        OfRun(tmp_path / "clip", device=CPU)
    words = tokens_of(clip().tower.tokenizer(), ["where is a red cup?"])
    looker = opened(tmp_path / "run", answering(words=words))
    says = r"'where is the cup left of a bowl\?' has 'the', which is none of the decoder's words .*"
    with pytest.raises(
        UserError, match=says + "; give question= and data= of words it has"
    ) as error:
        looker.look(put(looker), Norms())
    assert "\n" not in str(error.value)
