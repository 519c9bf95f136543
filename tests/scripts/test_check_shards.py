"""The shard checker: silent on what is right, one line for everything that is not."""

import re

import pytest

from scripts import prepare
from scripts.check_shards import main
from tests.helpers.coco import coco_overrides


@pytest.fixture
def out(tmp_path, capsys):
    prepare.main(coco_overrides(tmp_path))
    capsys.readouterr()
    return tmp_path / "out"


def test_passes_what_prepare_writes(out, capsys):
    assert main([str(out)]) == 0
    assert main([str(out / "train")]) == 0
    assert main([f"{out}/train/*.tar"]) == 0
    assert capsys.readouterr().out.count("well-formed") == 3


def damaged(content, old, new):
    """`content` with equal-length `old` replaced, so that the tar stays readable."""
    assert old in content
    assert len(old) == len(new)
    return content.replace(old, new, 1)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (b'"box":[1.0,1.0,5.0', b'"box":[1.0,1.0,NaN', "000000000001: region 0.*not finite"),
        (b'"box":[1.0,1.0,5.0', b'"box":[1.0,1.0,0.5', "000000000001: region 0.*reversed"),
        (b'"width":8', b'"width":9', "000000000001: the image is 8x6, annotated as 9x6"),
        (b"\x89PNG", b"\x89PNK", "000000000001: the image cannot be decoded"),
        (b"IDATx\x9c", b"IDATx\x9d", "000000000001: the image cannot be decoded"),
        (b"000000000001.json", b"000000000001.jsom", "000000000001: members"),
    ],
)
def test_names_each_wrong_sample(out, capsys, old, new, says):
    shard = out / "train/shard-000000.tar"
    content = shard.read_bytes()
    if old == b"000000000001.json":  # a member's name is under the header's checksum
        content = damaged(content, b"000000000001.json", new)
        at = content.index(new)
        header = bytearray(content[at : at + 512])
        header[148:156] = b" " * 8
        header[148:156] = f"{sum(header):06o}\0 ".encode()
        content = content[:at] + bytes(header) + content[at + 512 :]
    else:
        content = damaged(content, old, new)
    shard.write_bytes(content)
    assert main([str(out / "train")]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3  # the sample, the digest and the count
    assert re.search(says, lines[0]), lines[0]
    assert "sha256 is" in lines[1]


def test_names_a_missing_and_a_cut_shard(out, capsys):
    shard = out / "train/shard-000000.tar"
    shard.write_bytes(shard.read_bytes()[:700])
    assert main([str(out / "train")]) == 1
    assert "bytes is 700, the manifest says" in capsys.readouterr().out
    shard.unlink()
    assert main([str(out / "train")]) == 1
    assert "is in the manifest but not on disk" in capsys.readouterr().out


def test_needs_something_to_check():
    assert main([]) == 2
