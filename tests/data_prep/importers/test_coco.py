"""The COCO importer: boxes, words, bytes, and every way an annotation file can be wrong."""

import json
import tarfile

import PIL.Image
import pytest

from cloc.data.record import Caption, Region, from_json, to_json
from cloc.data.shard_set import read_manifest
from cloc.errors import UserError
from data_prep.importers.coco import coco, read_coco, write_coco
from tests.helpers.photos import MINI, NEEDS_MINI


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
    dataset = read_coco(given.pop("images"), **given)
    return list(coco(dataset, dataset.entries))


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


def test_captions_keep_their_words_and_order_of_ids(tmp_path):
    captions = [
        {"id": 9, "image_id": 7, "caption": " A cat \n sits.\n"},
        {"id": 4, "image_id": 7, "caption": "Un chat"},
    ]
    three, seven = records(make_set(tmp_path, annotations=[], captions=captions))
    assert three.captions == ()
    assert seven.captions == (Caption("Un chat", "coco"), Caption("A cat sits.", "coco"))


def test_crowd_and_degenerate_boxes_are_left_out_and_counted(tmp_path):
    boxes = [
        annotation(1, 7, [0, 0, 20, 20], iscrowd=1),
        annotation(2, 7, [5, 5, 0, 9]),
        annotation(3, 7, [5, 5, 9, 0.4]),
        annotation(4, 7, [39.5, 5, 9, 9]),  # half a pixel is inside the image
        annotation(5, 7, [5, 5, 1, 1]),
    ]
    given = make_set(tmp_path, annotations=boxes)
    dataset = read_coco(given.pop("images"), **given)
    three, seven = dataset.entries
    assert dict(seven.drops) == {"crowd": 1, "degenerate": 3}
    assert not three.drops
    assert [region.box for region in seven.regions] == [(5, 5, 6, 6)]


def test_what_is_imported_is_what_a_shard_reader_accepts(tmp_path):
    boxes = [annotation(1, 7, [38.999, 5, 1.0009, 9])]
    seven = records(make_set(tmp_path, annotations=boxes))[1]
    text = json.dumps(to_json(seven))
    again = from_json(seven.key, seven.image, seven.extension, text, "here")
    assert again.regions[0].box == (39.0, 5, 40, 14)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (annotation(31, 7, [9, 9, -4, 5]), "annotation 31: bbox .* is reversed"),
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


def test_a_missing_picture_is_named_with_its_cure(tmp_path):
    given = make_set(tmp_path, annotations=[])
    (tmp_path / "pictures/7.jpg").unlink()
    with pytest.raises(
        UserError, match=r"7\.jpg: the picture cannot be read .* image 7: .* images=DIR"
    ):
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


def test_an_empty_caption_and_an_image_listed_twice_are_refused(tmp_path):
    captions = [{"id": 9, "image_id": 7, "caption": "  "}]
    given = make_set(tmp_path / "a", annotations=[], captions=captions)
    with pytest.raises(UserError, match=r"captions\.json: annotation 9 has caption '  '"):
        read_coco(**given)
    with pytest.raises(UserError, match="image 7 is listed twice"):
        read_coco(**make_set(tmp_path / "b", annotations=[], images=(7, 3, 7)))


def split_ids(given, val):
    parts = read_coco(**given).split(val=val)
    return {name: {entry.image_id for entry in entries} for name, entries in parts.items()}


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


@pytest.mark.parametrize("val", [1.0, -0.1])
def test_val_must_be_a_share(tmp_path, val):
    with pytest.raises(UserError, match=f"val={val} is not a share"):
        write_coco(tmp_path / "out", **make_set(tmp_path, annotations=[]), val=val)


def test_a_split_without_images_is_refused(tmp_path):
    given = make_set(tmp_path, annotations=[])
    with pytest.raises(UserError, match=r"val has none of the 2 images .* change val=0\.001"):
        write_coco(tmp_path / "out", **given, val=0.001)


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
