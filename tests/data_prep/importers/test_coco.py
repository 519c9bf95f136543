"""The COCO importer: boxes, words, bytes, and every way an annotation file can be wrong."""

import json
import tarfile
from collections import Counter

import numpy as np
import PIL.Image
import pytest

from cloc.data.samples.record import Caption, Region, from_json, to_json
from cloc.data.shards.manifest import read_manifest
from cloc.errors import UserError
from data_prep.importers.coco import read_coco, write_coco
from data_prep.masks import masks_of
from tests.helpers.imported import imported, prepared
from tests.helpers.photos import MINI, NEEDS_MINI
from tests.helpers.rle import compressed, plain


def annotation(number, image, box, category=1, **more):
    return {"id": number, "image_id": image, "category_id": category, "bbox": box, **more}


def make_set(folder, *, annotations, images=(7, 3), captions=None, size=(40, 30)):
    """Pictures of 40 x 30 and their files; returns the arguments of `read_coco`."""
    (folder / "pictures").mkdir(parents=True)
    rows = []
    for number in images:
        PIL.Image.new("RGB", (40, 30), (number, 0, 0)).save(folder / f"pictures/{number}.jpg")
        row = {"id": number, "file_name": f"{number}.jpg", "license": 4}
        rows.append({**row, "width": size[0], "height": size[1]})
    categories = [{"id": 1, "name": "cat"}, {"id": 5, "name": "traffic light"}]
    data = {"images": rows, "annotations": annotations, "categories": categories}
    (folder / "instances.json").write_text(json.dumps(data))
    given = {"images": folder / "pictures", "instances": folder / "instances.json"}
    if captions is not None:
        (folder / "captions.json").write_text(json.dumps({"annotations": captions}))
        given["captions"] = folder / "captions.json"
    return given


def records(given):
    dataset = read_coco(**given)
    return [dataset.record(image_id, Counter()) for image_id in dataset.rows]


def test_boxes_become_corners_clipped_to_the_image_and_text_is_the_category(tmp_path):
    boxes = [annotation(2, 7, [10, 5, 50, 10], 5), annotation(1, 7, [-2, 0, 12, 8.5])]
    three, seven = records(make_set(tmp_path, annotations=boxes))
    assert (three.key, seven.key) == ("000000000003", "000000000007")  # by image id
    assert three.regions == ()
    assert seven.regions == (  # by annotation id
        Region((0.0, 0.0, 10.0, 8.5), "cat", source="coco", label="cat"),
        Region((10.0, 5.0, 40.0, 15.0), "traffic light", source="coco", label="traffic light"),
    )
    assert seven.meta == {"image_id": 7, "license": 4}


def test_the_files_own_bytes_are_stored(tmp_path):
    given = make_set(tmp_path, annotations=[])
    for record in records(given):
        assert record.image == (tmp_path / f"pictures/{record.meta['image_id']}.jpg").read_bytes()
        assert (record.extension, record.width, record.height) == ("jpg", 40, 30)


def test_the_extension_is_by_content_not_by_name(tmp_path):
    given = make_set(tmp_path, annotations=[], images=(7,))
    PIL.Image.new("RGB", (40, 30)).save(tmp_path / "pictures/7.jpg", "PNG")
    assert [record.extension for record in records(given)] == ["png"]


def test_a_licence_is_told_by_its_address_and_counted_in_the_manifest(tmp_path):
    given = make_set(tmp_path, annotations=[])
    data = json.loads(given["instances"].read_text())
    by = {"id": 4, "name": "Attribution License", "url": "http://creativecommons.org/by/2.0/"}
    for licences, told in (
        ([{"id": 1}, by], by["url"]),
        ([{**by, "url": ""}], by["name"]),
        ([{"id": 5, "name": "x"}, 7], 4),
    ):
        given["instances"].write_text(json.dumps({**data, "licenses": licences}))
        assert [r.meta["license"] for r in records(given)] == [told] * 2
    given["instances"].write_text(json.dumps({**data, "licenses": [by]}))
    assert write_coco(tmp_path / "out", **given)["train"]["license"] == {by["url"]: 2}


def test_captions_keep_their_words_and_order_of_ids(tmp_path):
    captions = [
        {"id": 9, "image_id": 7, "caption": " A cat \n sits.\n"},
        {"id": 4, "image_id": 7, "caption": "Un chat"},
    ]
    three, seven = records(make_set(tmp_path, annotations=[], captions=captions))
    assert three.captions == ()
    assert seven.captions == (Caption("Un chat", "coco"), Caption("A cat sits.", "coco"))


