"""CLIP_benchmark's tars: read where they lie, nothing extracted."""

import io
import shutil
import tarfile
from pathlib import Path

import pytest

from cloc.errors import UserError
from cloc.eval.class_tars import read_class_tars

ROOT = Path(__file__).parent / "regions/zero_shot/wds/test"


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(ROOT, tmp_path / "test")
    return tmp_path / "test"


def pack(path, **members):
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            member = tarfile.TarInfo(name.replace("_", "."))
            if data is None:
                member.type, member.linkname = tarfile.SYMTYPE, "elsewhere"
            else:
                member.size = len(data)
            tar.addfile(member, None if data is None else io.BytesIO(data))


def test_the_golden_tars():
    found = read_class_tars(ROOT, classes=3, key="k")
    assert [e.meta["class"] for e in found] == [0, 0, 0, 0, 2, 1, 1]
    assert [e.key for e in found[3:5]] == ["0/s0000003", "1/s0000000"]
    assert found[4].image.getpixel((20, 20)) == (0, 0, 255)
    assert len({e.digest for e in found[:3]}) == 3


def test_ten_tars_come_in_the_order_of_their_numbers(folder):
    for number in range(2, 11):
        shutil.copy(folder / "0.tar", folder / f"{number}.tar")
    (folder / "nshards.txt").write_text("11\n")
    keys = [e.key.partition("/")[0] for e in read_class_tars(folder, classes=3, key="k")]
    assert list(dict.fromkeys(keys)) == [str(number) for number in range(11)]


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"a_png": b"x"}, r"0.tar::a has png; expected one of jpg, .* and cls"),
        ({"a_cls": b"1"}, "0.tar::a has cls; expected one of"),
        ({"a_png": None, "a_cls": b"1"}, "0.tar::a has cls; expected"),  # a link is no picture
        ({"a_png": b"x", "a_cls": b"3"}, "a.cls is '3', expected a number of 0 to 2"),
        ({"a_png": b"x", "a_cls": b"red"}, "a.cls is 'red', expected a number"),
        ({"a_png": b"x", "a_cls": b"-1"}, "a.cls is '-1', expected a number"),
        ({}, "no sample in it"),
    ],
)
def test_a_wrong_sample_is_told_in_one_line(folder, members, says):
    pack(folder / "0.tar", **members)
    with pytest.raises(UserError, match=says) as told:
        read_class_tars(folder, classes=3, key="k")
    assert "\n" not in str(told.value)


def test_a_broken_tar_a_missing_one_and_none(folder):
    (folder / "0.tar").write_bytes(b"no tar at all" * 100)
    with pytest.raises(UserError, match=r"0.tar: not a whole tar .*; get it again"):
        read_class_tars(folder, classes=3, key="k")
    (folder / "0.tar").unlink()
    with pytest.raises(UserError, match=r"nshards.txt: it says '2' tars, there are 1; get the"):
        read_class_tars(folder, classes=3, key="k")
    (folder / "1.tar").unlink()
    with pytest.raises(UserError, match=r"no tar in it; set k to a folder as CLIP_benchmark"):
        read_class_tars(folder, classes=3, key="k")
