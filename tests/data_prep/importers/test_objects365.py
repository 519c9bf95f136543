"""The Objects365 importer: three layouts on disk, and pictures that no archive holds."""

import json

import pytest

from cloc.data.samples.record import Region
from cloc.data.shards.manifest import read_manifest
from cloc.errors import UserError
from data_prep.importers.objects365 import read_objects365, write_objects365
from tests.helpers.imported import draw, imported, prepared

NAME = "images/v1/patch8/objects365_v1_00420917.jpg"
SECOND = "images/v2/patch16/objects365_v2_00908726.jpg"
URL = "http://farm5.static.flickr.com/4050/4437532.jpg"
CATEGORIES = [{"name": "Person", "id": 1}, {"name": "Cabinet/shelf", "id": 19}]


def image(number, name):
    row = {"height": 30, "id": number, "license": 5, "width": 40, "file_name": name}
    return {**row, "url": URL}


def box(number, image_id, category, bbox, crowd=0):
    row = {"id": number, "iscrowd": crowd, "isfake": 0, "area": 9.5, "isreflected": 0}
    return {**row, "bbox": bbox, "image_id": image_id, "category_id": category}


def annotations(path, *, images=((420917, NAME), (908726, SECOND))):
    boxes = [
        box(97, 420917, 19, [10.5, 5, 9.25, 10]),
        box(98, 420917, 1, [0, 0, 20, 20], crowd=1),
        box(99, 420917, 1, [-3, -3, 20, 20]),
    ]
    rows = [image(*pair) for pair in images]
    data = {"images": rows, "annotations": boxes, "categories": CATEGORIES, "licenses": []}
    path.write_text(json.dumps(data))
    return path


def test_regions_are_called_in_lower_case_and_labelled_as_the_set_has_it(tmp_path):
    draw(tmp_path / "o365" / NAME)
    draw(tmp_path / "o365" / SECOND)
    train = annotations(tmp_path / "zhiyuan_objv2_train.json")
    prepared("objects365", tmp_path / "out", images=tmp_path / "o365", train=train)
    found = imported(tmp_path / "out/train")["000000420917"]
    assert found.regions == (
        Region(
            (10.5, 5.0, 19.75, 15.0), "cabinet/shelf", source="objects365", label="Cabinet/shelf"
        ),
        Region((0.0, 0.0, 17.0, 17.0), "person", source="objects365", label="Person"),
    )
    assert found.meta == {"image_id": 420917, "license": 5}
    manifest = read_manifest(tmp_path / "out/train")
    assert manifest["classes"] == {"Person": ["person"], "Cabinet/shelf": ["cabinet/shelf"]}
    assert manifest["drops"] == {"crowd": 1}


@pytest.mark.parametrize("place", [NAME, "val/patch8/{}", "patch8/{}"])
def test_a_picture_is_found_in_each_of_three_places(tmp_path, place):
    name = NAME.rpartition("/")[2]
    draw(tmp_path / "o365" / place.format(name))
    val = annotations(tmp_path / "val.json", images=[(420917, NAME)])
    manifests = write_objects365(tmp_path / "out", images=tmp_path / "o365", val=val)
    assert manifests["val"]["samples"] == 1


def test_missing_pictures_are_counted_and_more_than_the_budget_end_the_import(tmp_path):
    draw(tmp_path / "o365" / NAME)
    train = annotations(tmp_path / "train.json")
    given = {"images": tmp_path / "o365", "train": train}
    says = r"train/patch16/objects365_v2_00908726\.jpg: .*\(1 of 2 samples .* budget=0\.01"
    with pytest.raises(UserError, match=says):
        write_objects365(tmp_path / "out", **given)
    manifest = write_objects365(tmp_path / "out", **given, budget=0.5)["train"]
    assert manifest["drops"] == {"crowd": 1, "missing": 1}


def test_a_picture_of_another_size_than_annotated_counts_as_size(tmp_path):
    draw(tmp_path / "o365" / NAME)
    draw(tmp_path / "o365" / SECOND, (30, 40))  # turned: it is known of a few
    train = annotations(tmp_path / "train.json")
    write_objects365(tmp_path / "out", images=tmp_path / "o365", train=train, budget=0.5)
    assert read_manifest(tmp_path / "out/train")["drops"] == {"crowd": 1, "size": 1}


@pytest.mark.parametrize("budget", [-0.1, 1.5])
def test_a_budget_must_be_a_share(tmp_path, budget):
    train = annotations(tmp_path / "train.json")
    with pytest.raises(UserError, match=f"budget={budget} is not a share of the samples"):
        write_objects365(tmp_path / "out", images=tmp_path, train=train, budget=budget)


def test_of_an_object_only_what_is_used_is_held_in_memory(tmp_path):
    found = read_objects365(annotations(tmp_path / "train.json"), "train")
    kept = {"id", "image_id", "category_id", "bbox", "iscrowd"}
    assert {key for row in found.boxes[420917] for key in row} == kept
