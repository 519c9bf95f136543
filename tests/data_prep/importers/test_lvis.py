"""The LVIS importer: places from URLs, names and synonyms, and classes verified absent."""

import json

import pytest

from cloc.data.samples.record import Region
from cloc.data.shards.manifest import read_manifest
from cloc.errors import UserError
from data_prep.importers.lvis import read_lvis, write_lvis
from data_prep.masks import masks_of
from tests.helpers.imported import draw, imported, prepared

CATEGORIES = [
    {
        "id": 3,
        "name": "air_conditioner",
        "synonyms": ["air_conditioner"],
        "synset": "air_conditioner.n.01",
        "def": "a machine that keeps air cool and dry",
        "frequency": "f",
        "image_count": 364,
        "instance_count": 552,
    },
    {"id": 1, "name": "aerosol_can", "synonyms": ["aerosol_can", "spray_can"], "frequency": "c"},
    {"id": 9, "name": "bow_(weapon)", "synonyms": ["bow_(weapon)"], "frequency": "r"},
]


def image(number, folder="train2017", *, absent=(), not_exhaustive=()):
    return {
        "id": number,
        "date_captured": "2013-11-14 16:28:13",
        "license": 4,
        "neg_category_ids": list(absent),
        "not_exhaustive_category_ids": list(not_exhaustive),
        "coco_url": f"http://images.cocodataset.org/{folder}/{number:012d}.jpg",
        "flickr_url": "http://farm9.staticflickr.com/8186/8119368305_4e622c8349_z.jpg",
        "height": 30,
        "width": 40,
    }


def box(number, image_id, category, bbox):
    outline = [[1.0, 2.0, 3.0, 2.0, 3.0, 6.0]]
    row = {"id": number, "image_id": image_id, "category_id": category, "bbox": bbox}
    return {**row, "segmentation": outline, "area": 25.0}


BOXES = [box(2, 7, 3, [10, 5, 50, 10]), box(1, 7, 1, [0, 0, 0.2, 9]), box(5, 3, 1, [1, 1, 9, 9])]
IMAGES = [image(7, absent=[9, 1], not_exhaustive=[3]), image(3, "val2017")]


@pytest.fixture
def given(tmp_path):
    draw(tmp_path / "coco/train2017/000000000007.jpg")
    draw(tmp_path / "coco/val2017/000000000003.jpg")
    return {"images": tmp_path / "coco", "val": annotations(tmp_path / "lvis.json")}


def annotations(path, *, images=IMAGES, boxes=BOXES, categories=CATEGORIES):
    data = {"images": images, "annotations": boxes, "categories": categories}
    path.write_text(json.dumps(data))
    return path


def test_a_region_is_called_by_the_name_of_its_class_and_pictures_lie_where_the_url_says(
    given, tmp_path
):
    prepared("lvis", tmp_path / "out", **given)
    found = imported(tmp_path / "out/val")
    assert sorted(found) == ["000000000003", "000000000007"]
    assert found["000000000007"].regions == (
        Region((10.0, 5.0, 40.0, 15.0), "air conditioner", source="lvis", label="air_conditioner"),
    )
    assert found["000000000003"].image == (tmp_path / "coco/val2017/000000000003.jpg").read_bytes()
    manifest = read_manifest(tmp_path / "out/val")
    assert (manifest["samples"], manifest["regions"]) == (2, 2)
    assert manifest["drops"] == {"box_small": 1}


def test_a_class_is_its_name_and_its_synonyms_stand_beside_it(given, tmp_path):
    """Also where they do not begin with the name, as not all of LVIS's do."""
    reversed_first = [{**CATEGORIES[1], "synonyms": ["spray_can", "aerosol_can"]}]
    path = tmp_path / "v.json"
    given["val"] = annotations(path, categories=[CATEGORIES[0], *reversed_first, CATEGORIES[2]])
    manifest = write_lvis(tmp_path / "out", **given)["val"]
    assert manifest["classes"] == {
        "air_conditioner": ["air conditioner"],
        "aerosol_can": ["aerosol can"],
        "bow_(weapon)": ["bow (weapon)"],
    }
    assert manifest["synonyms"] == {"aerosol_can": ["aerosol can", "spray can"]}
    assert imported(tmp_path / "out/val")["000000000003"].regions[0].text == "aerosol can"


def test_classes_verified_absent_and_those_not_exhaustive_are_kept_in_meta(given, tmp_path):
    write_lvis(tmp_path / "out", **given)
    meta = imported(tmp_path / "out/val")["000000000007"].meta
    assert meta["absent"] == ["bow_(weapon)", "aerosol_can"]
    assert meta["not_exhaustive"] == ["air_conditioner"]


