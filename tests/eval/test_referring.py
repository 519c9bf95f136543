"""Reading RefCOCO from plain JSON, and what a wrong file is told."""

import json
import pickle
import shutil
from pathlib import Path

import pytest

from cloc.errors import UserError
from cloc.eval.referring import read_proposals, read_referring

ROOT = Path(__file__).parent / "regions/referring"


def read(folder, pictures=ROOT / "train2014"):
    return read_referring(folder, pictures=pictures, key="k.root")


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(ROOT / "refcoco", tmp_path / "refcoco")
    return tmp_path / "refcoco"


def test_the_golden_files():
    found = read(ROOT / "refcoco")
    assert set(found) == {"val", "testA"}
    first, second = found["val"]
    assert first.sentences == ("green thing",)
    assert first.targets.tolist() == [[24, 0, 32, 12]]
    assert len(first.boxes) == 4
    assert second.sentences == ("pink", "the pink thing below")
    assert second.targets.tolist() == [[0, 20, 32, 32]] * 2
    assert second.example(second.boxes).image.size == (32, 32)


def test_a_sentence_may_be_a_plain_text_and_the_list_one_object_a_line():
    for old, new in zip(read(ROOT / "refcoco")["val"], read(ROOT / "refcoco+")["val"], strict=True):
        assert (old.sentences, old.names) == (new.sentences, new.names)


def test_a_picture_is_found_under_its_name_of_2017(tmp_path):
    for number in (1, 2, 3):
        (tmp_path / f"{number:012d}.jpg").write_bytes(b"")
    assert [s.path.name for s in read(ROOT / "refcoco", tmp_path)["val"]] == [
        "000000000001.jpg",
        "000000000002.jpg",
    ]


class Trap:
    def __reduce__(self):
        return exec, ("raise SystemExit('it ran')",)


def test_a_pickle_is_never_read(folder):
    (folder / "refs.json").unlink()
    (folder / "refs(unc).p").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(UserError, match=r"refs\(unc\).p is a pickle, which can run code, and is"):
        read(folder)
    (folder / "refs.json").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(UserError, match=r"refs.json: this is no JSON"):
        read(folder)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ann_id": 99}, "means annotation 99 of image 3, which instances.json has not; give the"),
        ({"image_id": 1}, "means annotation 38 of image 1, which instances.json has not"),
        ({"sentences": [7]}, r"ref 5 has the sentence 7, expected a text or"),
        ({"sentences": []}, "ref 5 has no sentence; remove it"),
        ({"sentences": "red"}, r"refs\[0\] has sentences='red', expected a list"),
        ({"split": None}, r"refs\[0\] has split=None, expected a text"),
    ],
)
def test_a_wrong_ref_is_told_in_one_line(folder, change, says):
    path = folder / "refs.json"
    refs = json.loads(path.read_text())
    refs[0].update(change)
    path.write_text(json.dumps(refs))
    with pytest.raises(UserError, match=says) as told:
        read(folder)
    assert "\n" not in str(told.value)


def test_a_missing_picture_and_a_file_of_training_alone(folder, tmp_path):
    with pytest.raises(UserError, match=r"000000000001.png: no such picture; 3 of 3"):
        read(folder, tmp_path)
    path = folder / "refs.json"
    refs = [{**ref, "split": "train"} for ref in json.loads(path.read_text())]
    path.write_text(json.dumps(refs))
    with pytest.raises(UserError, match=r"all refs are of split train"):
        read(folder)


def test_proposals_are_by_image_and_in_corners():
    found = read_proposals(ROOT / "refcoco/proposals.json", [1, 2], key="k")
    assert {image: len(boxes) for image, boxes in found.items()} == {1: 3, 3: 2}
    assert found[3].tolist() == [[0, 0, 8, 12], [24, 0, 28, 8]]
