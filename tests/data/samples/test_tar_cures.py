"""Other people's tars: which rule was broken, what was found, and a cure that works."""

import bz2
import gzip
import io
import lzma
import re
import shutil
import subprocess
import tarfile
from itertools import pairwise

import pytest

from cloc.data.samples.tar_cures import UNREAD, foreign, missing_member, refuse_name, repack
from cloc.data.shards.index import scan, write_index
from cloc.data.shards.shard_set import expand_shards
from cloc.data.shards.tar import members
from cloc.data.sources import caption_only, cloc_regions
from cloc.errors import BadSample, UserError
from tests.helpers.shards import encode, flat, write_tar

IMAGE = encode(flat(4, 4), "JPEG")


def records(path, parse=caption_only.parse):
    """Of every sample of a tar: its record's caption, or what is wrong with it."""
    data = path.read_bytes()
    for begin, end in pairwise(scan(io.BytesIO(data), name=str(path)).tolist()):
        key, found = members(data[begin:end], num_bytes=end - begin, where=str(path))
        try:
            yield parse({"__key__": key, "__url__": str(path), **found}).captions[0].text
        except BadSample as error:
            yield f"{error.reason}: {error}"


def run_cure(line, folder):
    """The command at the end of a line."""
    command = line[line.index("mkdir -p ") :]
    subprocess.run(command, shell=True, check=True, cwd=folder)
    [made] = folder.glob("*-repacked.tar")
    return made


def test_dotted_keys_are_told_by_the_rule_and_the_command_mends_them(tmp_path):
    names = {"x/lens_1.4f.jpg": IMAGE, "x/lens_1.4f.txt": b"a lens", "x/b.v2.jpg": IMAGE}
    tar = write_tar(tmp_path / "it's a.tar", {**names, "x/b.v2.txt": b"two"})
    first, second = records(tar)
    assert re.search(
        r"^image: .*::x/lens_1: 0 images .*a key ends at the first dot of a name, so "
        r"'x/lens_1\.4f\.jpg' is the member '4f\.jpg' of the key 'x/lens_1', which is not read; "
        r"rename it",
        first,
    )
    assert "'x/b.v2.jpg' is the member 'v2.jpg'" in second
    made = run_cure(first, tmp_path)
    assert sorted(records(made)) == ["a lens", "two"]


def test_double_suffixes_are_left_out_beside_a_picture_and_named_without_one(tmp_path):
    tar = write_tar(tmp_path / "a.tar", {"a.jpg": IMAGE, "a.seg.png": b"mask", "a.txt": b"cat"})
    assert list(records(tar)) == ["cat"]
    tar = write_tar(tmp_path / "b.tar", {"a.seg.png": b"mask", "a.txt": b"cat"})
    [line] = records(tar)
    assert "'a.seg.png' is the member 'seg.png' of the key 'a', which is not read" in line
    tar = write_tar(tmp_path / "c.tar", {"a.jpg": IMAGE, "a.en.txt": b"cat"})
    [line] = records(tar)
    assert "no txt member; a key ends at the first dot of a name, so 'a.en.txt'" in line
    [line] = records(tar, cloc_regions.parse)
    assert "no json member; its members are 'a.jpg', 'a.en.txt'" in line


def test_members_apart_are_told_with_what_is_there_and_the_command_mends_them(tmp_path):
    names = {"a.jpg": IMAGE, "b.jpg": IMAGE, "b.txt": b"two", "a.txt": b"one"}
    tar = write_tar(tmp_path / "a.tar", names)
    lines = list(records(tar))
    assert lines[1] == "two"
    assert "no txt member; its members are 'a.jpg'; add one where the shard is made, or" in lines[0]
    assert "0 images (none)" in lines[2]
    assert "its members are 'a.txt'" in lines[2]
    assert sorted(records(run_cure(lines[0], tmp_path))) == ["one", "two"]


@pytest.mark.parametrize(
    ("names", "parse"),
    [
        (("0.image.jpg", "0.caption.txt"), caption_only.parse),
        (("./d.v1/0.jpg", "./d.v1/0.en.txt"), caption_only.parse),
        (("d/0.a.b.jpg", "d/0.txt"), caption_only.parse),
    ],
)
def test_double_suffixes_of_one_sample_stay_one_and_a_second_tar_is_packed_too(
    tmp_path, names, parse
):
    pair = list(zip(names, (IMAGE, b"cat"), strict=True))
    for tar in ("a b.tar", "c.tar"):
        samples = {n.replace("0", k): b for k in "01" for n, b in pair}
        line, *_ = records(write_tar(tmp_path / tar, samples), parse)
        for _ in range(2):  # it may be given again
            subprocess.run(line[line.index("mkdir -p ") :], shell=True, check=True)
        assert list(records(tmp_path / tar.replace(".tar", "-repacked.tar"))) == ["cat"] * 2


def test_several_samples_of_one_key_stay_several(tmp_path):
    names = {f"x/lens_1.{i}f.{s}": b for i in "12" for s, b in (("jpg", IMAGE), ("txt", b"cat"))}
    [line] = records(write_tar(tmp_path / "a.tar", names))
    assert list(records(run_cure(line, tmp_path))) == ["cat"] * 2


