"""Reading COCO panoptic: what a wrong file is told."""

import json
from pathlib import Path

import pytest

from cloc.errors import UserError
from cloc.eval.panoptic import read_panoptic

ROOT = Path(__file__).parent / "regions/panoptic"
FILE = ROOT / "annotations/panoptic_val2017.json"


def read(path=FILE):
    masks = ROOT / "annotations/panoptic_val2017"
    return read_panoptic(path, masks=masks, pictures=ROOT / "val2017", key="k.root")


def test_the_golden_file():
    examples, things, left_out = read()
    assert things == {"red": True, "green": True, "blue-other": False, "pink-merged": False}
    assert [example.labels for example in examples] == [
        ("red", "red", "green", "blue-other"),
        ("red", "pink-merged"),
        ("green", "blue-other"),
    ]
    assert examples[0].boxes[3].tolist() == [0, 20, 32, 32]
    assert left_out == 1
    assert len({example.digest for example in examples}) == 3
    assert all(len(example.digest) == 16 for example in examples)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.pop("categories"), r"it has no list 'categories'; give the annotation file"),
        (lambda d: d.update(annotations=[]), "its list 'annotations' is empty"),
        (lambda d: d["annotations"][0].pop("segments_info"), r"annotations\[0\] has segments_info"),
        (lambda d: d["categories"][0].pop("isthing"), r"categories\[0\] has isthing=None, exp"),
        (lambda d: d["annotations"][0].update(image_id=77), "image 77: no such image in the file"),
        (lambda d: d["categories"].pop(), "category 1 is not among the 3 of the file"),
        (lambda d: d["images"][0].update(width=640), "32x32, annotated as 640x32; give the ann"),
    ],
)
def test_another_file_is_refused_in_one_line(tmp_path, change, says):
    data = json.loads(FILE.read_text())
    change(data)
    path = tmp_path / "other.json"
    path.write_text(json.dumps(data))
    with pytest.raises(UserError, match=says) as told:
        read(path)
    assert "\n" not in str(told.value)
