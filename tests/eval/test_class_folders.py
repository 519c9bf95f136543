"""A folder for each class, and a file of names."""

import shutil
from pathlib import Path

import pytest

from cloc.errors import UserError
from cloc.eval.class_folders import read_class_folders, read_names

ROOT = Path(__file__).parent / "regions/zero_shot/folders"


@pytest.fixture
def root(tmp_path):
    shutil.copytree(ROOT, tmp_path / "folders")
    return tmp_path / "folders"


def test_the_golden_folders():
    examples, folders = read_class_folders(ROOT, names=3, key="k")
    assert folders == ["n0", "n1", "n2"]
    assert [e.meta["class"] for e in examples] == [0, 0, 0, 0, 1, 1, 2]
    assert examples[4].key == "n1/0.png"
    assert examples[0].image.getpixel((20, 20)) == (255, 0, 0)
    assert len({e.digest for e in examples[:3]}) == 3


def test_folders_inside_a_folder_count_and_other_files_do_not(root):
    (root / "n2/inner").mkdir()
    shutil.copy(root / "n2/0.png", root / "n2/inner/1.PNG")
    (root / "n2/notes.txt").write_text("none")
    (root / ".hidden").mkdir()
    examples, folders = read_class_folders(root, names=None, key="k")
    assert len(folders) == 3
    assert [e.key for e in examples if e.meta["class"] == 2] == ["n2/0.png", "n2/inner/1.PNG"]


def test_what_is_told(root):
    with pytest.raises(
        UserError, match=r"3 folders, but 4 class names; they must be as many"
    ) as told:
        read_class_folders(root, names=4, key="a.root")
    assert "set a.root to the folders of these names, or a.classnames to" in str(told.value)
    (root / "n3").mkdir()
    with pytest.raises(UserError, match=r"n3: no picture in it \(jpg, .*remove the folder"):
        read_class_folders(root, names=4, key="k")
    with pytest.raises(UserError, match=r"nowhere: no such folder; set k to"):
        read_class_folders(root / "nowhere", names=4, key="k")
    with pytest.raises(UserError, match=r"n0: no folder of a class in it; set k"):
        read_class_folders(root / "n0", names=4, key="k")


def test_names(tmp_path):
    assert read_names(ROOT / "classnames.txt", cure="") == ["red", "green", "blue"]
    file = tmp_path / "names.txt"
    for text, says in {"red\n\nblue\n": "line 2 is empty", "\n": "the file is empty"}.items():
        file.write_text(text)
        with pytest.raises(UserError, match=says):
            read_names(file, cure="")
    file.write_bytes(b"\xef\xbb\xbfred\r\nSt\xc3\xbchl\r\n")
    assert read_names(file, cure="") == ["red", "Stühl"]
    file.write_bytes("grün\nStühl\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"names.txt: not UTF-8 \(.*\); save it as UTF-8$"):
        read_names(file, cure="")
    with pytest.raises(UserError, match=r"nowhere.txt: no such file; set k$"):
        read_names(tmp_path / "nowhere.txt", cure="set k")
