"""The index of a tar: the samples webdataset would find, or an error that names the place."""

import io
import os
import subprocess
import sys
import tarfile
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
import webdataset as wds
from hypothesis import given, settings
from hypothesis import strategies as st
from webdataset.tariterators import group_by_keys, tar_file_expander

from cloc.data.samples.tar_cures import UNREAD
from cloc.data.shards.index import count, index_path, parse_index, read_index, scan, write_index
from cloc.data.shards.tar import members
from cloc.errors import UserError
from tests.helpers.shards import make_shards, write_tar


def tar_of(names, format=tarfile.PAX_FORMAT, **kinds):
    """A tar with a few bytes under each name; `kinds` gives the type of some."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=format) as tar:
        for name in names:
            info = tarfile.TarInfo(name.rstrip("/"))
            info.type = tarfile.DIRTYPE if name.endswith("/") else kinds.get(name, tarfile.REGTYPE)
            data = name.encode() if info.isreg() else b""
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


def samples(data):
    """What index and strict parser make of a tar, all suffixes allowed."""
    offsets = scan(io.BytesIO(data), name="a.tar").tolist()
    return [members(data[a:b], num_bytes=b - a, where="a.tar") for a, b in pairwise(offsets)]


def by_webdataset(data):
    source = [{"url": "a.tar", "stream": io.BytesIO(data)}]
    return [
        (s["__key__"], {k: v for k, v in s.items() if not k.startswith("__")})
        for s in group_by_keys(tar_file_expander(source))
    ]


NAMES = st.lists(
    st.tuples(
        st.sampled_from(["", "d/", "d.x/", "./", "__meta__/"]),
        st.sampled_from(["a", "b", "__c__", "k" * 150]),
        st.sampled_from([".jpg", ".JSON", ".txt", ".png", "", "/"]),
    ).map("".join),
    unique_by=str.lower,
    max_size=12,
)


@given(NAMES, st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
def test_the_samples_are_those_of_webdataset(names, format):
    data = tar_of(names, format)
    assert samples(data) == by_webdataset(data)


def test_keys_are_grouped_whatever_the_suffix_as_webdataset_does():
    data = tar_of(["a.jpg", "b.pkl", "a.json"])
    assert [key for key, _ in by_webdataset(data)] == ["a", "b", "a"]
    assert samples(data) == [
        ("a", {"jpg": b"a.jpg"}),
        ("b", {UNREAD: b"b.pkl"}),
        ("a", {"json": b"a.json"}),
    ]


def test_a_link_is_a_sample_that_cannot_be_read_and_spoils_no_other():
    data = tar_of(["a.jpg", "b.jpg", "c.jpg"], **{"b.jpg": tarfile.SYMTYPE})
    offsets = scan(io.BytesIO(data), name="a.tar").tolist()
    assert len(offsets) == 4
    with pytest.raises(UserError, match="link"):
        members(data[offsets[1] : offsets[2]], num_bytes=offsets[2] - offsets[1], where="a.tar")
    assert members(data[: offsets[1]], num_bytes=offsets[1], where="a.tar")[0] == "a"


def test_equals_the_index_of_the_shard_writer(tmp_path):
    [tar] = make_shards(tmp_path / "set", shards=1, each=9).glob("*.tar")
    written = index_path(tar).read_bytes()
    assert np.array_equal(read_index(tar), np.frombuffer(written, "<u8"))
    assert count(tar) == 9
    index_path(tar).unlink()
    assert len(write_index(tar)) == 10
    assert index_path(tar).read_bytes() == written
    assert sorted(p.suffix for p in tar.parent.iterdir()) == [".idx", ".json", ".tar"]


def test_the_shards_of_webdatasets_own_writer(tmp_path):
    """It puts the time into a PAX header of each member."""
    with wds.TarWriter(str(tmp_path / "a.tar")) as sink:
        for i in range(5):
            sink.write({"__key__": f"{i:03d}", "jpg": b"x" * 700 * i, "txt": f"text {i}"})
    offsets, data = write_index(tmp_path / "a.tar"), (tmp_path / "a.tar").read_bytes()
    assert count(tmp_path / "a.tar") == 5
    a, b = offsets[3:5].tolist()
    expected = ("003", {"jpg": b"x" * 2100, "txt": b"text 3"})
    assert members(data[a:b], num_bytes=b - a, where="") == expected


def test_a_tar_of_the_tar_program(tmp_path):
    (tmp_path / "set").mkdir()
    for name in ("a.jpg", "a.txt", "b.jpg", "b.txt"):
        (tmp_path / "set" / name).write_text(name)
    subprocess.run(["tar", "--sort=name", "-cf", "x.tar", "set"], cwd=tmp_path, check=True)
    offsets = write_index(tmp_path / "x.tar")
    assert offsets.tolist() == [512, 2560, 4608]


def test_an_empty_tar_has_no_sample(tmp_path):
    assert scan(io.BytesIO(bytes(10_240)), name="a.tar").tolist() == [0]
    (tmp_path / "a.tar").write_bytes(bytes(10_240))
    write_index(tmp_path / "a.tar")
    assert (count(tmp_path / "a.tar"), len(read_index(tmp_path / "a.tar"))) == (0, 1)


TAR = tar_of([f"{i}.{suffix}" for i in range(4) for suffix in ("jpg", "json")])


def refused(data, says):
    with pytest.raises(UserError, match=rf"^a\.tar: not a readable tar at byte [\d,]+: {says}"):
        scan(io.BytesIO(data), name="a.tar")


def test_cut_anywhere_before_the_end_mark_is_refused():
    """Zeros behind the first block of the end mark are padding, and nothing is lost with them."""
    end = 8 * 1024
    for size in range(0, end + 512, 128):
        refused(TAR[:size], "")
    for size in range(end + 512, len(TAR) + 1, 128):
        assert len(scan(io.BytesIO(TAR[:size]), name="a.tar")) == 5


def test_a_flipped_byte_in_any_header_is_refused():
    for head in range(0, 8 * 1024, 1024):
        for place in [*range(0, 148, 7), *range(156, 512, 11)]:
            data = bytearray(TAR)
            data[head + place] ^= 0x10
            refused(bytes(data), "not a tar header")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "it is empty"),
        (TAR[: 8 * 1024], "it ends without an end mark"),
        (b"not found" * 100, r"not a tar header"),
        (TAR[:1000] + b"<html>" * 200, "not a tar header"),
        (TAR + TAR, "zeros until the end were expected"),
        (TAR[: 8 * 1024] + bytes(512) + b"x", "zeros until the end were expected"),
        (TAR[: 8 * 1024] + bytes(511), "it ends without an end mark"),
    ],
    ids=["zero-byte", "no end", "words", "html later", "two tars", "tail", "short end"],
)
def test_what_is_no_whole_tar_is_refused_with_the_place(data, says):
    refused(data, says)


@given(st.binary(max_size=2000))
def test_garbage_is_refused_or_empty(data):
    try:
        offsets = scan(io.BytesIO(data), name="a.tar")
    except UserError:
        return
    assert offsets.tolist() == [0]
    assert len(data) >= 512
    assert not any(data)


def test_a_refused_tar_leaves_no_index(tmp_path):
    (tmp_path / "a.tar").write_bytes(TAR[:3000])
    with pytest.raises(UserError, match=r"a\.tar: not a readable tar at byte 3,000"):
        write_index(tmp_path / "a.tar")
    with pytest.raises(UserError, match="cannot be written"):
        write_index(tmp_path / "b.tar")
    assert [p.name for p in tmp_path.iterdir()] == ["a.tar"]


def test_an_index_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    tar = write_tar(tmp_path / "a.tar", {"a.jpg": b"1"})
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"a\.idx: .*cannot be written \(No space left on device\)"):
        write_index(tar)
    assert [p.name for p in tmp_path.iterdir()] == ["a.tar"]


def test_content_is_not_read_and_memory_is_bounded():
    """A tar of 3,000 samples of 64 MiB each, 190 GiB that are nowhere."""
    num_samples, size = 3_000, 64 << 20

    class Vast:
        """Reads as that tar; every header is made on demand."""

        at = read_bytes = 0

        def seek(self, offset, whence=0):
            self.at = offset + (num_samples * (512 + size) + 1024 if whence else 0)
            return self.at

        def read(self, length):
            Vast.read_bytes += length
            number, inner = divmod(self.at, 512 + size)
            assert inner == 0 or number == num_samples
            if number >= num_samples:
                zeros = bytes(min(length, num_samples * (512 + size) + 1024 - self.at))
                self.at += len(zeros)
                return zeros
            info = tarfile.TarInfo(f"{number}.jpg")
            info.size = size
            self.at += 512
            return info.tobuf(tarfile.USTAR_FORMAT)

    tracemalloc.start()
    offsets = scan(Vast(), name="vast.tar")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.array_equal(offsets, np.arange(num_samples + 1) * (512 + size))
    assert peak < num_samples * 40 + (
        2 << 20
    )  # 8 bytes each, more while it grows; the tail's buffer
    assert Vast.read_bytes < num_samples * 512 + (4 << 20)


def test_reading_an_index_names_what_is_wrong_and_the_cure(tmp_path):
    tar = write_tar(tmp_path / "a.tar", {"a.jpg": b"1", "b.jpg": b"2"})
    for ask in (count, read_index):
        with pytest.raises(UserError, match=r"a\.idx: .*check-shards write_index=true .*a\.tar"):
            ask(tar)
    for data in (b"", b"v1.2 3\n", bytes(12)):
        index_path(tar).write_bytes(data)
        for ask in (count, read_index):
            with pytest.raises(UserError, match=r"bytes, expected a multiple of 8; remove a\.idx"):
                ask(tar)
    for offsets in ([0, 0], [512, 0], [0, 100], [-512, 512], [0, 2**63 + 512]):
        index_path(tar).write_bytes(packed(offsets))
        with pytest.raises(UserError, match="not rising multiples of 512"):
            read_index(tar)
    index_path(tar).write_bytes(packed([0, 1024, 1 << 20]))
    assert count(tar) == 2
    with pytest.raises(
        UserError, match=r"end at byte 1,048,576 but the tar has 10,240 bytes: copy"
    ):
        read_index(tar)
    assert len(parse_index(index_path(tar).read_bytes(), name="a.idx")) == 3


def packed(offsets):
    return b"".join((n % 2**64).to_bytes(8, "little") for n in offsets)


@settings(max_examples=50)
@given(st.lists(st.integers(0, 2**64 - 1), max_size=6), st.binary(max_size=9))
def test_no_bytes_make_an_index_that_goes_back(numbers, tail):
    try:
        offsets = parse_index(packed(numbers) + tail, name="a.idx", num_bytes=2**62)
    except UserError:
        return
    assert offsets[0] >= 0
    assert (np.diff(offsets) > 0).all()


def test_no_torch_is_needed():
    code = (
        "import sys, cloc.data.shards.index, cloc.data.shards.tar; sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