def test_other_pictures_are_named(tmp_path):
    tar = write_tar(tmp_path / "a.tar", {"a.gif": b"GIF89a", "a.txt": b"cat"})
    [line] = records(tar)
    assert re.search(r"expected one member of jpg, .*; its members are 'a\.txt', 'a\.gif'", line)


def test_what_macos_puts_beside_each_file_tears_no_sample_apart(tmp_path):
    names = ["._a.jpg", "a.jpg", "._a.txt", "a.txt"]
    for folder in ("", "./", "d/", "d.v1/"):
        content = {f"{folder}{n}": IMAGE if n == "a.jpg" else b"x" for n in names}
        content |= {f"__MACOSX/{folder}{n}": b"x" for n in names}
        tar = write_tar(tmp_path / "a.tar", content)
        assert list(records(tar)) == ["x"], folder


PLAIN = {"a.jpg": IMAGE, "a.txt": b"cat"}


@pytest.mark.parametrize(
    ("pack", "unpack"),
    [(gzip.compress, "gunzip"), (bz2.compress, "bzip2"), (lzma.compress, "xz")],
)
def test_a_compressed_tar_under_the_name_of_one_is_told_and_the_command_unpacks_it(
    tmp_path, pack, unpack
):
    tar = write_tar(tmp_path / "a b.tar", PLAIN)
    tar.write_bytes(pack(tar.read_bytes()))
    with pytest.raises(UserError, match=r"^.*a b\.tar: not a readable tar but compressed by ") as e:
        write_index(tar)
    if shutil.which(unpack):
        command = str(e.value).partition("unpack it: ")[2]
        subprocess.run(command, shell=True, check=True, cwd=tmp_path)
        assert list(records(tar)) == ["cat"]


@pytest.mark.parametrize(
    "name", ["a.tar.gz", "a.TGZ", "a.tar.zst", "a.tar.xz", "a.txz", "a.tar.bz2", "a.tar.lz4"]
)
def test_a_compressed_tar_is_refused_by_its_name(tmp_path, name):
    (tmp_path / name).write_bytes(b"whatever")
    for spec in (tmp_path / name, f"{tmp_path}/*", f"memory://bucket/{name}"):
        with pytest.raises(UserError, match=r"compressed by \w+, so its .* unpack it: ") as error:
            expand_shards(str(spec), key="data.train")
        assert str(error.value).endswith("a.tar")
    assert refuse_name("a.tar") == refuse_name("shard-7") == ""


@pytest.mark.parametrize(
    ("head", "says"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
        (b"PK\x03\x04rest", "a zip"),
        (b"\n<!DOCTYPE html>", "a page of HTML"),
        (b"PAR1....", "a parquet file"),
        (b"\x28\xb5\x2f\xfdrest", "compressed by zstd"),
        (b"\x04\x22\x4d\x18rest", "compressed by lz4"),
    ],
)
def test_what_is_no_tar_at_all_is_told(head, says):
    with pytest.raises(UserError, match=f"^a.tar: not a readable tar but .*{says}"):
        scan(io.BytesIO(head + bytes(2000)), name="a.tar")
    assert foreign(b"garbage", "a.tar") == ""


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda data: data + data, "two tars joined into one.*; unpack it with tar -xi"),
        (lambda data: data[:2560], "an end mark, so it is cut; copy"),
        (lambda data: b"", "it is empty; copy or write it again"),
    ],
)
def test_joined_cut_and_empty_tars_have_a_cure_each(tmp_path, change, says):
    data = change(write_tar(tmp_path / "a.tar", PLAIN).read_bytes())
    with pytest.raises(UserError, match=f"^a.tar: not a readable tar at byte .*{says}"):
        scan(io.BytesIO(data), name="a.tar")


def test_names_that_begin_like_another_format_are_no_other_format(tmp_path):
    data = bytearray(
        write_tar(tmp_path / "a.tar", {"BZh1.jpg": IMAGE, "BZh1.txt": b"x"}).read_bytes()
    )
    assert len(scan(io.BytesIO(data), name="a.tar")) == 2
    data[3 * 512 + 3] ^= 1  # of the second header
    with pytest.raises(UserError, match=r"not a readable tar at byte"):
        scan(io.BytesIO(data), name="a.tar")


def test_joined_tars_are_mended_by_the_command(tmp_path):
    one = write_tar(tmp_path / "a.tar", PLAIN).read_bytes()
    two = write_tar(tmp_path / "b.tar", {"b.jpg": IMAGE, "b.txt": b"dog"}).read_bytes()
    (tmp_path / "a.tar").write_bytes(one + two)
    assert sorted(records(run_cure(repack(str(tmp_path / "a.tar")), tmp_path))) == ["cat", "dog"]


def test_names_of_members_stay_on_one_line():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("a.x\n\x1b[31m.jpg"))
        data = file.getvalue()[: tar.offset]
    key, found = members(data, num_bytes=len(data), where="a.tar")
    line = missing_member({"__key__": key, "__url__": "a.tar", **found}, ["jpg"])
    assert (key, list(found)) == ("a", [UNREAD])
    assert line.isprintable()
