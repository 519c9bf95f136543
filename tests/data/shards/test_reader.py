"""Reading samples: by place and in order, the allowlist, and a shard that is not there or whole."""

import gc
import pickle

import pytest

from cloc.data.shards.index import write_index
from cloc.data.shards.reader import Reader, read_samples
from cloc.data.shards.shard_set import open_shards
from cloc.errors import BadSample, UserError
from tests.helpers.shards import write_tar


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('executed')",))


def shard(path, members):
    write_tar(path, members)
    write_index(path)
    return str(path)


@pytest.fixture
def pair(tmp_path):
    """A shard of two samples of one image each."""
    return shard(tmp_path / "a.tar", {"1.jpg": b"j" * 5000, "2.jpg": b"k" * 5000})


def test_samples_come_in_shard_order_with_allowlisted_members_only(tmp_path):
    evil = pickle.dumps(Bomb())
    first = shard(tmp_path / "a.tar", {"2.JPG": b"j", "2.txt": b"t", "2.pkl": evil, "1.jpg": b"k"})
    second = shard(tmp_path / "b.tar", {"1.png": b"p", "1.pyd": evil, "1.json": b"{}"})
    both = open_shards([first, second], key="data.train")
    samples = list(read_samples(both, key="data.train"))
    assert samples == [
        {"__key__": "2", "__url__": first, "jpg": b"j", "txt": b"t"},
        {"__key__": "1", "__url__": first, "jpg": b"k"},
        {"__key__": "1", "__url__": second, "png": b"p", "json": b"{}"},
    ]


def test_a_sample_is_read_by_its_number(pair):
    read = Reader(key="data.train")
    assert [read(pair, i, count=2)["__key__"] for i in (1, 0, 1)] == ["2", "1", "2"]


def test_a_missing_shard_is_named_with_the_key_to_change(tmp_path, pair):
    (tmp_path / "a.tar").unlink()
    with pytest.raises(UserError, match=r"a.tar: the shard cannot be opened .* data\.train$"):
        Reader(key="data.train")(pair, 0, count=2)


def test_paths_are_never_handed_to_a_shell(tmp_path):
    command = f"pipe:touch {tmp_path}/executed"
    with pytest.raises(UserError):
        Reader(key="data.train")(command, 0, count=1)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("content", [b"", b"<html></html>" * 2000])
def test_samples_of_what_is_no_tar_are_bad(tmp_path, pair, content):
    (tmp_path / "a.tar").write_bytes(content)
    for i in range(2):
        with pytest.raises(BadSample, match=rf"a\.tar::#{i} of 2: ") as error:
            Reader(key="data.train")(pair, i, count=2)
        assert error.value.reason == "tar"
        assert "\n" not in str(error.value)


def test_of_a_cut_tar_only_the_whole_samples_are_read(tmp_path, pair):
    (tmp_path / "a.tar").write_bytes((tmp_path / "a.tar").read_bytes()[:8000])
    read = Reader(key="data.train")
    assert read(pair, 0, count=2)["jpg"] == b"j" * 5000
    with pytest.raises(BadSample, match=r"a\.tar::#1 of 2: .* cut"):
        read(pair, 1, count=2)


def test_a_manifest_that_counts_otherwise_is_named(pair):
    with pytest.raises(UserError, match=r"a\.tar: its index counts 2 samples, the manifest 3;"):
        Reader(key="data.train")(pair, 0, count=3)


def broken(path, how):
    """One shard that cannot be read, in one of the ways there are."""
    if how == "gone":
        path.unlink()
    elif how == "index gone":
        path.with_suffix(".idx").unlink()
    elif how == "index broken":
        path.with_suffix(".idx").write_bytes(b"x" * 24)
    elif how == "index short":
        path.with_suffix(".idx").write_bytes(path.with_suffix(".idx").read_bytes()[:-8])
    else:
        path.unlink()
        path.mkdir()


@pytest.mark.parametrize("how", ["gone", "index gone", "index broken", "index short", "folder"])
def test_a_shard_that_cannot_be_read_costs_its_samples_alone(tmp_path, pair, how):
    other = shard(tmp_path / "b.tar", {"1.jpg": b"j"})
    broken(tmp_path / "a.tar", how)
    read = Reader(key="data.train")
    for _ in range(20):
        with pytest.raises(BadSample) as error:
            read(pair, 0, count=2)
        assert error.value.reason == "shard"
        assert str(error.value).startswith(str(tmp_path / "a."))
        assert read(other, 0, count=1)["jpg"] == b"j"


def test_a_shard_that_failed_is_asked_for_again_after_a_while(tmp_path, pair, monkeypatch):
    path, content = tmp_path / "a.tar", (tmp_path / "a.tar").read_bytes()
    path.unlink()
    now = [0.0]
    monkeypatch.setattr("cloc.data.shards.reader.time.monotonic", lambda: now[0])
    read = Reader(key="data.train")
    for now[0] in (0.0, 59.0):
        with pytest.raises(BadSample):
            read(pair, 0, count=2)
        path.write_bytes(content)
    now[0] = 61.0
    assert read(pair, 0, count=2)["__key__"] == "1"


def test_shards_are_closed_when_many_are_read(tmp_path, monkeypatch):
    gc.collect()  # what other tests left
    closed = []
    monkeypatch.setattr("cloc.data.shards.reader.OPEN_SHARDS", 2)
    monkeypatch.setattr("cloc.data.shards.reader._Shard.__del__", lambda self: closed.append(1))
    paths = [shard(tmp_path / f"{i}.tar", {"a.jpg": b"x"}) for i in range(5)]
    read = Reader(key="k")
    for path in paths:
        read(path, 0, count=1)
    assert len(closed) == 3
