"""Evaluation splits: decoded, in shard order, with the classes of the manifest."""

import json
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest

from cloc.data.eval_splits import read_split
from cloc.data.samples.record import Record, Region
from cloc.data.shards.writer import write_shards
from cloc.data.sources.cloc_regions import parse
from cloc.errors import UserError
from tests.helpers.photos import MINI, NEEDS_MINI
from tests.helpers.shards import encode, flat, make_record, make_shards


def test_examples_come_in_shard_order_with_their_words_and_pixels(tmp_path):
    folder = make_shards(tmp_path / "set", shards=3, each=3)
    split = read_split(str(folder), name="val", parse=parse)
    assert split.name == "val"
    assert (split.classes, split.synonyms) == ({}, {})
    assert [example.key for example in split.examples] == [f"{i:05d}" for i in range(9)]
    example = split.examples[5]
    assert (example.image.mode, example.image.size) == ("RGB", (20, 10))
    assert np.asarray(example.image)[0, 0].tolist() == [5, 60, 90]
    assert example.captions == ("picture 5", "image number 5")
    assert example.phrases == tuple(region.text for region in make_record(5).regions)
    assert example.boxes.dtype == np.float32
    assert example.boxes.tolist() == [[i, 1, i + 3, 4] for i in range(5)]
    assert split.examples[0].boxes.shape == (0, 4)


def test_the_limit_stops_the_reading(tmp_path):
    folder = make_shards(tmp_path / "set", shards=3, each=3)
    (folder / "shard-000002.tar").write_bytes(b"never opened")
    split = read_split(str(folder), name="val", parse=parse, limit=4)
    assert len(split.examples) == 4


def test_labels_meta_and_the_classes_of_the_manifest(tmp_path, capsys):
    region = Region((0.0, 0.0, 4.0, 4.0), "a small red star", label="red star")
    meta = {"relations": [{"caption": "a", "flipped": "b"}]}
    record = Record("k", encode(flat(8, 8)), "png", 8, 8, regions=(region,), meta=meta)
    classes = {"red star": ["a small red star", "a large red star"]}
    write_shards([record], tmp_path / "set", samples_per_shard=1, extra={"classes": classes})
    split = read_split(str(tmp_path / "set"), name="val", parse=parse)
    assert split.classes == classes
    assert split.examples[0].labels == ("red star",)
    assert split.examples[0].meta == meta
    url = f"file://{tmp_path}/set"
    for spec in (str(tmp_path / "set/*.tar"), [f"{tmp_path}/set/shard-000000.tar"], url):
        assert read_split(spec, name="val", parse=parse).classes == classes
    assert capsys.readouterr().err == ""
    (tmp_path / "set/manifest.json").write_text("cut off {")
    assert read_split(str(tmp_path / "set/*.tar"), name="val", parse=parse).classes == {}
    (tmp_path / "set/manifest.json").unlink()
    assert read_split(str(tmp_path / "set"), name="val", parse=parse).classes == {}
    assert "set: regions have labels, but no manifest names the classes" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["classes", "synonyms"])
@pytest.mark.parametrize(
    ("value", "says"),
    [
        (["a"], r"{kind} is \['a'\], expected {{class: \[prompt, ...\]}}; correct it"),
        ("a", r"{kind} is 'a', expected"),
        ({"red": []}, r"{kind} has for class 'red' the prompts \[\], expected a list of texts"),
        ({"red": "a red"}, r"{kind} has for class 'red' the prompts 'a red', expected"),  # letters
        ({"red": ["a", " "]}, r"{kind} has for class 'red' the prompts \['a', ' '\], expected"),
        ({"red": None}, r"{kind} has for class 'red' the prompts None"),
    ],
)
def test_classes_without_prompts_are_told_with_the_manifest(tmp_path, kind, value, says):
    folder = make_shards(tmp_path / "set", shards=1, each=3)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {kind: value}))
    with pytest.raises(UserError, match=rf"set/manifest\.json: {says.format(kind=kind)}"):
        read_split(str(folder), name="val", parse=parse)
    (folder / "manifest.json").write_text(json.dumps(manifest | {kind: None}))
    assert getattr(read_split(str(folder), name="val", parse=parse), kind) == {}


def test_missing_shards_name_the_key(tmp_path):
    with pytest.raises(UserError, match=r"splits\.novel.*nowhere"):
        read_split(str(tmp_path / "nowhere"), name="novel", parse=parse, key="splits.novel")


@NEEDS_MINI
def test_photographs_with_their_boxes_come_back(tmp_path):
    path = sorted((MINI / "train2017").glob("*.jpg"))[0]
    with PIL.Image.open(path) as photo:
        width, height = photo.size
    box = (1.0, 2.0, width - 3.0, height - 4.0)
    record = Record(path.stem, path.read_bytes(), "jpg", width, height, regions=(Region(box, "x"),))
    write_shards([record], tmp_path / "set", samples_per_shard=1)
    example = read_split(str(tmp_path / "set"), name="val", parse=parse).examples[0]
    assert example.image.size == (width, height)
    assert tuple(example.boxes[0].tolist()) == box
    assert json.dumps(example.key) == f'"{path.stem}"'


@pytest.mark.parametrize("code", [2, 6, 7])
def test_a_picture_and_its_boxes_are_turned_together(tmp_path, code):
    pixels = np.zeros((20, 32, 3), np.uint8)
    pixels[2:6, 3:15] = 255
    region = Region((3.0, 2.0, 15.0, 6.0), "it")
    record = Record("k", encode(pixels), "png", 32, 20, regions=(region,), orientation=code)
    write_shards([record], tmp_path / "set", samples_per_shard=1)
    [example] = read_split(str(tmp_path / "set"), name="val", parse=parse).examples
    x0, y0, x1, y1 = example.boxes[0].astype(int)
    shown = np.asarray(example.image)
    assert shown[y0:y1, x0:x1].min() == 255
    assert (shown > 0).sum() == 3 * 4 * 12


def test_a_split_without_captions_and_regions_is_refused(tmp_path):
    bare = [replace(make_record(i), captions=(), regions=()) for i in range(3)]
    write_shards(bare, tmp_path / "set", samples_per_shard=3)
    says = r"^splits\.val=.*set: none of 3 samples has a caption or a region, so there is nothing"
    with pytest.raises(UserError, match=says):
        read_split(str(tmp_path / "set"), name="val", parse=parse, key="splits.val")
