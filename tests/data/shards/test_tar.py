"""A sample from its bytes: whole and equal to what was written, or one `BadSample`."""

import io
import os
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from webdataset.tariterators import base_plus_ext

from cloc.data.samples.tar_cures import UNREAD
from cloc.data.shards import tar as tar_module
from cloc.data.shards.index import scan
from cloc.data.shards.tar import MAX_MEMBERS, members, split_name
from cloc.errors import BadSample

POISON = ["pyd", "pickle", "pkl", "pth", "seg.pyd", "PYD", "pyd.gz"]


def info(name, data=b"", **fields):
    found = tarfile.TarInfo(name)
    found.size = len(data)
    for field, value in fields.items():
        setattr(found, field, value)
    return found, data


def whole(*entries, format=tarfile.PAX_FORMAT):
    """A tar of these (TarInfo, content), end mark included."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=format) as tar:
        for entry, data in entries:
            tar.addfile(entry, io.BytesIO(data))
    return file.getvalue()


def chunk(*entries, format=tarfile.PAX_FORMAT):
    """The bytes of the members alone."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=format) as tar:
        for entry, data in entries:
            tar.addfile(entry, io.BytesIO(data))
        return file.getvalue()[: tar.offset]


def read(data):
    return members(data, num_bytes=len(data), where="a.tar::#0")


def refused(data, says, *, num_bytes=None):
    cure = "(copy|pack|keys are unique)"
    says = rf"^a\.tar::#0: at byte [\d,]+: .*{says}.*; {cure}"
    with pytest.raises(BadSample, match=says) as error:
        members(data, num_bytes=num_bytes or len(data), where="a.tar::#0")
    assert error.value.reason == "tar"
    assert "\n" not in str(error.value)


PAIR = (info("d/a.jpg", b"j" * 700), info("d/a.JSON", b"{}"))


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("kind", [bytes, memoryview])
def test_gives_key_and_members_by_lower_suffix(format, kind):
    data = kind(chunk(*PAIR, format=format))
    assert read(data) == ("d/a", {"jpg": b"j" * 700, "json": b"{}"})
    assert all(type(content) is bytes for content in read(data)[1].values())


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("key", ["k" * 300, "d" * 120 + "/" + "k" * 120, "größe", "日本" * 60])
def test_long_and_foreign_names_work(format, key):
    data = chunk(info(f"{key}.jpg", b"1"), info(f"{key}.txt", b"2"), format=format)
    assert read(data) == (key, {"jpg": b"1", "txt": b"2"})


def test_extension_headers_of_the_usual_writers_work():
    """webdataset's writer puts the time as a float into a PAX header of each member."""
    data = chunk(info("a.jpg", b"1", mtime=1.5), info("a.txt", b"2", mtime=2.5))
    assert read(data) == ("a", {"jpg": b"1", "txt": b"2"})
    big = info("a.jpg", b"1", pax_headers={"size": "1", "comment": "x=y\n1 z=3"})
    assert read(chunk(big)) == ("a", {"jpg": b"1"})


def test_a_name_that_is_not_utf8_is_spelled_out():
    data = chunk(info("a\udcff.jpg", b"1"), format=tarfile.GNU_FORMAT)
    assert read(data) == ("a\\xff", {"jpg": b"1"})
    read(data)[0].encode()