def test_crowds_and_boxes_without_an_inside_are_left_out_and_counted(tmp_path):
    boxes = [
        annotation(1, 7, [0, 0, 20, 20], iscrowd=1),
        annotation(2, 7, [5, 5, 0, 9]),
        annotation(3, 7, [5, 5, 9, 0.4]),
        annotation(4, 7, [39.5, 5, 9, 9]),  # half a pixel is inside the image
        annotation(5, 7, [5, 5, 1, 1]),
        annotation(6, 7, [9, 9, -4, 5]),
        annotation(7, 7, [41, 5, 9, 9]),
    ]
    dataset = read_coco(**make_set(tmp_path, annotations=boxes))
    drops = Counter()
    assert [region.box for region in dataset.record(7, drops).regions] == [(5, 5, 6, 6)]
    assert drops == {"crowd": 1, "box_reversed": 2, "box_small": 2, "box_outside": 1}
    assert not dataset.record(3, drops).regions
    seven = dataset.record(7, drops)
    assert seven.meta["not_exhaustive"] == [seven.regions[0].label]
    assert "not_exhaustive" not in dataset.record(3, drops).meta


def test_what_is_imported_is_what_a_shard_reader_accepts(tmp_path):
    boxes = [annotation(1, 7, [38.999, 5, 1.0009, 9])]
    seven = records(make_set(tmp_path, annotations=boxes))[1]
    text = json.dumps(to_json(seven))
    again = from_json(seven.key, seven.image, seven.extension, text, "here")
    assert again.regions[0].box == (39.0, 5, 40, 14)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (annotation("x", 7, [9, 9, 4, 5]), "annotations x has id 'x', expected a whole number"),
        (annotation(31, 7, [9, float("nan"), 4, 5]), "annotation 31: bbox .* not finite"),
        (annotation(31, 7, [9, 10**400, 4, 5]), "annotation 31: bbox .* not finite"),
        (annotation(31, 7, [9, 9, 4]), "annotation 31: bbox .* is not .x, y, width, height"),
        (annotation(31, 7, [9, 9, 4, 5], 2), "annotation 31: category_id 2 .* 2 categories"),
        (annotation(31, 8, [9, 9, 4, 5]), "annotation 31 belongs to image 8"),
        ({"id": 31, "image_id": 7}, "annotations 31 has no 'category_id'"),
        ("no object", "annotations 1 has no 'id'"),
    ],
)
def test_a_bad_annotation_is_one_line_that_names_file_thing_and_cure(tmp_path, bad, says):
    given = make_set(tmp_path, annotations=[annotation(1, 7, [0, 0, 9, 9]), bad])
    with pytest.raises(UserError, match=rf"instances\.json: {says}.*(correct|add)") as error:
        records(given)
    assert "\n" not in str(error.value)


def test_a_missing_picture_is_named_with_its_cure_or_counted_within_the_budget(tmp_path):
    given = make_set(tmp_path, annotations=[])
    (tmp_path / "pictures/7.jpg").unlink()
    says = r"7\.jpg: the picture cannot be read .* image 7: .* images=DIR.* budget=.*1 of 2 samples"
    with pytest.raises(UserError, match=says):
        write_coco(tmp_path / "out", **given)
    assert not (tmp_path / "out/train").exists()
    manifest = write_coco(tmp_path / "out", **given, budget=0.5)["train"]
    assert (manifest["samples"], manifest["drops"]) == (1, {"missing": 1})


@pytest.mark.parametrize("name", ["../pictures/7.jpg", "/7.jpg", "", 7])
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path, name):
    given = make_set(tmp_path, annotations=[])
    text = given["instances"].read_text().replace('"7.jpg"', json.dumps(name))
    given["instances"].write_text(text)
    with pytest.raises(UserError, match=r"image 7: .* is not the name of a file inside the folder"):
        records(given)


def test_a_picture_of_another_size_than_annotated_is_refused(tmp_path):
    given = make_set(tmp_path, annotations=[], size=(30, 40))
    with pytest.raises(UserError, match=r"3\.jpg: the picture is 40x30 .* annotated as 30x40"):
        records(given)


