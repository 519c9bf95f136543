"""Indexes in a folder of their own: made once, by whoever comes first, for disks and URLs."""

import os
import shutil
import threading

import fsspec
import numpy as np
import pytest

from cloc.data.shards import index_places as module
from cloc.data.shards import remote
from cloc.data.shards.index import index_path, read_index
from cloc.data.shards.index_places import Indexes, index_key
from cloc.data.shards.reader import read_samples
from cloc.data.shards.shard_set import open_shards
from cloc.errors import UserError
from tests.helpers.loaders import assert_equal, loader
from tests.helpers.server import serve
from tests.helpers.shards import make_shards, write_tar

EACH = 5


@pytest.fixture
def bare(tmp_path):
    """A folder of tars as somebody else wrote it: no manifest, no index."""
    folder = make_shards(tmp_path / "set", shards=3, each=EACH)
    for path in (*folder.glob("*.idx"), folder / "manifest.json"):
        path.unlink()
    return folder


@pytest.fixture
def place(tmp_path):
    return tmp_path / "indexes"


def made(place):
    return sorted(place.glob("*/*.idx"))


def test_a_set_on_a_disk_that_cannot_be_written_has_its_indexes_in_the_folder(bare, place):
    bare.chmod(0o555)
    try:
        shards = open_shards(bare, key="data.train", index_folder=str(place))
        assert shards.counts.tolist() == [EACH] * 3
        keys = [sample["__key__"] for sample in read_samples(shards, key="data.train")]
        assert keys == [f"{i:05d}" for i in range(3 * EACH)]
    finally:
        bare.chmod(0o755)
    assert len(made(place)) == 3
    assert not list(bare.glob("*.idx"))
    before = [path.stat().st_mtime_ns for path in made(place)]
    assert open_shards(bare, key="data.train", index_folder=str(place)).digest == shards.digest
    assert [path.stat().st_mtime_ns for path in made(place)] == before
    assert not [path for path in place.rglob("*") if "partial" in path.name]


def test_without_the_folder_the_line_names_the_key(bare):
    tar = f"{bare}/shard-000000.tar"
    for key, folder in (("data.train", "data.index_folder"), ("splits.val", "index_folder")):
        with pytest.raises(UserError, match=rf"write_index=true {tar}, or give {folder}=DIR"):
            open_shards(bare, key=key)
    assert index_key("TRUE") == ""
    with pytest.raises(UserError, match=rf"write_index=true {tar}$"):
        open_shards(bare, key="TRUE")


def test_an_index_beside_its_shard_is_taken_and_none_made(tmp_path, place):
    folder = make_shards(tmp_path / "set", shards=2, each=EACH)
    open_shards(f"{folder}/*.tar", key="k", index_folder=str(place))
    assert not made(place)


def test_another_tar_under_the_same_name_has_another_index(bare, place):
    indexes, tar = Indexes(str(place), "k"), bare / "shard-000000.tar"
    first = indexes.find(str(tar))
    shutil.copy(bare / "shard-000001.tar", tar)
    os.utime(tar, ns=(1, 1))
    second = indexes.find(str(tar))
    assert first != second
    assert indexes.find(str(tar)) == second
    tar.write_bytes(tar.read_bytes() + bytes(10_240))
    os.utime(tar, ns=(1, 1))
    assert indexes.find(str(tar)) not in (first, second)


def test_the_same_tar_by_another_path_of_the_same_folder_is_the_same(bare, place, monkeypatch):
    monkeypatch.chdir(bare)
    indexes = Indexes(str(place), "k")
    assert indexes.find("shard-000000.tar") == indexes.find(f"{bare}/shard-000000.tar")


def test_many_at_once_make_each_index_once(bare, place, monkeypatch):
    scans = []
    real = module.scan
    monkeypatch.setattr(module, "scan", lambda *a, **k: scans.append(k["name"]) or real(*a, **k))
    found = []

    def work():
        shards = open_shards(bare, key="k", index_folder=str(place))
        found.append(shards.counts.tolist())

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[EACH] * 3] * 6
    assert len(scans) == 3


