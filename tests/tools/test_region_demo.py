"""The region demo: what it prints and draws, and one line for whatever is wrong."""

import runpy
import sys

import numpy as np
import PIL.Image
import pytest

import cloc
from cloc.errors import UserError
from cloc.tools import region_demo
from cloc.tools.region_demo import main, picture, table
from tests.helpers.checkpoints import save_run
from tests.helpers.models import make_model
from tests.helpers.oracle import SIZE, Constant, Oracle, painted

RED, BLUE = ("red", (2, 4, 12, 14)), ("blue", (20, 8, 30, 18))
GAP, TIMES = 8, 16  # between panels, and how often a small picture is enlarged
TEAL, ORANGE = (0, 194, 168), (255, 122, 26)  # of predicted and of given boxes


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


def panels(height, things=(RED, BLUE), boxes=(), embedder=None):
    """The picture of "red" and "blue", of which the upper `height` rows are kept."""
    image = painted(*things).crop((0, 0, SIZE, height))
    found, told = picture(embedder or Oracle(), image, ["red", "blue"], boxes)
    assert found.size == (2 * SIZE * TIMES + 3 * GAP, height * TIMES + 2 * GAP)
    pixels, side = np.asarray(found).astype(int), SIZE * TIMES
    starts = GAP, 2 * GAP + side
    return [pixels[GAP : GAP + height * TIMES, at : at + side] for at in starts], told


def has_edge(panel, box, colour):
    """The line is there, on all four sides of the box."""
    x0, y0, x1, y1 = (x * TIMES for x in box)
    near = np.abs(panel - colour).max(-1) < 40
    rims = near[y0 : y0 + 4, x0:x1], near[y1 - 4 : y1 + 4, x0:x1]
    rims += near[y0:y1, x0 : x0 + 4], near[y0:y1, x1 - 4 : x1 + 4]
    return all(rim.any(0).mean() > 0.2 or rim.any(1).mean() > 0.2 for rim in rims)


@pytest.mark.parametrize("height", [SIZE, 20])
def test_a_panel_is_bright_and_has_its_predicted_box_where_the_phrase_is(height):
    """Also where the frame is padded."""
    found, told = panels(height)
    for panel, (_, box), other in zip(found, (RED, BLUE), (BLUE, RED), strict=True):
        x0, y0, x1, y1 = (x * TIMES for x in box)
        middle = panel[y0 + 40 : y1 - 40, x0 + 40 : x1 - 40].mean()
        x0, y0, x1, y1 = (x * TIMES for x in other[1])
        assert middle > 1.3 * panel[y0 + 40 : y1 - 40, x0 + 40 : x1 - 40].mean()
        assert has_edge(panel, box, TEAL)
        assert not has_edge(panel, other[1], TEAL)
    assert "red: 0.0" in told[0]
    assert "predicted at 2,4,12,14" in told[0]
    assert "predicted at 20,8,30,18" in told[1]


def test_given_boxes_are_drawn_too():
    found, _ = panels(SIZE, boxes=[[14.0, 20.0, 30.0, 30.0]])
    assert all(has_edge(panel, (14, 20, 30, 30), ORANGE) for panel in found)


def test_without_a_box_head_there_is_no_predicted_box():
    found, told = panels(SIZE, embedder=Constant(grounds=False))
    assert not any(has_edge(panel, (0, 0, SIZE, SIZE), TEAL) for panel in found)
    assert all("no predicted box: this model has no box head" in line for line in told)


def test_the_table_is_the_similarity_with_the_image_and_with_each_box():
    boxes = [list(map(float, box)) for _, box in (RED, BLUE)]
    rows = table(Oracle(), painted(RED, BLUE), ["red", "a blue"], boxes).splitlines()
    assert rows[0].split() == ["image", "box", "1", "box", "2"]
    found = [[float(x) for x in row[len("a blue") :].split()] for row in rows[1:]]
    assert rows[1].startswith("red ")
    assert found[0][1] > 0.7 > 0.01 > found[0][2]
    assert found[1][2] > 0.7 > 0.01 > found[1][1]


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


def test_a_photograph_is_upright_as_whoever_gives_a_box_sees_it(tmp_path):
    stored = PIL.Image.new("RGB", (40, 30))
    stored.paste((255, 0, 0), (0, 0, 20, 30))
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    stored.save(tmp_path / "phone.jpg", exif=exif, quality=95)
    stored.save(tmp_path / "plain.jpg", quality=95)
    upright = np.asarray(region_demo._read(tmp_path / "phone.jpg"))
    plain = np.asarray(region_demo._read(tmp_path / "plain.jpg"))
    assert upright.shape == (40, 30, 3)
    assert (upright == np.rot90(plain, -1)).all()


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
        runpy.run_path(region_demo.__file__, run_name="__main__")
    assert ended.value.code == "error: nope.jpg: there is no such image"
