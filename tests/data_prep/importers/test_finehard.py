"""The FineHARD importer on files of the form that FG-CLIP's reader takes."""

import json

import pytest

from cloc.data.samples.record import Caption, Region
from cloc.errors import UserError
from data_prep.importers.finehard import write_finehard
from tests.data_prep.importers.written import jpeg, written

NEGATIVES = {str(i): f"a {colour} car" for i, colour in enumerate(["red", "green", "black"])}


def info(box=(0.25, 0.5, 0.75, 1.0, 0.8), **more):
    return {
        **{"bbox": list(box), "short_expr": "a white car", "long_expr": "a white car by the sea"},
        **{"flag_short_neg": 1, "short_expr_negs": NEGATIVES, **more},
    }


def item(name="coyo_image_0/00000/00001.jpg", **more):
    return {
        **{"f_path": f"grit-20m/data-12m/{name}", "short_caption": "A car"},
        **{"caption": "A long tale of a white car.", "bbox_info": [info()], **more},
    }


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images/coyo_image_0/00000"
    folder.mkdir(parents=True)
    for number in (1, 2):
        (folder / f"0000{number}.jpg").write_bytes(jpeg())
    return tmp_path / "images"


def imported(tmp_path, images, items, **given):
    (tmp_path / "x.json").write_text(json.dumps(items))
    given = {"annotations": tmp_path / "x.json", "images": images, **given}
    manifest = write_finehard(tmp_path / "out", **given)["train"]
    return written(tmp_path / "out/train"), manifest["drops"]


def test_long_and_short_captions_boxes_and_hard_negatives(tmp_path, images):
    [record], drops = imported(tmp_path, images, [item()])
    assert record.key == "coyo_image_0/00000/00001"
    assert record.captions == (
        Caption("A long tale of a white car.", "finehard_long"),
        Caption("A car", "finehard_short"),
    )
    wrong = ("a red car", "a green car", "a black car")
    box = (10.0, 15.0, 30.0, 30.0)
    assert record.regions == (Region(box, "a white car", 0.8, "finehard", wrong),)
    assert drops == {}


def test_the_long_expression_is_a_region_of_the_same_box_without_negatives(tmp_path, images):
    both = ["short_expr", "long_expr"]
    [record], _ = imported(tmp_path, images, [item()], expressions=both)
    assert [(r.text, len(r.negatives)) for r in record.regions] == [
        ("a white car", 3),
        ("a white car by the sea", 0),
    ]
    assert record.regions[0].box == record.regions[1].box
    with pytest.raises(UserError, match="expressions: an empty list is not known; name some of"):
        imported(tmp_path, images, [item()], expressions=[])


def test_negatives_only_where_the_flag_says_so_and_never_the_text_itself(tmp_path, images):
    infos = [
        info(flag_short_neg=0),
        info(short_expr_negs={"0": "A White car", "1": "a red car", "2": "a red car", "3": " "}),
        info(short_expr_negs=None),
        info(short_expr_negs=["a blue car"]),
        info(short_expr_negs="a blue car"),
    ]
    [record], drops = imported(tmp_path, images, [item(bbox_info=infos)])
    found = [r.negatives for r in record.regions]
    assert found == [(), ("a red car",), (), ("a blue car",), ()]
    assert drops == {"negatives": 4}


def test_boxes_and_texts_that_cannot_be_used_are_counted(tmp_path, images):
    infos = [
        info(),
        info((0.5, 0.5, 0.5, 0.9)),
        info((0.5, 0.5)),
        info(bbox=None),
        "no object",
        info(short_expr=""),
        info((0.1, 0.1, 0.9, 0.9, None)),  # no score is no loss
    ]
    [record], drops = imported(tmp_path, images, [item(bbox_info=infos)])
    assert [r.score for r in record.regions] == [0.8, 1.0]
    assert drops == {"box_reversed": 1, "box_shape": 3, "text": 1}


def test_missing_pictures_are_counted_under_the_budget(tmp_path, images):
    items = [item(), item("coyo_image_0/00000/00009.jpg"), item("../../secret.jpg")]
    with pytest.raises(UserError, match=r"does not lie in .*\(2 of 3 samples cannot be used"):
        imported(tmp_path, images, items)
    records, drops = imported(tmp_path, images, items, budget=0.7)
    assert (len(records), drops) == (1, {"missing": 2})


def test_a_folder_of_files_is_read_one_after_the_other_lists_and_lines_alike(tmp_path, images):
    folder = tmp_path / "jsonfiles"
    folder.mkdir()
    (folder / "a.json").write_text(json.dumps([item()]))
    (folder / "more").mkdir()
    (folder / "more/b.JSONL").write_text(json.dumps(item("coyo_image_0/00000/00002.jpg")) + "\n")
    write_finehard(tmp_path / "out", annotations=folder, images=images)
    keys = [record.key for record in written(tmp_path / "out/train")]
    assert keys == ["coyo_image_0/00000/00001", "coyo_image_0/00000/00002"]


def test_val_takes_its_share_by_key(tmp_path, images):
    names = [f"coyo_image_0/00000/{i:05d}.jpg" for i in range(30)]
    for name in names:
        (images / name).write_bytes(jpeg(8, 8))
    (tmp_path / "x.json").write_text(json.dumps([item(name) for name in names]))
    given = {"annotations": tmp_path / "x.json", "images": images, "val": 0.4}
    counts = [m["samples"] for m in write_finehard(tmp_path / "out", **given).values()]
    assert sum(counts) == 30
    assert min(counts) > 3


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[1]", "element 1 is a int, expected an object"),
        ('[{"f_path": "a.jpg", "caption": "x"}]', "an object has no 'bbox_info'; give FineHARD's"),
        ('[{"f_path": 1, "caption": "x", "bbox_info": []}]', "f_path is 1, expected a text"),
        ('[{"f_path": ', "ends within the list"),
    ],
)
def test_wrong_annotations_are_one_line(tmp_path, images, content, says):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(UserError, match=rf"x\.json: .*{says}"):
        write_finehard(tmp_path / "out", annotations=tmp_path / "x.json", images=images)
    assert not (tmp_path / "out/train").exists()
    with pytest.raises(UserError, match=r"holds no \.json; give FineHARD's jsonfiles"):
        write_finehard(tmp_path / "out", annotations=images, images=images)


def test_numbers_and_flags_are_what_they_say_however_they_are_written(tmp_path, images):
    box = ["0.25", "0.5", "0.75", "1.0", "0.8"]
    flags = ["1", True, "True", 1.0, "0", "False", None]
    infos = [info(box, flag_short_neg=flag) for flag in flags]
    [record], drops = imported(tmp_path, images, [item(bbox_info=infos)])
    assert {(r.box, r.score) for r in record.regions} == {((10.0, 15.0, 30.0, 30.0), 0.8)}
    assert [len(r.negatives) for r in record.regions] == [3, 3, 3, 3, 0, 0, 0]
    assert drops == {}


def test_a_score_or_a_flag_that_says_nothing_is_counted(tmp_path, images):
    infos = [info((0, 0, 1, 1, "high")), info((0, 0, 1, 1, None)), info(flag_short_neg="some")]
    [record], drops = imported(tmp_path, images, [item(bbox_info=infos)])
    assert [(r.score, len(r.negatives)) for r in record.regions] == [(1.0, 3), (0.8, 0)]
    assert drops == {"score": 1, "negatives": 3}
