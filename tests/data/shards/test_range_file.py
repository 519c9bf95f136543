"""A stream behind a URL: the bytes of the file, in few requests, little of what is jumped over."""

import io
import os

import numpy as np
import pytest

from cloc.data.shards import range_file, remote
from cloc.data.shards.index import scan
from cloc.data.shards.range_file import RangeFile
from cloc.errors import UserError
from tests.helpers.server import serve
from tests.helpers.shards import write_tar

KIB = 1 << 10


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(range_file, "FIRST_BYTES", 4 * KIB)
    monkeypatch.setattr(range_file, "LAST_BYTES", 32 * KIB)
    with serve(tmp_path) as server:
        yield server


def fetched(server):
    """Bytes that were asked for."""
    ranges = [asked.removeprefix("bytes=").split("-") for asked in server.gets(".tar")]
    return sum(int(last) - int(first) + 1 for first, last in ranges)


def test_reads_are_those_of_the_file_whatever_the_order(server, tmp_path):
    data = os.urandom(200 * KIB)
    (tmp_path / "a.tar").write_bytes(data)
    ours, theirs = RangeFile(f"{server.url}/a.tar"), io.BytesIO(data)
    rng = np.random.default_rng(0)
    for _ in range(60):
        at, length = int(rng.integers(0, 220 * KIB)), int(rng.integers(0, 20 * KIB))
        for _ in range(int(rng.integers(1, 4))):
            assert ours.seek(at) == at
            theirs.seek(at)
            assert ours.read(length) == theirs.read(length)
            at += length
    assert ours.seek(0, os.SEEK_END) == len(data)
    assert ours.read(9) == b""


def test_small_members_come_many_at_a_time_and_large_ones_are_jumped_over(server, tmp_path):
    small = {f"{i:03d}.{suffix}": os.urandom(600) for i in range(150) for suffix in ("jpg", "txt")}
    write_tar(tmp_path / "small.tar", small)
    with (tmp_path / "small.tar").open("rb") as file:
        expected = scan(file, name="")
    found = scan(RangeFile(f"{server.url}/small.tar"), name="")
    assert np.array_equal(found, expected)
    assert len(server.gets("small.tar")) < 25  # of 300 members
    server.asked.clear()
    write_tar(tmp_path / "large.tar", {f"{i}.jpg": bytes(300 * KIB) for i in range(9)})
    scan(RangeFile(f"{server.url}/large.tar"), name="")
    assert fetched(server) < 9 * 30 * KIB


def test_what_is_not_there_is_named(server):
    with pytest.raises(UserError, match=r"gone\.tar: "):
        RangeFile(f"{server.url}/gone.tar")