def test_a_file_that_is_no_picture_is_refused(tmp_path):
    given = make_set(tmp_path, annotations=[])
    (tmp_path / "pictures/3.jpg").write_text("hello")
    with pytest.raises(UserError, match=r"3\.jpg: not a readable picture"):
        records(given)


def test_wrong_annotation_files_are_named_with_their_key(tmp_path):
    given = make_set(tmp_path, annotations=[])
    with pytest.raises(UserError, match=r"none\.json: no such file; .* instances=FILE"):
        read_coco(given["images"], instances=tmp_path / "none.json")
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(UserError, match=r"list\.json: no list 'annotations'; .* captions=FILE"):
        read_coco(**given, captions=tmp_path / "list.json")
    (tmp_path / "cut.json").write_text('{"images": [')
    with pytest.raises(UserError, match=r"cut\.json: not JSON"):
        read_coco(given["images"], instances=tmp_path / "cut.json")


def test_captions_that_no_shard_takes_are_counted(tmp_path):
    bad = ["  ", None, "\ud83d", 10_001 * "a", *["A dog"] * 100]
    captions = [{"id": i, "image_id": 7, "caption": text} for i, text in enumerate(bad)]
    given = make_set(tmp_path, annotations=[], captions=[*captions, {**captions[-1], "id": 200}])
    train = write_coco(tmp_path / "out", **given)["train"]
    assert (train["samples"], train["drops"]) == (2, {"caption": 5})


def test_captions_of_other_images_are_counted_and_refused_where_they_are_all(tmp_path):
    captions = [{"id": i, "image_id": i, "caption": "A cat"} for i in (7, 8, 9)]
    given = make_set(tmp_path, annotations=[], captions=captions)
    assert write_coco(tmp_path / "out", **given)["train"]["drops"] == {"caption_elsewhere": 2}
    given["captions"].write_text(json.dumps({"annotations": captions[1:]}))
    says = r"captions\.json: no caption is of an image of .*instances\.json; give .* captions=FILE"
    with pytest.raises(UserError, match=says):
        read_coco(**given)


def test_captions_alone_are_a_set_of_the_images_that_they_list(tmp_path):
    captions = [{"id": 4, "image_id": 7, "caption": "A cat"}]
    given = make_set(tmp_path, annotations=[], captions=captions)
    with pytest.raises(UserError, match=r"captions\.json: no list 'images'; .* captions=FILE"):
        read_coco(given["images"], captions=given["captions"])
    whole = json.loads(given.pop("instances").read_text())
    given["captions"].write_text(json.dumps({**whole, "annotations": captions}))
    three, seven = records(given)
    assert (three.captions, seven.captions) == ((), (Caption("A cat", "coco"),))
    assert write_coco(tmp_path / "out", **given)["train"]["classes"] == {}


def test_an_image_listed_twice_is_refused(tmp_path):
    with pytest.raises(UserError, match="image 7 is listed twice"):
        read_coco(**make_set(tmp_path, annotations=[], images=(7, 3, 7)))


def split_ids(given, val):
    parts = read_coco(**given).split(val=val)
    return {name: set(ids) for name, ids in parts.items()}


def test_an_images_side_is_a_function_of_its_id_alone(tmp_path):
    few = split_ids(make_set(tmp_path / "few", annotations=[], images=range(40)), 0.3)
    many = split_ids(make_set(tmp_path / "many", annotations=[], images=range(80)), 0.3)
    assert few["val"] == {i for i in many["val"] if i < 40}
    assert few["train"] == {i for i in many["train"] if i < 40}
    assert 0.15 < len(many["val"]) / 80 < 0.45
    # Written down once: the split is the same on every machine and in every process.
    assert sorted(few["val"])[:5] == [4, 8, 9, 10, 13]


def test_images_move_only_from_train_to_val_when_val_grows(tmp_path):
    given = make_set(tmp_path, annotations=[], images=range(40))
    assert split_ids(given, 0.2)["val"] < split_ids(given, 0.5)["val"]
    assert set(split_ids(given, 0)) == {"train"}


def test_manifests_carry_classes_regions_and_drops(tmp_path):
    boxes = [annotation(1, 7, [0, 0, 9, 9]), annotation(2, 7, [0, 0, 9, 9], iscrowd=1)]
    given = make_set(tmp_path, annotations=boxes)
    write_coco(tmp_path / "out", **given, samples_per_shard=1)
    manifest = read_manifest(tmp_path / "out/train")
    assert manifest["classes"] == {"cat": ["cat"], "traffic light": ["traffic light"]}
    assert (manifest["samples"], manifest["regions"], manifest["drops"]) == (2, 1, {"crowd": 1})
    assert len(manifest["shards"]) == 2
    assert not (tmp_path / "out/val").exists()


