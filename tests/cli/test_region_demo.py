"""The region demo as a command: what it prints, and one line for whatever is wrong."""

import runpy
import sys

import numpy as np
import PIL.Image
import pytest

import cloc
from cloc.cli.region_demo import main
from cloc.cli.tasks.region_answers import picture
from cloc.errors import UserError
from tests.helpers.checkpoints import save_run
from tests.helpers.models import make_model

GAP = 8  # between panels


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A picture, a run with all heads, a plain CLIP and an ablation."""
    folder = tmp_path_factory.mktemp("demo")
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    PIL.Image.fromarray(pixels).save(folder / "photo.png")
    (folder / "noise.jpg").write_bytes(pixels.tobytes())
    save_run(folder / "run", make_model())
    save_run(folder / "clip", make_model(region_head=None))
    save_run(folder / "roi", make_model(region_head={"kind": "roi_align"}))
    return folder


def test_a_run_from_image_to_png(place, capsys):
    out = place / "heat.png"
    given = [
        str(place / "photo.png"),
        "a red star",
        "a dog",
        "a dog",
        "--model",
        str(place / "run"),
    ]
    main([*given, "--box", "4,3,30,20", "--box", "0,0,40,30", "--out", str(out)])
    lines = capsys.readouterr().out.splitlines()
    embedder = cloc.load(place / "run")
    image = PIL.Image.open(place / "photo.png")
    prepared = embedder.prepare([image], [np.array([[4, 3, 30, 20], [0, 0, 40, 30]])])
    texts = embedder.texts(["a red star", "a dog"])
    for line, text in zip(lines[2:4], texts, strict=True):
        expected = [embedder.images(prepared.images)[0], *embedder.regions(*prepared)[0]]
        expected = [f"{float(text @ row):.3f}" for row in expected]
        assert line.split()[-3:] == expected
    assert lines[2].startswith("a red star")
    assert lines[-1] == f"{out}: brightest where the phrase is most similar"
    with PIL.Image.open(out) as found:
        assert found.format == "PNG"
        assert found.size == (2 * 512 + 3 * GAP, 384 + 2 * GAP)


def test_phrases_that_read_alike_have_one_panel_and_each_its_own_box(place):
    embedder, image = cloc.load(place / "run"), PIL.Image.open(place / "photo.png")
    _, plain = picture(embedder, image, ["a red star", "a dog"], [])
    sheet, told = picture(embedder, image, ["a red star", "A Red Star", "a dog"], [])
    assert told == plain
    assert sheet.size[0] == 2 * 512 + 3 * GAP


def test_a_heatmap_that_cannot_be_written_is_one_line(place, monkeypatch):
    def full(self, *args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(PIL.Image.Image, "save", full)
    given = [str(place / "photo.png"), "red", "--model", str(place / "run")]
    with pytest.raises(UserError, match=r"heat\.png cannot be written: .*No space left"):
        main([*given, "--out", str(place / "heat.png")])


def test_an_ablation_has_no_predicted_box_and_a_plain_clip_the_whole_image(place, capsys):
    main([str(place / "photo.png"), "x", "--model", str(place / "clip")])
    assert len(capsys.readouterr().out.splitlines()) == 3
    roi = ["--model", str(place / "roi"), "--out", str(place / "roi.png")]
    main([str(place / "photo.png"), "x", *roi])
    assert "this model has no box head" in capsys.readouterr().out
    assert (place / "roi.png").is_file()


@pytest.mark.parametrize(
    ("image", "options", "says"),
    [
        ("nope.jpg", [], r"nope\.jpg: there is no such image"),
        ("run", [], "run: there is no such image"),
        ("noise.jpg", [], r"noise\.jpg: not an image of JPEG, PNG, WEBP"),
        ("photo.png", ["--model", "nowhere"], "nowhere holds no checkpoint: there is no such"),
        (
            "photo.png",
            ["--model", "clip", "--out", "h.png"],
            "clip has no region head",
        ),
        ("photo.png", ["--model", "clip", "--box", "0,0,5,5"], "leave them out for the similarity"),
        ("photo.png", ["--out", "h.jpg"], r"name another file, which ends in \.png"),
        ("photo.png", ["--out", "photo.png"], r"photo\.png: name another file"),
        ("photo.png", ["--out", "nowhere/h.png"], "there is no folder nowhere"),
        ("photo.png", ["--box"], "argument --box: expected one argument; usage: .* x0,y0,x1,y1"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(place, monkeypatch, image, options, says):
    monkeypatch.chdir(place)
    with pytest.raises(UserError, match=says) as error:
        main([image, "x", "--model", "run", *options])
    assert "\n" not in str(error.value)
    assert not (place / "h.png").exists()


@pytest.mark.parametrize(
    "box",
    ["1,2,3", "1,2,3,4,5", "a,b,c,d", "5,5,5,9", "9,5,5,9", "0,0,41,9", "-1,0,4,4", "nan,0,1,1"],
)
def test_a_wrong_box_is_told_the_format_and_the_size_of_the_image(place, box):
    says = r"--box .*: expected x0,y0,x1,y1 in pixels .* x0 < x1 <= 40 and 0 <= y0 < y1 <= 30"
    with pytest.raises(UserError, match=says):
        main([str(place / "photo.png"), "x", "--model", "nowhere", f"--box={box}"])


def test_as_a_command_it_ends_with_1_and_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["region_demo", "nope.jpg", "x", "--model", "nowhere"])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:  # with a word: Python says it and ends with 1
        runpy.run_module("cloc.tools.region_demo", run_name="__main__")
    assert ended.value.code == "error: nope.jpg: there is no such image"
