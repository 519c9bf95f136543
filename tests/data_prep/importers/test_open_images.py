"""The Open Images importer: classes, boxes grouped by image, narratives as captions."""

import json

import pytest

from cloc.data.samples.record import Caption, Region
from cloc.errors import UserError
from data_prep.importers.open_images import read_classes, write_open_images
from tests.data_prep.importers.written import jpeg, written

COLUMNS = (
    "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,"
    "IsDepiction,IsInside"
)
CLASSES = '/m/011k07,Tortoise\n/m/0120dh,Sea turtle\n/m/0dnr7,"(made of)Textile"\n'


def box(image="0001", label="/m/011k07", corners="0.25,0.75,0.5,1", group="0", score="1"):
    """XMin, XMax, YMin, YMax."""
    return f"{image},xclick,{label},{score},{corners},0,0,{group},0,0"


@pytest.fixture
def given(tmp_path):
    (tmp_path / "images").mkdir()
    for name in ("0001", "0002", "0003"):
        (tmp_path / f"images/{name}.jpg").write_bytes(jpeg())
    (tmp_path / "classes.csv").write_text(CLASSES)
    (tmp_path / "boxes.csv").write_text("\n".join([COLUMNS, box(), box("0002", "/m/0120dh"), ""]))
    files = {name: tmp_path / f"{name}.csv" for name in ("classes", "boxes")}
    return {"images": tmp_path / "images", **files}


def put(given, *lines):
    given["boxes"].write_text("\n".join([COLUMNS, *lines]))


def test_boxes_are_pixels_and_the_text_is_the_class(given, tmp_path):
    manifest = write_open_images(tmp_path / "out", **given)["train"]
    first, second = written(tmp_path / "out/train")
    source = {"source": "open_images"}
    corners = (10.0, 15.0, 30.0, 30.0)
    assert (first.key, first.captions) == ("0001", ())
    assert first.regions == (Region(corners, "Tortoise", label="Tortoise", **source),)
    assert second.regions == (Region(corners, "Sea turtle", label="Sea turtle", **source),)
    assert manifest["classes"] == {
        **{"Tortoise": ["Tortoise"], "Sea turtle": ["Sea turtle"]},
        **{"(made of)Textile": ["(made of)Textile"]},
    }
    assert manifest["drops"] == {}


def test_groups_and_boxes_without_area_are_left_out_and_counted(given, tmp_path):
    lines = [
        *(box(), box(group="1"), box(group="-1", score="0.5")),
        *(box(corners="0.5,0.4,0.1,0.9"), box(corners="0.5,0.501,0.1,0.9")),
    ]
    put(given, *lines)
    drops = write_open_images(tmp_path / "out", **given)["train"]["drops"]
    assert drops == {"group": 1, "box_reversed": 1, "box_small": 1}
    assert [r.score for r in written(tmp_path / "out/train")[0].regions] == [1.0, 0.5]


def test_narratives_are_captions_and_images_without_a_box_follow(given, tmp_path):
    rows = [
        {"dataset_id": "x", "image_id": "0003", "annotator_id": 1, "caption": "A shore."},
        {"image_id": "0001", "caption": "A turtle.", "timed_caption": [], "traces": [[{"x": 1}]]},
        {"image_id": "0001", "caption": "It rests."},
    ]
    path = tmp_path / "narratives.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    write_open_images(tmp_path / "out", **given, narratives=path, split="validation")
    records = {r.key: r for r in written(tmp_path / "out/validation")}
    assert [*records] == ["0001", "0002", "0003"]
    source = "localized_narratives"
    assert records["0001"].captions == (Caption("A turtle.", source), Caption("It rests.", source))
    assert records["0003"].captions == (Caption("A shore.", source),)
    assert (records["0002"].captions, records["0003"].regions) == ((), ())