@pytest.mark.parametrize("val", [1.0, -0.1, "much"])
def test_val_must_be_a_share(tmp_path, val):
    with pytest.raises(UserError, match=f"val={val} is not a share"):
        write_coco(tmp_path / "out", **make_set(tmp_path, annotations=[]), val=val)


def test_a_split_without_images_is_refused(tmp_path):
    given = make_set(tmp_path, annotations=[])
    with pytest.raises(UserError, match=r"val has none of the 2 images .* change val=0\.001"):
        write_coco(tmp_path / "out", **given, val=0.001)


CATEGORIES = [
    {"supercategory": "person", "isthing": 1, "id": 1, "name": "cat"},
    {"supercategory": "textile", "isthing": 0, "id": 93, "name": "banner"},
    {"supercategory": "sky", "isthing": 0, "id": 187, "name": "sky-other-merged"},
    {"supercategory": "wall", "isthing": 0, "id": 175, "name": "wall-brick"},
]


def segment(number, category, box, iscrowd=0):
    row = {"id": number, "category_id": category, "bbox": box, "area": box[2] * box[3]}
    return {**row, "iscrowd": iscrowd}


def make_panoptic(folder, *, segments, given, image=7):
    data = json.loads(given["instances"].read_text())
    rows = [{"segments_info": segments, "file_name": f"{image:012d}.png", "image_id": image}]
    data = {"images": data["images"], "annotations": rows, "categories": CATEGORIES}
    (folder / "panoptic.json").write_text(json.dumps(data))
    return folder / "panoptic.json"


SEGMENTS = [
    segment(8_000_000, 187, [0, 0, 40, 9]),
    segment(5, 1, [10, 5, 50, 10]),
    segment(6, 1, [0, 0, 9, 9], iscrowd=1),
    segment(7, 175, [0, 20, 40, 10]),
]


def test_panoptic_segments_are_regions_and_joined_stuff_is_called_as_people_call_it(tmp_path):
    given = make_set(tmp_path, annotations=[annotation(1, 7, [0, 0, 9, 9])])
    panoptic = make_panoptic(tmp_path, segments=SEGMENTS, given=given)
    dataset = read_coco(given["images"], panoptic=panoptic)
    drops = Counter()
    found = dataset.record(7, drops).regions
    assert [(r.text, r.label, r.box) for r in found] == [  # by segment id
        ("cat", "cat", (10, 5, 40, 15)),
        ("wall brick", "wall-brick", (0, 20, 40, 30)),
        ("sky", "sky-other-merged", (0, 0, 40, 9)),
    ]
    assert drops == {"crowd": 1}
    assert dataset.classes["sky-other-merged"] == ("sky",)


def test_beside_instances_the_things_of_the_panoptic_file_are_left_out_and_counted(tmp_path):
    given = make_set(tmp_path, annotations=[annotation(1, 7, [0, 0, 9, 9])])
    panoptic = make_panoptic(tmp_path, segments=SEGMENTS, given=given)
    manifest = write_coco(tmp_path / "out", **given, panoptic=panoptic)["train"]
    assert (manifest["regions"], manifest["drops"]) == (3, {"crowd": 1, "thing": 1})
    names = ["banner", "cat", "sky-other-merged", "traffic light", "wall-brick"]
    assert sorted(manifest["classes"]) == names


def test_a_file_that_is_not_panoptic_and_none_at_all_are_refused(tmp_path):
    given = make_set(tmp_path, annotations=[annotation(1, 7, [0, 0, 9, 9])])
    with pytest.raises(UserError, match="annotations 1 has no 'segments_info'"):
        read_coco(given["images"], panoptic=given["instances"])
    bad = make_panoptic(tmp_path, segments=[{"id": 3, "bbox": [0, 0, 1, 1]}], given=given)
    with pytest.raises(UserError, match="segments_info of image 7, entry 3 has no 'category_id'"):
        read_coco(given["images"], panoptic=bad)
    says = "instances is not set; give instances=, panoptic= or captions=FILE"
    with pytest.raises(UserError, match=says):
        read_coco(given["images"])


