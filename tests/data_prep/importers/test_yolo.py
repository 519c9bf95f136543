"""The YOLO importer: normalized boxes and polygons, the ways data.yaml is written, bad labels."""

import PIL.Image
import pytest

from cloc.data.samples.record import Region
from cloc.data.shards.manifest import read_manifest
from cloc.errors import UserError
from data_prep.importers.yolo import label_file, read_yolo, write_yolo
from tests.helpers.imported import draw, imported, prepared

SPEC = """path: {root}
train: images/train
val: images/val
names:
  0: person
  1: traffic_light
"""


def label(folder, split, name, text):
    path = folder / f"labels/{split}/{name}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def data(tmp_path):
    """Two pictures for train, of one there is no label; one for val."""
    folder = tmp_path / "set"
    for name in ("train/a.rf.1.jpg", "train/b.png", "val/a.jpg"):
        draw(folder / "images" / name)
    label(folder, "train", "a.rf.1", "0 0.5 0.5 0.5 0.2\n\n1 0.1 0.1 0.3 0.1 0.2 0.9\n")
    label(folder, "val", "a", "1 0.25 0.5 0.5 1.0\n")
    (folder / "data.yaml").write_text(SPEC.format(root="."))
    return folder / "data.yaml"


def test_boxes_are_centre_and_size_and_polygons_are_boxed(data, tmp_path):
    prepared("yolo", tmp_path / "out", dataset=data)
    train = imported(tmp_path / "out/train")
    assert sorted(train) == ["train_a_rf_1", "train_b"]
    assert train["train_a_rf_1"].regions == (
        Region((10.0, 12.0, 30.0, 18.0), "person", source="yolo", label="person"),
        Region((4.0, 3.0, 12.0, 27.0), "traffic light", source="yolo", label="traffic_light"),
    )
    assert train["train_b"].regions == ()  # a picture without a label file
    assert imported(tmp_path / "out/val")["val_a"].regions[0].box == (0, 0, 20, 30)
    classes = {"person": ["person"], "traffic_light": ["traffic light"]}
    assert read_manifest(tmp_path / "out/val")["classes"] == classes


@pytest.mark.parametrize(
    "spec",
    [
        "train: images/train\nnames: [person, traffic_light]",
        "train: ../images/train\nnc: 2\nnames: ['person', 'traffic_light']",  # meant: images/train
        "path: elsewhere\ntrain: images/train\nnames: {0: person, 1: traffic_light}",  # moved
        "path: ../set\ntrain: [images/train]\nnames: {0: person, 1: traffic_light}",
        "train: images/train\nnames: {'1': traffic_light, '0': person}",
        "train: list.txt\ntest:\nnames: {0: person, 1: traffic_light}",
    ],
)
def test_the_ways_data_yaml_is_written(data, tmp_path, spec):
    data.with_name("list.txt").write_text("./images/train/a.rf.1.jpg\n\nimages/train/b.png\n")
    data.write_text(spec)
    manifests = write_yolo(tmp_path / "out", dataset=data)
    assert {name: (m["samples"], m["regions"]) for name, m in manifests.items()} == {
        "train": (2, 2)
    }


def test_the_licence_of_an_export_of_roboflow_is_told(data, tmp_path):
    about = "roboflow:\n  project: cats\n  version: 2\n  license: CC BY 4.0\n"
    data.write_text(SPEC.format(root=".") + about)
    assert write_yolo(tmp_path / "out", dataset=data)["train"]["license"] == {"CC BY 4.0": 2}
    assert imported(tmp_path / "out/val")["val_a"].meta == {"license": "CC BY 4.0"}


def test_labels_lie_in_labels_at_the_last_folder_images(tmp_path):
    assert label_file(tmp_path / "images/x/images/t/a.jpg") == tmp_path / "images/x/labels/t/a.txt"
    assert label_file(tmp_path / "t/images.jpg") == tmp_path / "t/images.txt"