def test_narratives_of_train_come_in_ten_files_and_its_pictures_in_sixteen_folders(given, tmp_path):
    for number, image in enumerate(("0001", "0002")):
        path = tmp_path / f"train_v6_localized_narratives-0000{number}-of-00010.jsonl"
        path.write_text(json.dumps({"image_id": image, "caption": image}))
        (tmp_path / "images/train_0").mkdir(exist_ok=True)
        (tmp_path / f"images/{image}.jpg").rename(tmp_path / f"images/train_0/{image}.jpg")
    write_open_images(tmp_path / "out", **given, narratives=tmp_path / "*narratives-*.jsonl")
    found = {r.key: r.captions[0].text for r in written(tmp_path / "out/train")}
    assert found == {"0001": "0001", "0002": "0002"}


def test_an_image_that_comes_back_is_refused(given, tmp_path):
    put(given, box(), box("0002"), box())
    with pytest.raises(UserError, match=r"image 0001 comes back after others.*sort the file by Im"):
        write_open_images(tmp_path / "out", **given)
    assert not (tmp_path / "out/train").exists()


def test_missing_pictures_are_counted_under_the_budget(given, tmp_path):
    put(given, box(), box("0009"), box("../0001"))
    with pytest.raises(UserError, match=r"\(2 of 3 samples cannot be used, budget=0\.01\)"):
        write_open_images(tmp_path / "out", **given)
    manifest = write_open_images(tmp_path / "out", **given, budget=0.7)["train"]
    assert (manifest["samples"], manifest["drops"]) == (1, {"missing": 2})


@pytest.mark.parametrize("head", ["LabelName,DisplayName\n", "id,name\n", ""])
def test_class_files_with_and_without_a_line_of_columns(tmp_path, head):
    (tmp_path / "c.csv").write_text(head + CLASSES)
    found = read_classes(tmp_path / "c.csv")
    assert found["/m/0dnr7"] == "(made of)Textile"
    assert len(found) == 3


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("classes", "/m/1\n", "line 1 is '/m/1', expected a class and its name; give class-descr"),
        ("classes", b"\xff,x\n", "not a table in UTF-8"),
        ("classes", None, "no such file; give it with classes=FILE"),
        ("boxes", "ImageID,LabelName\n", "no column 'Confidence' among ImageID, LabelName; give"),
        ("boxes", "", "no column 'ImageID' among "),
        ("boxes", f"{COLUMNS}\n{box(label='/m/9')}", "line 2 is of class '/m/9', which the class"),
        ("boxes", f"{COLUMNS}\n{box()}\n{box(corners='a,1,0,1')}", "line 3 is no box; download"),
        ("boxes", f"{COLUMNS}\n{box(score='nan')}", "line 2 is no box"),
        ("boxes", f"{COLUMNS}\n{box()[:-4]}", "line 2 is no box"),
    ],
)
def test_a_wrong_file_is_one_line(given, tmp_path, file, content, says):
    if content is None:
        given[file].unlink()
    else:
        given[file].write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=says) as error:
        write_open_images(tmp_path / "out", **given)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out/train").exists()


def test_narratives_of_another_form_are_refused(given, tmp_path):
    (tmp_path / "n.jsonl").write_text('{"image_id": "0001", "text": "x"}')
    with pytest.raises(UserError, match=r"n\.jsonl: a line has no 'caption'; give Localized"):
        write_open_images(tmp_path / "out", **given, narratives=tmp_path / "n.jsonl")


def test_a_group_is_one_however_it_is_written_and_unknown_is_none(given, tmp_path):
    flags = ["True", "1.0", "False", "0.0", "", "-1"]
    put(given, *(box(group=flag) for flag in flags))
    manifest = write_open_images(tmp_path / "out", **given)["train"]
    assert (manifest["regions"], manifest["drops"]) == (4, {"group": 2})
    put(given, box(), box(group="many"))
    says = r"boxes\.csv: line 3 has IsGroupOf 'many', expected true or false, 1 or 0"
    with pytest.raises(UserError, match=says):
        write_open_images(tmp_path / "no", **given)


def test_a_class_of_two_names_is_refused_with_both(given):
    given["classes"].write_text(CLASSES + "/m/011k07,Turtle\n")
    with pytest.raises(UserError, match="class /m/011k07 is called 'Tortoise' and 'Turtle'"):
        read_classes(given["classes"])
    given["classes"].write_text(CLASSES + "/m/011k07, Tortoise\n")
    assert len(read_classes(given["classes"])) == 3