@NEEDS_MINI
def test_real_photographs_become_shards(tmp_path):
    instances = MINI / "annotations/instances_train2017.json"
    captions = MINI / "annotations/captions_train2017.json"
    pictures = MINI / "train2017"
    write_coco(tmp_path, images=pictures, instances=instances, captions=captions, val=0.25)
    train, val = (read_manifest(tmp_path / name) for name in ("train", "val"))
    # 739 annotations, 8 of them crowds, in 80 images.
    assert train["samples"] + val["samples"] == 80
    assert train["regions"] + val["regions"] == 731
    assert train["drops"]["crowd"] + val["drops"]["crowd"] == 8
    assert len(train["classes"]) == 80
    with tarfile.open(tmp_path / "val" / val["shards"][0]["name"]) as tar:
        name = tar.getnames()[0]
        stored = tar.extractfile(name).read()
    assert stored == (pictures / name).read_bytes()


@NEEDS_MINI
def test_real_photographs_with_stuff_beside_their_instances(tmp_path):
    data = json.loads((MINI / "annotations/instances_train2017.json").read_text())
    rows = []
    for image in data["images"]:
        things = [a for a in data["annotations"] if a["image_id"] == image["id"]]
        segments = [segment(a["id"], 1, a["bbox"], a["iscrowd"]) for a in things]
        segments.append(segment(1, 187, [0, 0, image["width"], image["height"] // 2]))
        rows.append({"segments_info": segments, "file_name": "x.png", "image_id": image["id"]})
    panoptic = {"images": data["images"], "annotations": rows, "categories": CATEGORIES}
    (tmp_path / "panoptic.json").write_text(json.dumps(panoptic))
    both = write_coco(
        tmp_path / "out",
        images=MINI / "train2017",
        instances=MINI / "annotations/instances_train2017.json",
        panoptic=tmp_path / "panoptic.json",
    )["train"]
    assert (both["samples"], both["regions"]) == (80, 731 + 80)
    assert both["drops"] == {"crowd": 8 + 8, "thing": 731}


def as_text(value):
    """The same, every number and flag written as text."""
    if isinstance(value, dict):
        return {name: as_text(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [as_text(inner) for inner in value]
    return value if value is None else str(value)


@pytest.mark.parametrize(
    "write", [as_text, lambda data: json.loads(json.dumps(data), parse_int=float)]
)
def test_numbers_and_flags_are_what_they_say_however_they_are_written(tmp_path, write):
    boxes = [annotation(1, 7, [0, 0, 9.5, 9], iscrowd=0), annotation(2, 7, [1, 1, 9, 9], iscrowd=1)]
    captions = [{"id": 4, "image_id": 7, "caption": "A cat"}]
    given = make_set(tmp_path, annotations=boxes, captions=captions)
    given["panoptic"] = make_panoptic(tmp_path, segments=SEGMENTS, given=given)
    expected, drops = records(given), Counter()
    read_coco(**given).record(7, drops)
    assert drops == {"crowd": 2, "thing": 1}
    for name in ("instances", "captions", "panoptic"):
        data = json.loads(given[name].read_text())
        given[name].write_text(json.dumps(write(data)))
    assert [to_json(r) | {"meta": 0} for r in records(given)] == [
        to_json(r) | {"meta": 0} for r in expected
    ]
    again = Counter()
    read_coco(**given).record(7, again)
    assert again == drops


@pytest.mark.parametrize("crowd", ["0", "False", "no", 0.0, None, ""])
def test_no_crowd_is_none_whatever_says_so(tmp_path, crowd):
    given = make_set(tmp_path, annotations=[annotation(1, 7, [0, 0, 9, 9], iscrowd=crowd)])
    assert len(records(given)[1].regions) == 1


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            '"iscrowd": 0',
            '"iscrowd": "maybe"',
            "annotation 1 has iscrowd 'maybe', expected true or",
        ),
        (
            '"iscrowd": 0',
            '"iscrowd": [0]',
            r"annotation 1 has iscrowd \[0\], expected true or false",
        ),
        ('"width": 40', '"width": "wide"', "image 7 has width 'wide', expected a whole number"),
        ('"width": 40', '"width": null', "image 7 has width None, expected a whole number"),
        ('"height": 30', '"height": true', "image 7 has height True, expected a whole number"),
        ('"image_id": 7', '"image_id": 7.5', "annotations 1 has image_id 7.5, expected a whole"),
        ('"image_id": 7', '"image_id": true', "annotations 1 has image_id True, expected a whole"),
        ("[0, 0, 9, 9]", '"[0, 0, 9, 9]"', r"annotation 1: bbox '\[0, 0, 9, 9\]' is not \[x, y"),
        ("[0, 0, 9, 9]", '[0, 0, "wide", 9]', r"annotation 1: bbox .*'wide'.* is not \[x, y"),
        (
            '"name": "cat"',
            '"name": "cat", "isthing": "so"',
            "category 1 has isthing 'so', expected",
        ),
    ],
)
def test_a_value_that_says_nothing_is_named_with_its_place(tmp_path, old, new, says):
    given = make_set(tmp_path, annotations=[annotation(1, 7, [0, 0, 9, 9], iscrowd=0)])
    text = given["instances"].read_text()
    assert old in text
    given["instances"].write_text(text.replace(old, new))
    with pytest.raises(UserError, match=rf"instances\.json: {says}") as error:
        records(given)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            '"id": 5, "name"',
            '"id": 1, "name"',
            "category 1 is called 'cat' and 'traffic light'; rem",
        ),
        ('"id": 5, "name"', '"id": "1", "name"', "category 1 is called 'cat' and 'traffic light'"),
        ('"name": "cat"', '"name": "cat", "name": "dog"', "the key 'name' .* as 'cat' and 'dog'"),
        (
            '"id": 3, "file',
            '"id": "7", "file',
            r"image 7 is listed twice, as '7\.jpg' and '3\.jpg'",
        ),
    ],
)
def test_two_names_of_one_thing_are_refused_with_both(tmp_path, old, new, says):
    given = make_set(tmp_path, annotations=[annotation(1, 7, [0, 0, 9, 9])])
    text = given["instances"].read_text()
    assert old in text
    given["instances"].write_text(text.replace(old, new))
    with pytest.raises(UserError, match=rf"instances\.json: .*{says}"):
        records(given)


