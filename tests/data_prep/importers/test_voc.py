"""The VOC importer: corners counted from 1, difficult objects, splits, and XML that is no data."""

import pytest

from cloc.data.samples.record import Region
from cloc.data.shards.manifest import read_manifest
from cloc.errors import BadSample, UserError
from data_prep.importers.voc import parse_annotation, read_voc, write_voc
from tests.helpers.imported import draw, imported, prepared

PART = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>3</xmax></bndbox></part>"


def thing(name, *box, difficult=0, more=""):
    sides = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=False)
    corners = "".join(f"<{side}>{value}</{side}>" for side, value in sides)
    return f"""
  <object>
    {more}
    <name>{name}</name>
    <pose>Unspecified</pose>
    <truncated>0</truncated>
    <difficult>{difficult}</difficult>
    <bndbox>{corners}</bndbox>
  </object>"""


def annotation(name, *things, size=(40, 30)):
    return f"""<annotation>
  <folder>VOC2012</folder>
  <filename>{name}</filename>
  <source><database>The VOC2007 Database</database></source>
  <size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>
  <segmented>0</segmented>{"".join(things)}
</annotation>
"""


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "VOCdevkit/VOC2012"
    (folder / "Annotations").mkdir(parents=True)
    (folder / "ImageSets/Main").mkdir(parents=True)
    things = {
        "2008_000008": (
            thing("diningtable", 1, 1, 40, 30, more=PART),
            thing("person", "10.5", 5, 20, 15.25),
            thing("person", 5, 5, 9, 9, difficult=1),
        ),
        "2008_000015": (thing("dog", 3, 4, 3, 4), thing("dog", 9, 9, 8, 12)),
        "2008_000019": (),
    }
    for name, objects in things.items():
        draw(folder / f"JPEGImages/{name}.jpg")
        (folder / f"Annotations/{name}.xml").write_text(annotation(f"{name}.jpg", *objects))
    lists = {"train": "2008_000015\n2008_000008\n", "val": "2008_000019 \n"}
    lists["person_train"] = "2008_000008  1\n2008_000015 -1\n"
    for name, text in lists.items():
        (folder / f"ImageSets/Main/{name}.txt").write_text(text)
    return folder


def rewrite(folder, content, name="2008_000015"):
    (folder / f"Annotations/{name}.xml").write_bytes(content.encode())


def test_corners_count_from_one_and_belong_to_the_box(folder, tmp_path):
    prepared("voc", tmp_path / "out", folder=folder)
    train = imported(tmp_path / "out/train")
    assert list(train) == ["2008_000008", "2008_000015"]
    whole = (0.0, 0.0, 40.0, 30.0)  # 1 to 40, 1 to 30: the whole picture
    assert train["2008_000008"].regions == (
        Region(whole, "dining table", source="voc", label="diningtable"),
        Region((9.5, 4.0, 20.0, 15.25), "person", source="voc", label="person"),
    )
    assert [r.box for r in train["2008_000015"].regions] == [(2, 3, 3, 4)]  # a single pixel
    assert list(imported(tmp_path / "out/val")) == ["2008_000019"]


def test_difficult_objects_and_boxes_without_an_inside_are_counted(folder, tmp_path):
    manifest = write_voc(tmp_path / "out", folder=folder)["train"]
    assert manifest["drops"] == {"difficult": 1, "box_reversed": 1}
    classes = {"diningtable": ["dining table"], "dog": ["dog"], "person": ["person"]}
    assert manifest["classes"] == classes
    assert read_manifest(tmp_path / "out/val")["classes"] == classes  # those of all splits


def test_splits_are_lists_of_image_sets_those_of_classes_too(folder, tmp_path):
    prepared("voc", tmp_path / "out", folder=folder, splits=["person_train"])
    assert len(imported(tmp_path / "out/person_train")) == 2
    says = r"trainval\.txt: no such list; change splits= to some of train, val$"
    with pytest.raises(UserError, match=says):
        read_voc(folder, splits=["trainval"])
    with pytest.raises(UserError, match="splits is empty"):
        read_voc(folder, splits=[])
    with pytest.raises(UserError, match="no ImageSets/Main there"):
        read_voc(folder.parent, splits=["train"])
    with pytest.raises(UserError, match="inside the folder"):
        read_voc(folder, splits=["../Main/train"])