@pytest.mark.parametrize("name", ["../../a", "/abs/a", "..a/b/../c"])
def test_names_that_would_climb_are_only_names(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read(chunk(info(f"{name}.jpg", b"1"))) == (name, {"jpg": b"1"})
    assert not list(tmp_path.iterdir())


def test_poison_is_never_returned_nor_run(tmp_path):
    canary = tmp_path / "canary"
    payload = f"cos\nsystem\n(S'touch {canary}'\ntR.".encode()  # unpickling it runs a shell
    poison = [info(f"a.{suffix}", payload) for suffix in POISON]
    unique = [entry for entry in poison if entry[0].name != "a.PYD"]
    names = "\n".join(entry[0].name for entry in unique).encode()
    assert read(chunk(*unique, info("a.jpg", b"1"))) == ("a", {"jpg": b"1", UNREAD: names})
    for entry in poison:
        assert read(chunk(info("a.jpg", b"1"), entry, info("a.json", b"2"))) == (
            "a",
            {"jpg": b"1", "json": b"2"},
        )
    assert not canary.exists()
    os.system(f"touch {canary}")
    assert canary.exists()  # or the canary above proves nothing


def test_what_is_not_wanted_is_skipped_unread():
    class Watched(bytes):
        """Remembers the longest slice that was taken from it."""

        longest = 0

        def __getitem__(self, part):
            found = bytes.__getitem__(self, part)
            Watched.longest = max(Watched.longest, len(found))
            return found

    data = Watched(chunk(info("a.pkl", b"p" * 5000), info("a.jpg", b"1")))
    assert read(data) == ("a", {"jpg": b"1", UNREAD: b"a.pkl"})
    assert Watched.longest == 512


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ((PAIR[0], info("d/b.json", b"{}")), "'d/b.json' does not belong to the sample 'd/a'"),
        ((PAIR[0], info("e/a.json", b"{}")), "'e/a.json' does not belong to the sample 'd/a'"),
        ((PAIR[0], info("d/b.pkl", b"{}")), "'d/b.pkl' does not belong to the sample 'd/a'"),
        ((*PAIR, info("d/a.json", b"[]")), "'d/a.json' occurs twice"),
        ((*PAIR, info("d/a.Jpg", b"[]")), "'d/a.Jpg' occurs twice"),
        ((info("a.jpg", type=tarfile.SYMTYPE, linkname="b.jpg"),), "'a.jpg' is a link"),
        ((info("a.jpg", type=tarfile.LNKTYPE, linkname="b.jpg"),), "'a.jpg' is a link"),
        ((info("a.jpg", type=tarfile.CHRTYPE),), "'a.jpg' is a link or a special file"),
        ((info("a.jpg", type=tarfile.FIFOTYPE),), "'a.jpg' is a link or a special file"),
        ((info("a.jpg", type=tarfile.GNUTYPE_SPARSE),), "sparse"),
        ((info("a.jpg", b"1", pax_headers={"GNU.sparse.size": "9"}),), "sparse"),
        ((info("a", b"1"),), "the members end before"),  # no sample at all
        (tuple(info(f"a.{i}", b"") for i in range(MAX_MEMBERS + 1)), "more than 64 members"),
        ((info("a.jpg", b"1", pax_headers={"size": "7" * 5000}),), "a member of '777"),
        ((info("a.jpg", b"1", pax_headers={"size": "-1"}),), "a member of '-1'"),
        ((info("a.jpg", b"1", pax_headers={"size": "600"}),), "reaches beyond the sample"),
        ((info("a.jpg", b"1", pax_headers={"x": "y" * 70_000}),), "over 65,536 bytes"),
    ],
)
def test_refuses(entries, says):
    refused(chunk(*entries), says)


def test_directories_and_global_headers_between_samples_are_no_harm():
    start = info("d", type=tarfile.DIRTYPE), info("d/README", b"x"), info("__meta__/x.json", b"{}")
    assert read(chunk(*start, *PAIR, info("e", type=tarfile.DIRTYPE)))[0] == "d/a"
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", pax_headers={"comment": "all"}) as tar:
        for entry, data in PAIR:
            tar.addfile(entry, io.BytesIO(data))
        end = tar.offset
    assert read(file.getvalue()[:end])[0] == "d/a"


@pytest.mark.parametrize("cut", [0, 1, 511, 512, 1024, 1536, 2047])
def test_a_short_chunk_is_refused_even_at_the_border_of_a_member(cut):
    data = chunk(*PAIR)
    assert len(data) == 512 + 1024 + 512 + 512
    refused(data[:cut], "the sample is cut, 2,560 bytes were expected", num_bytes=len(data))


def test_the_members_must_fill_the_chunk():
    data = chunk(*PAIR)
    for rest in (bytes(512), bytes(10240), b"x", b"<html>" * 200, chunk(info("a.cls", b""))[:300]):
        refused(data + rest, "")
    refused(data[:-512], "reaches beyond the sample")
    refused(bytes(1024), "the members end before")
    refused(b"", "the members end before", num_bytes=0)


def test_a_bad_later_header_is_no_end():
    """`tarfile` takes one for the end of the archive, in silence."""
    data = bytearray(chunk(*PAIR))
    data[1536 + 3] ^= 1
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert len(tar.getmembers()) == 1
    refused(bytes(data), r"not a tar header \(bad checksum\)")


def test_extension_headers_must_be_made_of_records():
    data = chunk(info("a.jpg", b"1", mtime=1.5))
    at = data.index(b"13 mtime=1.5\n")
    for record in (b"14 mtime=1.5\n", b"00 mtime=1.5\n", b"xx mtime=1.5\n", b"13 mtime:1.5\n"):
        refused(data[:at] + record + data[at + 13 :], "not made of records")
    refused(data[: at + 5], "extension header is cut")
    refused(data[:1024], "the members end before")  # an extension without its member