def test_a_category_that_is_there_twice_is_one_where_it_is_alike(tmp_path):
    given = make_set(tmp_path, annotations=[annotation(1, 7, [0, 0, 9, 9])])
    data = json.loads(given["instances"].read_text())
    data["categories"] *= 2
    given["instances"].write_text(json.dumps(data))
    assert records(given)[1].regions[0].text == "cat"
    data["categories"][-1] = {**data["categories"][-1], "isthing": 0}
    given["instances"].write_text(json.dumps(data))
    with pytest.raises(
        UserError, match=r"category 5 \('traffic light'\) is listed twice, not alike"
    ):
        records(given)


def test_one_number_for_two_pictures_in_two_files_is_refused(tmp_path):
    captions = [{"id": 4, "image_id": 7, "caption": "A cat"}]
    given = make_set(tmp_path, annotations=[], captions=captions)
    named = {"annotations": captions, "images": [{"id": "7", "file_name": "b.jpg"}]}
    given["captions"].write_text(json.dumps(named))
    with pytest.raises(
        UserError, match=r"captions\.json: image 7 is 'b\.jpg', and '7\.jpg' in the"
    ):
        read_coco(**given)
    named["images"][0]["file_name"] = "COCO_val2014_7.jpg"  # the same, as the files of 2014 say it
    given["captions"].write_text(json.dumps(named))
    assert read_coco(**given).captions == {7: ["A cat"]}
    panoptic = make_panoptic(tmp_path, segments=SEGMENTS, given=given)
    panoptic.write_text(panoptic.read_text().replace('"3.jpg"', '"b.jpg"'))
    with pytest.raises(
        UserError, match=r"panoptic\.json: image 3 is 'b\.jpg', and '3\.jpg' in the"
    ):
        read_coco(**given, panoptic=panoptic)


SQUARE = [3, 4, 15, 4, 15, 12, 3, 12]


def square(size=(40, 30)):
    mask = np.zeros(size[::-1], bool)
    mask[4:12, 3:15] = True
    return mask


def outlined(number, segmentation=(SQUARE,), **more):
    given = list(segmentation) if isinstance(segmentation, tuple) else segmentation
    return annotation(number, 7, [3, 4, 12, 8], segmentation=given, **more)


