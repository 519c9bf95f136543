"""The Visual Genome importer: phrases and boxes as described, pictures from two folders."""

import json
import re

import pytest

from cloc.data.samples.record import Region
from cloc.data.shards.manifest import read_manifest
from cloc.errors import UserError
from data_prep.importers.visual_genome import write_visual_genome
from tests.helpers.imported import draw, imported, prepared

BASE = "https://cs.stanford.edu/people/rak248"


def image(number, folder="VG_100K"):
    url = f"{BASE}/{folder}/{number}.jpg"
    row = {"width": 40, "url": url, "height": 30, "image_id": number}
    return {**row, "coco_id": 100 + number, "flickr_id": None}


def region(number, image_id, phrase, x, y, width, height):
    row = {"region_id": number, "width": width, "height": height, "image_id": image_id}
    return {**row, "phrase": phrase, "y": y, "x": x}


REGIONS = [
    {
        "regions": [
            region(1383, 1, "a \n red clock ", 10, 5, 8, 9),
            region(1382, 1, "the clock is green in colour", -2, 0, 12, 13),
            region(1384, 1, " ", 0, 0, 9, 9),
            region(1385, 1, "nothing", 39, 5, 9, 0),
            region(1386, 1, "outside", 45, 5, 9, 9),
        ],
        "id": 1,
    },
    {"regions": [], "id": 2},
]


@pytest.fixture
def given(tmp_path):
    draw(tmp_path / "vg/VG_100K_2/1.jpg")
    draw(tmp_path / "vg/VG_100K/2.jpg")
    (tmp_path / "region_descriptions.json").write_text(json.dumps(REGIONS))
    (tmp_path / "image_data.json").write_text(json.dumps([image(2), image(1, "VG_100K_2")]))
    return {
        "images": tmp_path / "vg",
        "regions": tmp_path / "region_descriptions.json",
        "image_data": tmp_path / "image_data.json",
    }


def test_a_region_is_its_phrase_and_box_and_pictures_lie_in_two_folders(given, tmp_path):
    prepared("visual_genome", tmp_path / "out", **given)
    found = imported(tmp_path / "out/train")
    assert found["000000000001"].regions == (  # by region id
        Region((0.0, 0.0, 10.0, 13.0), "the clock is green in colour", source="visual_genome"),
        Region((10.0, 5.0, 18.0, 14.0), "a red clock", source="visual_genome"),
    )
    assert found["000000000001"].meta == {"image_id": 1, "coco_id": 101, "flickr_id": None}
    assert found["000000000002"].image == (tmp_path / "vg/VG_100K/2.jpg").read_bytes()
    manifest = read_manifest(tmp_path / "out/train")
    assert manifest["drops"] == {"text": 1, "box_reversed": 1, "box_outside": 1}
    assert "classes" not in manifest


def test_a_share_of_the_images_goes_to_val_by_their_ids(given, tmp_path):
    ids = range(1, 41)
    for number in ids:
        draw(tmp_path / f"vg/VG_100K/{number}.jpg")
    (tmp_path / "image_data.json").write_text(json.dumps([image(i) for i in ids]))
    write_visual_genome(tmp_path / "out", **given, val=0.3)
    sides = {s: {r.meta["image_id"] for r in imported(tmp_path / "out" / s).values()} for s in TV}
    assert sides["train"] | sides["val"] == set(ids)
    assert not sides["train"] & sides["val"]
    assert sorted(sides["val"])[:4] == [4, 8, 9, 10]  # as in COCO: a function of the id alone


TV = ("train", "val")


def test_a_missing_picture_ends_the_import_or_is_counted_within_the_budget(given, tmp_path):
    (tmp_path / "vg/VG_100K/2.jpg").unlink()
    with pytest.raises(UserError, match=r"VG_100K/2\.jpg: .* image 2: .*budget=0"):
        write_visual_genome(tmp_path / "out", **given, budget=0.0)
    manifest = write_visual_genome(tmp_path / "out", **given, budget=0.5)["train"]
    assert manifest["drops"]["missing"] == 1


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("regions", [{"id": 7, "regions": []}], "entry 7 is of an image that .*json does not list"),
        ("regions", [{"id": 1, "regions": None}], "has no list of regions"),
        ("regions", [{"id": 1, "regions": [{"region_id": 5}]}], "number 0 has no 'phrase'"),
        (
            "regions",
            [{"id": 1, "regions": [region(5, 1, "a", "one", 2, 3, 4)]}],
            "region 5: .* are",
        ),
        ("regions", {"id": 1}, "no list of objects; .* regions=FILE"),
        ("image_data", [{"image_id": "1"}], "entry 0 has no 'width'"),
        ("image_data", [{**image(1), "url": "x/../../1.jpg"}], "inside the folder"),
    ],
)
def test_a_wrong_file_is_one_line_and_nothing_is_written(given, tmp_path, file, content, says):
    given[file].write_text(json.dumps(content))
    if file == "image_data":
        given["regions"].write_text("[]")
    with pytest.raises(UserError, match=says) as error:
        write_visual_genome(tmp_path / "out", **given)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out/train").exists()


def test_numbers_written_as_text_are_numbers(given, tmp_path):
    write_visual_genome(tmp_path / "a", **given)
    for name in ("regions", "image_data"):
        text = given[name].read_text()
        given[name].write_text(re.sub(r": (-?\d+)", r': "\1"', text))
        assert given[name].read_text() != text
    write_visual_genome(tmp_path / "b", **given)
    a, b = (imported(tmp_path / name / "train") for name in "ab")
    assert [r.regions for r in a.values()] == [r.regions for r in b.values()]
    assert list(a) == list(b)


def test_an_image_that_is_listed_twice_is_refused_with_both(given, tmp_path):
    rows = [image(2), image(1, "VG_100K_2"), image(1)]
    given["image_data"].write_text(json.dumps(rows))
    with pytest.raises(
        UserError, match=r"image 1 is listed twice, as '.*_2/1\.jpg' and '.*K/1\.jpg'"
    ):
        write_visual_genome(tmp_path / "out", **given)
    given["image_data"].write_text(json.dumps(rows[:2]))
    given["regions"].write_text(json.dumps([*REGIONS, REGIONS[0]]))
    with pytest.raises(UserError, match="the regions of image 1 are listed twice; remove one"):
        write_visual_genome(tmp_path / "out", **given)