def test_both_files_become_the_folders_of_their_names(given, tmp_path):
    train = annotations(tmp_path / "train.json", images=IMAGES[:1], boxes=BOXES[:1])
    manifests = write_lvis(tmp_path / "out", **given, train=train)
    assert {name: m["samples"] for name, m in manifests.items()} == {"train": 1, "val": 2}
    assert (tmp_path / "out/train/manifest.json").is_file()
    with pytest.raises(UserError, match="train is not set; give train=FILE, val=FILE or both"):
        write_lvis(tmp_path / "no", images=given["images"])


def test_a_wrong_second_file_costs_no_hours(given, tmp_path):
    (tmp_path / "cut.json").write_text('{"images": [')
    files = {"train": given["val"], "val": tmp_path / "cut.json"}
    with pytest.raises(UserError, match=r"cut\.json: not JSON"):
        write_lvis(tmp_path / "out", images=given["images"], **files)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"images": [image(7, absent=[4])]}, r"image 7 has neg_category_ids \[4\].* 3 categories"),
        ({"images": [{**image(7), "not_exhaustive_category_ids": None}]}, "image 7 has not_ex.*"),
        ({"images": [{"id": 7, "width": 1, "height": 1}]}, "images 7 has no 'coco_url'"),
        ({"categories": [{"id": 3, "name": " "}]}, "category 3 is called ' '; give it some words"),
        ({"categories": [{"id": 3, "name": "a", "synonyms": [5]}]}, "category 3 is called 'a'"),
        ({"categories": [{"id": 3, "name": ["a"]}]}, "category 3 is called .'a'.;"),
    ],
)
def test_a_wrong_entry_is_one_line_that_names_file_thing_and_cure(tmp_path, changes, says):
    path = annotations(tmp_path / "bad.json", **{"boxes": [], **changes})
    with pytest.raises(UserError, match=rf"bad\.json: {says}") as error:
        read_lvis(path, "val")
    assert "\n" not in str(error.value)


def test_a_url_that_leads_out_of_the_folder_is_refused(given, tmp_path):
    images = [{**image(7), "coco_url": "http://images.cocodataset.org/../7.jpg"}]
    val = annotations(tmp_path / "bad.json", images=images, boxes=[])
    with pytest.raises(UserError, match="is not the name of a file inside the folder"):
        write_lvis(tmp_path / "out", images=given["images"], val=val)


def test_ids_written_as_text_are_numbers_and_a_flag_is_none(given, tmp_path):
    given["val"] = annotations(
        tmp_path / "text.json", images=[image(7, absent=["9", 1.0]), IMAGES[1]]
    )
    write_lvis(tmp_path / "out", **given)
    assert imported(tmp_path / "out/val")["000000000007"].meta["absent"] == [
        "bow_(weapon)",
        "aerosol_can",
    ]
    bad = annotations(tmp_path / "bad.json", images=[image(7, absent=[True])], boxes=[])
    with pytest.raises(UserError, match=r"image 7 has neg_category_ids \[True\], expected ids of"):
        read_lvis(bad, "val")


def test_the_synonyms_of_two_numbers_of_one_class_are_united(given, tmp_path):
    more = [{"id": 8, "name": "aerosol_can", "synonyms": "spray", "frequency": "c"}]
    given["val"] = annotations(tmp_path / "v.json", categories=[*CATEGORIES, *more])
    manifest = write_lvis(tmp_path / "out", **given)["val"]
    assert manifest["synonyms"] == {"aerosol_can": ["aerosol can", "spray can", "spray"]}


def test_how_frequent_the_classes_of_a_picture_are(given, tmp_path):
    prepared("lvis", tmp_path / "out", **given)
    found = imported(tmp_path / "out/val")
    marks = {"aerosol_can": "c", "air_conditioner": "f"}
    assert found["000000000007"].meta["frequency"] == marks
    assert found["000000000003"].meta["frequency"] == {"aerosol_can": "c"}


def test_a_mark_that_lvis_does_not_know_is_left_out(given, tmp_path):
    odd = [{**row, "frequency": 7} if row["id"] == 1 else row for row in CATEGORIES]
    prepared(
        "lvis", tmp_path / "out", **{**given, "val": annotations(given["val"], categories=odd)}
    )
    found = imported(tmp_path / "out/val")
    assert found["000000000007"].meta["frequency"] == {"air_conditioner": "f"}


def test_masks_are_kept_where_they_are_asked_for(given, tmp_path):
    prepared("lvis", tmp_path / "out", **given, masks="true")
    found = imported(tmp_path / "out/val")
    for record in found.values():
        [mask] = masks_of(record)
        assert mask.any()
    prepared("lvis", tmp_path / "bare", **given)
    assert all("masks" not in record.meta for record in imported(tmp_path / "bare/val").values())