def test_masks_are_kept_where_they_are_asked_for(tmp_path):
    boxes = [outlined(1), annotation(2, 7, [0, 0, 9, 9]), outlined(3, plain(square()))]
    given = make_set(tmp_path, annotations=boxes)
    assert "masks" not in records(given)[1].meta
    three, seven = records({**given, "masks": True})
    assert "masks" not in three.meta
    assert seven.meta["masks"] == [compressed(square()), None, compressed(square())]
    assert seven.regions == records(given)[1].regions


def test_the_command_keeps_masks_and_a_shard_reader_accepts_them(tmp_path):
    given = make_set(tmp_path, annotations=[outlined(1), outlined(2, plain(square()))])
    prepared("coco", tmp_path / "out", **given, masks="true")
    seven = imported(tmp_path / "out/train")["000000000007"]
    assert [mask.sum() for mask in masks_of(seven)] == [96, 96]


def test_a_region_that_is_left_out_takes_its_mask_along(tmp_path):
    whole = [[0, 0, 40, 0, 40, 30, 0, 30]]
    boxes = [
        outlined(1, plain(square()), iscrowd=1),
        outlined(2, whole) | {"bbox": [5, 5, 0, 9]},
        outlined(3),
        outlined(4, whole) | {"bbox": [50, 5, 9, 9]},
        outlined(5, [[1, 2, 3, 4]]),
    ]
    drops = Counter()
    dataset = read_coco(**make_set(tmp_path, annotations=boxes), masks=True)
    found = dataset.record(7, drops)
    assert found.meta["masks"] == [compressed(square()), None]
    assert drops == {"crowd": 1, "box_reversed": 1, "box_outside": 1, "mask": 1}


@pytest.mark.parametrize("bad", [7, [SQUARE[1:]], {"size": [40, 30], "counts": "x"}])
def test_a_segmentation_that_is_none_is_one_line_or_not_read_at_all(tmp_path, bad):
    given = make_set(tmp_path, annotations=[outlined(1), outlined(31, bad)])
    says = r"instances\.json: annotation 31: segmentation .*(correct|give)"
    with pytest.raises(UserError, match=says) as error:
        read_coco(**given, masks=True)
    assert "\n" not in str(error.value)
    assert len(records(given)[1].regions) == 2
    crowd = make_set(tmp_path / "c", annotations=[outlined(1), outlined(31, bad, iscrowd=1)])
    assert len(records({**crowd, "masks": True})[1].regions) == 1


def test_masks_that_nobody_has_are_refused(tmp_path):
    given = make_set(tmp_path, annotations=[annotation(1, 7, [0, 0, 9, 9]), outlined(2, [])])
    with pytest.raises(UserError, match=r"no annotation has a segmentation; set masks=false"):
        read_coco(**given, masks=True)
    given["panoptic"] = make_panoptic(tmp_path, segments=SEGMENTS, given=given)
    del given["instances"]
    with pytest.raises(UserError, match=r"masks=true is of instances, .* give instances=FILE"):
        read_coco(**given, masks=True)


def test_segments_beside_instances_have_no_masks(tmp_path):
    given = make_set(tmp_path, annotations=[outlined(1)])
    given["panoptic"] = make_panoptic(tmp_path, segments=SEGMENTS, given=given)
    seven = records({**given, "masks": True})[1]
    masks = seven.meta["masks"]
    assert masks == [compressed(square()), *[None] * (len(seven.regions) - 1)]
    assert len(masks) > 1


@NEEDS_MINI
def test_masks_of_photographs_lie_in_their_boxes():
    instances = MINI / "annotations/instances_train2017.json"
    dataset = read_coco(MINI / "train2017", instances=instances, masks=True)
    areas = {row["id"]: row for row in json.loads(instances.read_text())["annotations"]}
    said = {}
    for row in sorted(areas.values(), key=lambda row: row["id"]):
        said.setdefault(row["image_id"], []).extend([] if row["iscrowd"] else [row])
    count = 0
    for image_id in list(dataset.rows)[:20]:
        record = dataset.record(image_id, Counter())
        for region, mask, row in zip(
            record.regions, masks_of(record), said.get(image_id, []), strict=True
        ):
            rows, columns = np.nonzero(mask)
            x0, y0, x1, y1 = region.box  # sharp ends of an outline hold no centre of a pixel
            assert x0 - 1 <= columns.min() <= columns.max() + 1 <= x1 + 1
            assert y0 - 1 <= rows.min() <= rows.max() + 1 <= y1 + 1
            assert abs(mask.sum() - row["area"]) <= 0.06 * row["area"] + 8
            count += 1
    assert count > 50
