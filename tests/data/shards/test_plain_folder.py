"""Folders of other people's tars: taken by name, or refused with what would work."""

import pytest

from cloc.data.shards.plain_folder import tars_in
from cloc.errors import UserError


def fill(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return folder


def test_the_tars_are_taken_by_name_and_nothing_else(tmp_path):
    folder = fill(tmp_path / "d", "b.tar", "a.TAR", "a.idx", ".hidden.tar", "._b.tar", "notes.txt")
    fill(folder, "00000_stats.json", "00000.parquet", "b.tar.gz")
    assert tars_in(folder, "data.train") == [f"{folder}/a.TAR", f"{folder}/b.tar"]


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ([], "the folder is empty; name one that holds tars"),
        ([".hidden.tar"], "the folder is empty"),
        (["a.jpg", "b.jpg"], r"no tar and no manifest\.json, but a\.jpg, b\.jpg; name a folder"),
        ([f"{i}.jpg" for i in range(9)], r"but 0\.jpg, .*, \.\.; name"),
        (["train/manifest.json", "val/manifest.json", "x.md"], r"folders of them \(train, val\); "),
        (["train/manifest.json"], r"such as /.*/d/train, or all of them, '/"),
        (["00/0.tar", "01/1.tar"], r"\(00, 01\).*'.*/d/\*/\*\.tar'"),
        (["x.partial/a.tar"], r"no tar and no manifest\.json, but x\.partial"),
        (["a.tar.gz"], r"a\.tar\.gz: compressed by gzip.*gunzip -c .* > .*a\.tar"),
        (["a.tar", "b.tgz"], r"b\.tgz: compressed by gzip"),
        (["a.tar", "job.json"], "cloc-pretrain prepare has not finished it"),
        (["a.tar/inner.jpg"], r"a\.tar is a folder; move it away"),
        (["a.tar", "part2/b.tar"], r"tars, and folders of more \(part2\), which would be left out"),
    ],
)
def test_what_is_no_set_of_tars_is_told(tmp_path, names, says):
    (tmp_path / "d").mkdir()
    fill(tmp_path / "d", *names)
    with pytest.raises(UserError, match=f"^data.train={tmp_path}/d: .*{says}"):
        tars_in(tmp_path / "d", "data.train")


def test_a_link_that_leads_nowhere_is_told(tmp_path):
    (tmp_path / "a.tar").symlink_to("nowhere")
    with pytest.raises(UserError, match=r"a\.tar is no file that is there"):
        tars_in(tmp_path, "k")


def test_what_an_interrupted_import_left_is_no_set(tmp_path, monkeypatch):
    folder = fill(tmp_path / "train.partial", "a.tar")
    with pytest.raises(UserError, match=r"has not finished it .*give the same command again"):
        tars_in(folder, "k")
