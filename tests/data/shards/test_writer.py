"""Shard sets: same bytes, a true index and manifest, nothing half written, clear errors."""

import hashlib
import json
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from webdataset.tariterators import group_by_keys, tar_file_expander

from cloc.data import shards
from cloc.data.samples.record import Caption, Record, Region, from_json
from cloc.data.shards.manifest import read_manifest
from cloc.data.shards.shard_set import expand_shards
from cloc.data.shards.writer import write_shard, write_shards
from cloc.errors import UserError
from tests.helpers.shards import make_record


def make_records(count, *, start=0):
    """Not decodable images: the writer never looks into them."""
    for i in range(start, start + count):
        region = Region((1.0, 2.0, 3.5, 4.0), f"ein Stück {i}", negatives=("no",), label="piece")
        yield Record(
            f"k{i}", b"x" * (i + 1), "png", 8, 9, (Caption("a", "b"),), (region,), {"i": i}
        )


def read_all(paths):
    """What webdataset, the common reader, gets out of the tars."""
    records = []
    for path in paths:
        with open(path, "rb") as file:
            for sample in group_by_keys(tar_file_expander([{"url": path, "stream": file}])):
                records.append(
                    from_json(sample["__key__"], sample["png"], "png", sample["json"], "test")
                )
    return records


def test_what_is_written_is_read_back(tmp_path):
    write_shards(make_records(7), tmp_path / "s", samples_per_shard=3)
    paths = expand_shards(str(tmp_path / "s"), key="data.train")
    assert [p.rsplit("/", 1)[1] for p in paths] == [f"shard-{i:06d}.tar" for i in range(3)]
    assert read_all(paths) == list(make_records(7))


def test_equal_records_give_equal_bytes(tmp_path):
    for name in ("a", "b"):
        write_shards(make_records(5), tmp_path / name, samples_per_shard=2)
    write_shards(make_records(5, start=1), tmp_path / "c", samples_per_shard=2)
    a, b, c = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in "abc"
    )
    assert a == b
    assert a.keys() == c.keys()
    assert a != c


def test_the_manifest_counts_and_digests(tmp_path):
    extra = {"classes": {"red star": ["a red star"]}}
    written = write_shards(
        make_records(5), tmp_path / "s", samples_per_shard=2, name="part", extra=extra
    )
    manifest = read_manifest(tmp_path / "s")
    assert manifest == written
    assert manifest["samples"] == 5
    assert manifest["classes"] == extra["classes"]
    assert [shard["samples"] for shard in manifest["shards"]] == [2, 2, 1]
    for shard in manifest["shards"]:
        content = (tmp_path / "s" / shard["name"]).read_bytes()
        assert shard["bytes"] == len(content)
        assert shard["sha256"] == hashlib.sha256(content).hexdigest()


def test_the_index_holds_where_each_sample_begins_and_where_the_last_one_ends(tmp_path):
    write_shards(make_records(3), tmp_path / "s", samples_per_shard=9)
    offsets = np.fromfile(tmp_path / "s" / "shard-000000.idx", "<u8")
    content = (tmp_path / "s" / "shard-000000.tar").read_bytes()
    assert len(offsets) == 4
    for i, at in enumerate(offsets[:-1]):
        header = tarfile.TarInfo.frombuf(content[at : at + 512], "utf-8", "strict")
        assert header.name == f"k{i}.png"
    assert set(content[offsets[-1] :]) == {0}  # the end mark of a tar
    assert any(content[offsets[-1] - 512 : offsets[-1]])
    part = content[offsets[1] : offsets[2]]
    assert tarfile.TarInfo.frombuf(part[1024:1536], "utf-8", "strict").name == "k1.json"


def test_an_interrupted_run_leaves_nothing_under_the_final_name(tmp_path):
    def breaks():
        yield from make_records(3)
        raise RuntimeError("power")

    with pytest.raises(RuntimeError, match="power"):
        write_shards(breaks(), tmp_path / "s", samples_per_shard=2)
    assert not (tmp_path / "s").exists()
    write_shards(make_records(1), tmp_path / "s", samples_per_shard=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s"]
    assert sorted(p.name for p in (tmp_path / "s").iterdir()) == [
        "manifest.json",
        "shard-000000.idx",
        "shard-000000.tar",
    ]


def test_a_full_target_is_refused_and_an_empty_one_filled(tmp_path):
    target = tmp_path / "s"
    target.mkdir()
    write_shards(make_records(1), target, samples_per_shard=2)
    with pytest.raises(UserError, match=r"s exists and is not empty; remove it or choose another"):
        write_shards(make_records(1), target, samples_per_shard=2)


def test_bad_input_to_the_writer_is_named(tmp_path):
    record = next(make_records(1))
    dotted = Record("a.b", b"", "png", 1, 1)
    cases = [
        ([], 1, "no sample to write"),
        ([record], 0, "samples_per_shard=0"),
        ([record, record], 2, "'k0' occurs twice"),
        ([dotted], 1, r"'a\.b'.*rename"),
    ]
    for records, size, message in cases:
        with pytest.raises(UserError, match=message):
            write_shards(records, tmp_path / "s", samples_per_shard=size)
        assert not (tmp_path / "s").exists()


def test_the_annotation_is_compact_and_readable_text(tmp_path):
    write_shards(make_records(1), tmp_path / "s", samples_per_shard=1)
    with tarfile.open(tmp_path / "s" / "shard-000000.tar") as tar:
        text = tar.extractfile("k0.json").read().decode()
    assert '"text":"ein Stück 0"' in text
    assert json.loads(text)["schema"] == "cloc-regions/1"


@pytest.mark.parametrize("key", ["写真\u30001", "a\xa0b", "a b", "😀"])
def test_a_key_of_any_letters_is_one_but_none_of_control_characters(tmp_path, key):
    record = replace(make_record(0), key=key)
    assert write_shards([record], tmp_path / "set", samples_per_shard=1)["samples"] == 1
    bad = replace(record, key=f"{key}\n")
    with pytest.raises(UserError, match="holds a control character; rename the sample"):
        write_shards([bad], tmp_path / "bad", samples_per_shard=1)


def test_the_package_hands_on_what_writes():
    assert shards.write_shards is write_shards
    assert shards.write_shard is write_shard
    with pytest.raises(AttributeError, match="no attribute 'write'"):
        _ = shards.write
