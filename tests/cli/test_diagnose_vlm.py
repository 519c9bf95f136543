"""The command on VLMs: a page and its figures; what is wrong is one line."""

import json

import pytest

from cloc.cli import diagnose
from cloc.cli.config.compose import compose_config
from cloc.errors import UserError
from tests.helpers.shards import make_shards
from tests.helpers.vlms import KINDS, save_vlm


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("vlms")
    return {kind: save_vlm(kind, root / kind) for kind in KINDS}


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return make_shards(tmp_path_factory.mktemp("data") / "set", shards=2, each=6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_and_its_figures_of_drawn_pictures(kind, folders, tmp_path, capsys):
    diagnose.main([f"vlm=hf:{folders[kind]}", "images=24", f"out={tmp_path}/a"])
    assert capsys.readouterr().out == f"{tmp_path}/a/diagnose.html\n"
    found = json.loads((tmp_path / "a/diagnose.json").read_text())
    page = (tmp_path / "a/diagnose.html").read_text()
    assert (found["schema"], found["pictures"]) == ("cloc-diagnose-vlm/1", 24)
    assert found["question"] == "Where is the {phrase}?"
    assert found["shown"] == "WhereBench 1, drawn at 224 px"
    assert found["frame"] == ("own, of squares" if kind == "llava" else "own")
    assert [layer["layer"] for layer in found["layers"]] == [0, 1]
    assert all(len(layer["image"]) == 4 for layer in found["layers"])
    assert len(found["best_heads"]["heads"]) == 3
    assert page.count("<svg") == 4
    assert page.count("<table") == 2 + 4  # heads chosen, norms, and every head of each figure
    assert page.count('class="shot"') == 6
    assert "Not measured" not in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_pictures_of_shards_and_a_question_of_ones_own(folders, shards, tmp_path):
    words = [f"data={shards}", "images=12", "question=what is <b>left?", f"out={tmp_path}"]
    diagnose.main([f"vlm=hf:{folders['qwen3']}", *words, "top_heads=1"])
    found = json.loads((tmp_path / "diagnose.json").read_text())
    page = (tmp_path / "diagnose.html").read_text()
    assert (found["pictures"], found["shown"]) == (12, f"{shards}, 12 of the first 12")
    assert found["question"] == "what is <b>left?"
    assert "<b>left" not in page
    assert found["best_heads"] is None  # boxes of these records are smaller than a patch
    assert "Not measured: in one half of the pictures no box holds" in page


def test_the_number_of_heads_that_nobody_gave_is_that_of_the_configuration():
    cfg = compose_config("diagnose", diagnose.named(["model=x", "out=z"]))
    assert cfg.top_heads == diagnose.TOP_HEADS


WRONG = {
    "vlm=VLM": r"with vlm= give out=DIR too: diagnose\.html is written there",
    "vlm=VLM model=open_clip:x/y out=OUT": r"model=open_clip:x/y and vlm=hf:.* give either run=",
    "vlm=VLM run=runs/a": r"run=runs/a and vlm=hf:.*: give either run=runs/NAME or model=",
    "vlm=VLM out=OUT frame=pad": r"frame=pad goes with model=; leave it out",
    "vlm=VLM out=OUT image_size=64": r"image_size=64 goes with model=; leave it out",
    "model=x out=OUT question=where?": r"question=where\? goes with vlm=; leave it out",
    "model=x out=OUT top_heads=2": r"top_heads=2 goes with vlm=; leave it out",
    "vlm=VLM out=OUT top_heads=0": r"top_heads=0; give a whole number of 1 or more",
    "vlm=VLM out=OUT top_heads=9": r"top_heads=9; give 1 to 8, its heads",
    "vlm=VLM out=OUT images=1": r"images=1: give 2 or more",
    "vlm=VLM out=OUT question=<image>": r"question=<image>; give words, and without <image>",
    "vlm=VLM out=OUT data=nowhere": r"data=nowhere: ",
    "vlm=VLM out=FILE/x": r"out=.*/file/x: .*/file is no folder; give another",
    "vlm=hf:nowhere out=OUT": r"vlm=hf:nowhere: there is no such folder; write hf:FOLDER",
    "vlm=timm:x out=OUT": r"vlm=timm:x; write vlm=hf:FOLDER",
    "vlm=VLM out=OUT device=gpu": r"device=gpu.* give device=cpu",
}


@pytest.mark.parametrize(("words", "says"), WRONG.items())
def test_what_is_wrong_is_one_line_and_nothing_is_written(words, says, folders, tmp_path):
    (tmp_path / "file").write_text("x")
    meant = {"VLM": f"hf:{folders['llava']}", "OUT": f"{tmp_path}/out", "FILE": f"{tmp_path}/file"}
    for word, value in meant.items():
        words = words.replace(word, value)
    with pytest.raises(UserError, match=says) as error:
        diagnose.main(words.split())
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