def test_with_keypoints_only_the_box_of_a_line_is_read(data, tmp_path):
    data.write_text(data.read_text() + "kpt_shape: [2, 2]\n")
    label(data.parent, "train", "a.rf.1", "0 0.5 0.5 0.5 0.2 0.9 0.9 0 0\n")
    write_yolo(tmp_path / "out", dataset=data)
    boxes = [r.box for r in imported(tmp_path / "out/train")["train_a_rf_1"].regions]
    assert boxes == [(10, 12, 30, 18)]


def test_boxes_are_clipped_or_counted_by_reason(data, tmp_path):
    text = "0 0.0 0.5 0.5 0.2\n0 0.5 0.5 0.01 0.2\n0 0.5 0.5 0 0.2\n"
    label(data.parent, "train", "a.rf.1", text)
    drops = write_yolo(tmp_path / "out", dataset=data)["train"]["drops"]
    assert drops == {"box_small": 1, "box_reversed": 1, "unlabelled": 1}
    assert imported(tmp_path / "out/train")["train_a_rf_1"].regions[0].box == (0, 12, 10, 18)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("0 0.5 0.5 0.5", "neither a class and a box nor a polygon"),
        ("0 0.5 0.5 0.5 0.2 0.9", "neither a class and a box nor a polygon"),  # a confidence
        ("0 20 15 10 6", r"values outside \[0, 1\]; labels are normalized"),
        ("0 0.5 0.5 nan 0.2", r"values outside \[0, 1\]"),
        ("2 0.5 0.5 0.5 0.2", "class 2 is not among the 2 names"),
        ("0.5 0.5 0.5 0.5 0.2", "class 0.5 is not among"),
        ("-1 0.5 0.5 0.5 0.2", "class -1 is not among"),
        ("person 0.5 0.5 0.5 0.2", "are not numbers"),
    ],
)
def test_a_wrong_label_ends_the_import_or_costs_its_picture_within_the_budget(
    data, tmp_path, line, says
):
    label(data.parent, "train", "a.rf.1", f"0 0.5 0.5 0.5 0.2\n{line}\n")
    with pytest.raises(UserError, match=rf"a\.rf\.1\.txt:2: .*{says}.*1 of 2 samples") as error:
        write_yolo(tmp_path / "out", dataset=data)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out/train").exists()
    train = write_yolo(tmp_path / "out", dataset=data, budget=0.5)["train"]
    assert (train["samples"], train["drops"]) == (1, {"label": 1, "unlabelled": 1})


def test_a_picture_that_exif_turns_is_left_out_where_the_frame_of_its_labels_is_unknown(
    data, tmp_path
):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    draw(data.parent / "images/train/a.rf.1.jpg", exif=exif)
    with pytest.raises(UserError, match="its EXIF orientation is 6"):
        write_yolo(tmp_path / "out", dataset=data)
    drops = write_yolo(tmp_path / "out", dataset=data, budget=0.5)["train"]["drops"]
    assert drops == {"turned": 1, "unlabelled": 1}
    drops = write_yolo(tmp_path / "all", dataset=data, boxes_in="upright")["train"]["drops"]
    assert drops == {"unlabelled": 1}


def test_a_hidden_file_is_no_picture(data, tmp_path):
    (data.parent / "images/train/._b.jpg").write_bytes(b"\0\5\x16\7")
    assert write_yolo(tmp_path / "out", dataset=data)["train"]["samples"] == 2