@pytest.mark.parametrize("how", ["a file", "not writable"])
def test_a_folder_that_cannot_be_written_is_named(bare, tmp_path, how):
    blocked = tmp_path / "blocked"
    blocked.write_bytes(b"")
    folder = blocked if how == "a file" else "/proc/indexes"
    with pytest.raises(UserError, match=rf"^data\.index_folder={folder}: the index of .*give a f"):
        open_shards(bare, key="data.train", index_folder=str(folder))


@pytest.mark.parametrize("folder", ["", "s3://bucket/indexes"])
def test_a_folder_elsewhere_is_refused(bare, folder):
    with pytest.raises(UserError, match=rf"^data\.index_folder={folder}: give a folder of this"):
        open_shards(bare, key="data.train", index_folder=folder)


def test_a_shard_that_is_gone_is_named_and_not_the_folder(bare, place):
    shards = open_shards(bare, key="data.train", index_folder=str(place))
    (bare / "shard-000001.tar").unlink()
    with pytest.raises(UserError, match=r"shard-000001\.tar: .*restore it or change data\.train"):
        list(read_samples(shards, key="data.train"))


def test_a_tar_that_is_none_is_told_as_ever_and_nothing_is_kept(tmp_path, place):
    tar = write_tar(tmp_path / "a.tar", {"a.jpg": b"1"})
    tar.write_bytes(b"\x1f\x8b" + tar.read_bytes())
    with pytest.raises(UserError, match="compressed by gzip"):
        open_shards(tar, key="data.train", index_folder=str(place))
    assert not made(place)


def test_a_damaged_index_in_the_folder_is_named_with_its_cure(bare, place):
    indexes = Indexes(str(place), "k")
    kept = indexes.find(f"{bare}/shard-000000.tar")
    with open(kept, "r+b") as file:
        file.truncate(12)
    with pytest.raises(UserError, match=r"\.idx: an index of 12 bytes.*remove "):
        open_shards(bare, key="k", index_folder=str(place))


def test_a_set_behind_http_is_trained_on_as_from_the_folder(bare, place, monkeypatch):
    monkeypatch.setattr(remote, "FIRST_WAIT_S", 0.01)
    local = open_shards(bare, key="data.train", index_folder=str(place))
    with serve(bare) as server:
        spec = f"{server.url}/shard-00000{{0..2}}.tar"
        with pytest.raises(UserError, match=r"no index; .* or give data\.index_folder=DIR"):
            open_shards(spec, key="data.train")
        far = open_shards(spec, key="data.train", index_folder=str(place))
        assert far.digest == local.digest
        assert len(made(place)) == 6
        assert_equal(loader(far, steps=3), list(loader(local, steps=3)))
        server.asked.clear()
        open_shards(spec, key="data.train", index_folder=str(place))
        assert not server.gets(".idx")  # nor is one asked for that is not there


def test_a_set_in_a_store_of_objects(bare, place):
    store = fsspec.filesystem("memory")
    for path in bare.glob("*.tar"):
        store.pipe(f"/bucket/{path.name}", path.read_bytes())
    try:
        shards = open_shards(
            "memory://bucket/shard-00000{0..2}.tar", key="k", index_folder=str(place)
        )
        assert shards.counts.tolist() == [EACH] * 3
        keys = [sample["__key__"] for sample in read_samples(shards, key="k")]
        assert len(set(keys)) == 3 * EACH
    finally:
        store.rm("/bucket", recursive=True)


def test_what_is_kept_is_what_would_lie_beside(bare, place):
    tar = f"{bare}/shard-000001.tar"
    kept = Indexes(str(place), "k").find(tar)
    shutil.copy(kept, index_path(tar))
    assert np.array_equal(read_index(tar), np.fromfile(kept, "<i8"))