TENFOLD = "".join(f'<!ENTITY a{i} "{10 * f"&a{i - 1};"}">' for i in range(1, 10))
BOMB = f'<!DOCTYPE x [<!ENTITY a0 "ha">{TENFOLD}]><annotation>&a9;</annotation>'  # 2 GB of it
OUTSIDE = """<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("text", [BOMB, OUTSIDE, "<!DOCTYPE annotation><annotation/>"])
def test_a_doctype_is_refused_before_its_entities_are_read(text, encoding):
    with pytest.raises(BadSample, match=r"a\.xml: .*it has a DOCTYPE") as error:
        parse_annotation(text.encode(encoding), "a.xml")
    assert error.value.reason == "annotation"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("<annotation><object>", r"not an annotation in XML \(no element found"),
        ("", "not an annotation in XML"),
        ("<?xml version='1.0' encoding='nope'?><annotation/>", "not an annotation in XML"),
        ("<html></html>", "its outer tag is 'html', expected 'annotation'"),
        ("<annotation><x>&nbsp;</x></annotation>", "not an annotation in XML"),
        (annotation("a.jpg", "<object><name>dog</name></object>"), "object 0: it has no name or"),
        (annotation("a.jpg", thing(" ", 1, 1, 5, 5)), "object 0: it has no name or no bndbox"),
        (annotation("a.jpg", thing("dog", 1, 1, 5)), "object 0: ymax is '', expected a number"),
        (annotation("a.jpg", thing("dog", 1, "nan", 5, 5)), "object 0: ymin is 'nan', expected"),
        (annotation("a.jpg", size=("x", 3)), "width is 'x', expected a number of pixels"),
    ],
)
def test_a_wrong_file_ends_the_import_or_costs_its_picture_within_the_budget(
    folder, tmp_path, content, says
):
    rewrite(folder, content)
    with pytest.raises(UserError, match=rf"2008_000015\.xml: {says}.*1 of 2") as error:
        write_voc(tmp_path / "out", folder=folder)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out/train").exists()
    train = write_voc(tmp_path / "out", folder=folder, budget=0.5)["train"]
    assert (train["samples"], train["drops"]) == (1, {"difficult": 1, "annotation": 1})


def test_missing_files_and_other_sizes_are_counted(folder, tmp_path):
    rewrite(folder, annotation("2008_000015.jpg", size=(30, 40)))
    (folder / "JPEGImages/2008_000008.jpg").unlink()
    (folder / "ImageSets/Main/val.txt").write_text("2008_000019\n2008_000099\n")
    with pytest.raises(UserError, match=r"_000015\.jpg: .* 40x30 .*2 of 2 samples .* budget=1\)"):
        write_voc(tmp_path / "a", folder=folder, splits=["train"], budget=1.0)
    with pytest.raises(
        UserError, match=r"2008_000015\.jpg: the picture is 40x30 pixels, it is annotated as 30x4"
    ):
        write_voc(tmp_path / "b", folder=folder, splits=["train"], budget=0.5)
    val = write_voc(tmp_path / "c", folder=folder, splits=["val"], budget=0.5)["val"]
    assert (val["samples"], val["drops"]) == (1, {"annotation": 1})


def test_a_picture_has_the_images_name_or_the_one_its_annotation_says(folder, tmp_path):
    jpeg = folder / "JPEGImages/2008_000015.jpg"
    for number, stale in enumerate(("elsewhere.jpg", "/old/a.jpg")):  # its own name is there
        rewrite(folder, annotation(stale, size=(0, 0)))  # a size of nobody's
        assert write_voc(tmp_path / f"a{number}", folder=folder)["train"]["samples"] == 2
    rewrite(folder, annotation("elsewhere.jpg"))
    jpeg.rename(folder / "JPEGImages/elsewhere.jpg")
    assert write_voc(tmp_path / "b", folder=folder)["train"]["samples"] == 2
    rewrite(folder, annotation("../JPEGImages/elsewhere.jpg"))
    with pytest.raises(UserError, match="inside the folder"):
        write_voc(tmp_path / "c", folder=folder)


@pytest.mark.parametrize(
    ("difficult", "kept"),
    [("1", 0), ("True", 0), (" yes ", 0), ("0", 1), ("false", 1), ("", 1), ("Unspecified", 1)],
)
def test_difficult_is_what_it_says(difficult, kept):
    content = annotation("a", thing("dog", 1, 1, 9, 9, difficult=difficult), size=("40.0", "30"))
    found = parse_annotation(content.encode(), "a.xml")
    assert [o.is_difficult for o in found.objects] == [not kept]
    assert found.size == (40, 30)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"difficult": "very"}, "object 0: difficult is 'very', expected 1 or 0"),
        ({"size": ("wide", 30)}, "width is 'wide', expected a number of pixels"),
        ({"size": (40.5, 30)}, "its size is 40.5 x 30, expected whole numbers of pixels"),
        ({"corner": "1_0"}, "object 0: xmin is '1_0', expected a number of pixels"),
    ],
)
def test_a_value_that_says_nothing_is_named(changes, says):
    corner, size = changes.get("corner", 1), changes.get("size", (40, 30))
    one = thing("dog", corner, 1, 9, 9, difficult=changes.get("difficult", 0))
    with pytest.raises(BadSample, match=says):
        parse_annotation(annotation("a", one, size=size).encode(), "a.xml")


@pytest.mark.parametrize("name", ["2008_000008.JFIF", "2008_000008.png", "2008_000008"])
def test_a_picture_is_found_by_its_name_whatever_it_ends_in(folder, name):
    place = folder / "JPEGImages"
    (place / "2008_000008.jpg").rename(place / name)
    dataset = read_voc(folder, splits=["train"])
    assert dataset.find_picture("2008_000008", "") == place / name
