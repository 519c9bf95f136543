"""Reading tars: order, the allowlist, and a shard that is not there or not whole."""

import pickle

import pytest

from cloc.data.read import read_samples
from cloc.errors import UserError
from tests.helpers.shards import write_tar


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('executed')",))


def test_samples_come_in_shard_order_with_allowlisted_members_only(tmp_path):
    evil = pickle.dumps(Bomb())
    first = write_tar(
        tmp_path / "a.tar", {"2.JPG": b"j", "2.txt": b"t", "2.pkl": evil, "1.jpg": b"k"}
    )
    second = write_tar(tmp_path / "b.tar", {"1.png": b"p", "1.pyd": evil, "1.json": b"{}"})
    samples = list(read_samples([str(first), str(second)], key="data.train"))
    assert samples == [
        {"__key__": "2", "__url__": str(first), "jpg": b"j", "txt": b"t"},
        {"__key__": "1", "__url__": str(first), "jpg": b"k"},
        {"__key__": "1", "__url__": str(second), "png": b"p", "json": b"{}"},
    ]


def test_a_missing_shard_is_named_with_the_key_to_change(tmp_path):
    with pytest.raises(UserError, match=r"gone.tar: the shard cannot be opened .* data\.train$"):
        list(read_samples([str(tmp_path / "gone.tar")], key="data.train"))


def test_paths_are_never_handed_to_a_shell(tmp_path):
    command = f"pipe:touch {tmp_path}/executed"
    with pytest.raises(UserError, match="cannot be opened"):
        list(read_samples([command], key="data.train"))
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("content", [b"", b"<html></html>" * 100])
def test_what_is_no_tar_is_named(tmp_path, content):
    path = tmp_path / "bad.tar"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"bad\.tar: not a readable shard") as error:
        list(read_samples([str(path)], key="data.train"))
    assert "\n" not in str(error.value)


def test_a_tar_cut_in_the_middle_is_named(tmp_path):
    path = write_tar(tmp_path / "a.tar", {"1.jpg": b"j" * 5000, "2.jpg": b"k" * 5000})
    path.write_bytes(path.read_bytes()[:8000])
    with pytest.raises(UserError, match=r"a\.tar: not a readable shard"):
        list(read_samples([str(path)], key="data.train"))


def test_two_members_of_one_name_are_refused(tmp_path):
    path = write_tar(tmp_path / "a.tar", {"1.jpg": b"j", "1.JPG": b"k"})
    with pytest.raises(UserError, match=r"a\.tar: not a readable shard .*duplicate"):
        list(read_samples([str(path)], key="data.train"))