def test_cost_is_bounded(monkeypatch):
    monkeypatch.setattr(tar_module, "MAX_SAMPLE_BYTES", 1000)
    refused(chunk(*PAIR), "a sample of 2,560 bytes, at most 1,000 are read")
    refused(chunk(*PAIR)[:1001], "at most 1,000 are read", num_bytes=2560)


names = st.text(st.sampled_from("ab._/-é\n"), min_size=1, max_size=12)


@given(names)
def test_names_are_cut_where_webdataset_cuts_them(name):
    key, suffix = base_plus_ext(name)
    meta = name.startswith("__") and "__" in name[2:].partition("/")[0]
    if "/._" in name and name.rpartition("/")[2].startswith("._"):  # of macOS
        assert split_name(name) == ("", "")
    elif not meta:
        assert split_name(name) == ((key, suffix.lower()) if key else ("", ""))


@given(st.binary(max_size=3000), st.booleans())
def test_garbage_is_refused(data, behind_a_header):
    if behind_a_header:
        data = chunk(info("a.jpg", b"1"))[:512] + data
    try:
        key, found = read(data)
    except BadSample:
        return
    assert (key, list(found)) == ("a", ["jpg"])  # the one byte and its padding were drawn


# --- the sweep: a shard of 20 samples, damaged, read by the index of the whole file


def shard():
    """Offsets, bytes and samples of a small tar, with PAX and GNU headers among the plain ones."""
    entries, expected = [], []
    for i in range(20):
        key = f"{i:05d}" + "x" * (120 if i % 5 == 0 else 0)
        image, text = os.urandom(100 + 97 * i % 700), f'{{"n": {i}}}'.encode()
        mtime = 0.5 if i % 7 == 3 else 0
        entries += [info(f"{key}.jpg", image, mtime=mtime), info(f"{key}.json", text)]
        expected.append((key, {"jpg": image, "json": text}))
    data = whole(*entries)
    return scan(io.BytesIO(data), name="a.tar"), data, expected


OFFSETS, TAR, SAMPLES = shard()


def counts(data):
    """(parsed, bad): each planned sample is one of the two, and a parsed one is bit-equal."""
    parsed = bad = 0
    for i, expected in enumerate(SAMPLES):
        first, last = OFFSETS[i : i + 2].tolist()
        if data is not TAR and data[first:last] == TAR[first:last]:
            parsed += 1  # read once, by the test of the whole shard
            continue
        try:
            found = members(data[first:last], num_bytes=last - first, where="a.tar")
        except BadSample:
            bad += 1
        else:
            assert found == expected
            parsed += 1
    assert parsed + bad == len(SAMPLES)
    return parsed, bad


def test_the_whole_shard_is_read():
    assert counts(TAR) == (20, 0)


def test_cut_at_every_256_bytes():
    for size in range(0, len(TAR), 256):
        assert counts(TAR[:size])[0] == int((OFFSETS[1:] <= size).sum())


def test_one_flipped_byte_in_a_header_costs_its_sample_alone():
    with tarfile.open(fileobj=io.BytesIO(TAR)) as tar:
        heads = [member.offset_data - 512 for member in tar.getmembers()]
    harmless = 0
    for head in heads:
        for place in range(512) if head == heads[1] else range(0, 512, 37):
            for flip in (1, 0x20, 0x80, 0xFF):
                data = bytearray(TAR)
                data[head + place] ^= flip
                parsed, bad = counts(bytes(data))
                assert bad <= 1
                if parsed == 20:
                    assert 148 <= place < 156  # how the checksum itself is spelled
                    harmless += 1
    assert harmless < 40


@pytest.mark.parametrize(
    "data",
    [b"", bytes(10_240), bytes(len(TAR)), b"<html>404</html>" * 5000, os.urandom(len(TAR))],
    ids=["zero-byte", "10,240 zeros", "zeros", "html", "garbage"],
)
def test_what_is_no_shard_gives_every_sample_as_bad(data):
    assert counts(data) == (0, 20)


@given(st.integers(0, len(TAR) - 1), st.integers(1, 255))
def test_a_flip_anywhere_gives_the_sample_as_bad_or_changes_its_content_alone(place, flip):
    """What is flipped within content or a long name is found by what decodes it."""
    data = bytearray(TAR)
    data[place] ^= flip
    for i, (_, expected) in enumerate(SAMPLES):
        first, last = OFFSETS[i : i + 2].tolist()
        if first <= place < last:
            try:
                _, found = members(bytes(data[first:last]), num_bytes=last - first, where="a.tar")
            except BadSample:
                continue
            long_name = i % 5 == 0
            assert long_name or {k: len(v) for k, v in found.items()} == {
                k: len(v) for k, v in expected.items()
            }
