"""The command on a run of ours with a decoder: the same page and the same figures."""

import json
import sys

import numpy as np
import PIL.Image
import pytest
import torch

from cloc.cli import diagnose
from cloc.cli.pages import diagnosis_vlm as page
from cloc.data.samples.record import Caption, Record, Region
from cloc.data.shards.writer import write_shards
from cloc.decoder.vlm.diagnose import Shown
from cloc.decoder.vlm.of_run import OfRun
from cloc.decoder.vlm.question import questions
from cloc.decoder.words import tokens_of
from cloc.errors import UserError
from cloc.interfaces import Example
from tests.helpers.answering import answering, clip
from tests.helpers.checkpoints import save_run
from tests.helpers.shards import encode, flat


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    model = answering(boxes={"form": "tokens", "cells": 4})
    for weight in model.decoder.parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=0.3)
    save_run(root / "asked", model)
    save_run(root / "clip", clip())
    words = tokens_of(clip().tower.tokenizer(), ["where is a red cup?"])
    save_run(root / "few", answering(words=words))
    return root


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Of wide pictures and tall ones, with a thing in the left or upper half."""
    folder = tmp_path_factory.mktemp("data") / "set"
    sides = [(40, 20), (20, 40)] * 6
    records = (
        Record(
            f"{number:05d}",
            *(encode(flat(width, height)), "png", width, height),
            (Caption("a picture"),),
            (Region((0, 0, width / 2, height), "a red cup"),),
        )
        for number, (width, height) in enumerate(sides)
    )
    write_shards(records, folder, samples_per_shard=6)
    return folder


def test_a_page_and_its_figures_of_a_run(runs, shards, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)  # it needs none of it
    words = [f"vlm=run:{runs}/asked", f"data={shards}", f"out={tmp_path}/a", "batch_size=5"]
    diagnose.main(words)
    assert capsys.readouterr().out == f"{tmp_path}/a/diagnose.html\n"
    found = json.loads((tmp_path / "a/diagnose.json").read_text())
    told = (tmp_path / "a/diagnose.html").read_text()
    assert (found["schema"], found["vlm"]) == ("cloc-diagnose-vlm/1", f"run:{runs}/asked")
    assert (found["layout"], found["frame"]) == ("prefix-LM", "pad 32x32, bicubic")
    assert (found["question"], found["pictures"]) == ("where is {phrase}?", 12)
    assert found["even"] == pytest.approx(4 / 16)  # half of the two rows or columns it fills
    assert [len(layer["on_boxes"]) for layer in found["layers"]] == [2, 2]
    assert len(found["best_heads"]["heads"]) == 3
    assert "transformers" not in found["provenance"]
    assert told.count("<svg") == 3  # without what stands before the picture: nothing does
    assert told.count("<table") == 2 + 3
    assert "Nothing stands before the picture" in told
    assert "without what stands before" not in told
    assert told.count('class="shot"') == 6
    assert "where is a red cup?" in told
    assert "http" not in told.replace("http://www.w3.org", "")


def test_drawn_pictures_and_a_question_of_ones_own(runs, tmp_path):
    diagnose.main([f"vlm=run:{runs}/asked", "images=8", "question=is it?", f"out={tmp_path}"])
    found = json.loads((tmp_path / "diagnose.json").read_text())
    assert (found["question"], found["pictures"]) == ("is it?", 8)
    assert found["shown"] == "WhereBench 1, drawn at 224 px"


def test_a_map_is_drawn_where_its_patch_lies_in_the_picture(runs, monkeypatch):
    """Of a wide picture with a thing in its upper left quarter: patches 4 and 5 of 4 x 4."""
    monkeypatch.setattr(page, "to_data_uri", np.asarray)
    pixels = flat(64, 32)
    pixels[:16, :32] = (250, 0, 0)
    image, box = PIL.Image.fromarray(pixels), np.array([[0, 0, 32, 16]], np.float32)
    looker = OfRun(runs / "asked", device=torch.device("cpu"))
    [one] = questions([Example("a", image, (), box, ("a cup",), ("",), {})], looker.asks)
    hot = np.zeros((4, 4))
    hot[1, :2] = 0.5
    shot = page._shot(Shown(one, *looker.shown(one), "left", hot, None))
    [(_, heat)] = shot["maps"]
    assert shot["picture"].shape == heat.shape == (360, 360, 3)
    thing = shot["picture"][..., 0] > 200
    assert np.argwhere(thing).min(0) == pytest.approx([90, 0], abs=4)
    assert np.argwhere(thing).max(0) == pytest.approx([180, 180], abs=4)
    bright = heat.astype(int).sum(-1) > 0.8 * heat.astype(int).sum(-1).max()
    assert thing[bright].mean() > 0.95


WRONG = {
    "vlm=run:RUNS/clip out=OUT": r"clip has no decoder: train one with experiment=scenes_vqa",
    "vlm=run:RUNS/none out=OUT": r"none holds no checkpoint: there is no such folder",
    "vlm=run: out=OUT": r"vlm=run:; write vlm=hf:FOLDER or hf:ORG/NAME, or run:runs/NAME",
    "vlm=RUNS/asked out=OUT": r"vlm=.*asked; write vlm=hf:FOLDER or hf:ORG/NAME, or run:runs/NAME",
    "vlm=run:RUNS/asked": r"with vlm= give out=DIR too",
    "vlm=run:RUNS/asked out=OUT top_heads=5": r"top_heads=5; give 1 to 4, its heads",
    "vlm=run:RUNS/asked out=OUT data=nowhere": r"data=nowhere: ",
    "vlm=run:RUNS/few out=OUT": r"has .*, which is none of the decoder's words .*; give question=",
}


@pytest.mark.parametrize(("words", "says"), WRONG.items())
def test_what_is_wrong_is_one_line_and_nothing_is_written(words, says, runs, tmp_path):
    words = words.replace("RUNS", str(runs)).replace("OUT", f"{tmp_path}/out")
    with pytest.raises(UserError, match=says) as error:
        diagnose.main(words.split())
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())