def test_a_picture_of_another_format_is_counted(data, tmp_path):
    draw(data.parent / "images/train/c.bmp")
    drops = write_yolo(tmp_path / "out", dataset=data, budget=0.5)["train"]["drops"]
    assert drops == {"picture": 1, "unlabelled": 1}


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("names: [a", "not YAML"),
        ("!!python/object/apply:os.system ['true']", "not YAML"),
        ("names: [a]", "it names no train, val or test"),
        ("- a", "it names no train"),
        ("train: images/train", "names is None, expected a list"),
        ("train: images/train\nnames: {1: a}", "names is .1: 'a'., expected a list"),
        ("train: images/train\nnames: [yes]", "names has True; write a short name, in quotes"),
        ("train: images/tran\nnames: [a]", r"train is images/tran, and .* is not there"),
        ("train: 5\nnames: [a]", "train is 5, expected a folder"),
        ("train: images/train/b.png\nnames: [a]", r"b\.png: not a list of pictures"),
        ("train: labels/val\nnames: [a]", "there is no picture in train"),
    ],
)
def test_a_wrong_data_yaml_is_one_line_that_names_it(data, spec, says):
    data.write_text(spec)
    with pytest.raises(UserError, match=says) as error:
        read_yolo(data)
    assert "\n" not in str(error.value)


def test_a_split_without_any_label_is_refused(data):
    (data.parent / "labels/val/a.txt").unlink()
    says = r"none of the 1 pictures of val has a label file such as .*labels/val/a\.txt; put"
    with pytest.raises(UserError, match=says):
        read_yolo(data)
    with pytest.raises(UserError, match=r"no such file; give the set's data\.yaml with dataset="):
        read_yolo(data.with_name("none.yaml"))


def test_a_list_that_is_no_text_is_refused(data):
    data.write_text("train: list.txt\nnames: [a]")
    data.with_name("list.txt").write_bytes(b"a\0b.jpg\n")
    with pytest.raises(UserError, match=r"list\.txt: not a list of pictures"):
        read_yolo(data)


def test_equal_names_in_two_sets_are_told_apart(data, tmp_path):
    for name in ("one", "two"):
        draw(data.parent / name / "images/a.jpg")
        (data.parent / name / "labels").mkdir()
        (data.parent / name / "labels/a.txt").write_text("0 0.5 0.5 0.5 0.2\n")
    data.write_text("train: [one/images, two/images]\nnames: [person]")
    write_yolo(tmp_path / "out", dataset=data)
    assert list(imported(tmp_path / "out/train")) == ["one_images_a", "two_images_a"]


def test_two_pictures_that_would_be_one_sample_are_refused(data):
    draw(data.parent / "images/train/b.jpg")
    with pytest.raises(UserError, match="would be one sample; rename"):
        read_yolo(data)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ("{0: person, 1: car, 0: dog}", "the key '0' occurs twice in one mapping, as 'person' and"),
        ("{0: person, '0': dog}", "class 0 is called 'person' and 'dog'; remove one of the two"),
        ("{0: person, 1: car, '01': dog}", "class 1 is called 'car' and 'dog'"),
        ("{a: person, b: car}", "names is .*, expected a list, or a mapping"),
    ],
)
def test_a_class_of_two_names_is_refused_with_both(data, names, says):
    data.write_text(f"train: images/train\nnames: {names}")
    with pytest.raises(UserError, match=rf"data\.yaml: .*{says}"):
        read_yolo(data)


def test_pictures_behind_links_and_of_any_ending_have_their_labels(data, tmp_path):
    draw(tmp_path / "disk/c.jfif", format="JPEG")
    draw(tmp_path / "disk/IMG.2024", format="PNG")
    (data.parent / "images/train/more").symlink_to(tmp_path / "disk")
    (tmp_path / "disk/round").symlink_to(data.parent / "images/train")
    for name in ("more/c", "more/IMG.2024"):
        label(data.parent, "train", name, "0 0.5 0.5 0.5 0.2\n")
    write_yolo(tmp_path / "out", dataset=data)
    found = imported(tmp_path / "out/train")
    assert len(found["train_more_c"].regions) == len(found["train_more_IMG_2024"].regions) == 1
    assert len(found) == 4


def test_a_label_file_may_be_written_large_and_one_that_is_not_there_is_counted(data, tmp_path):
    file = data.parent / "labels/train/a.rf.1.txt"
    file.rename(file.with_suffix(".TXT"))
    train = write_yolo(tmp_path / "out", dataset=data)["train"]
    assert (train["regions"], train["drops"]) == (2, {"unlabelled": 1})
