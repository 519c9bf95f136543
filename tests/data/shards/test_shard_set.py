"""Finding shards: folders, globs, lists, their counts and digest, and clear errors."""

import json

import pytest

from cloc.data.shards.shard_set import expand_shards, open_shards
from cloc.data.shards.writer import write_shards
from cloc.errors import UserError
from tests.helpers.shards import make_record, make_shards


def make_records(count):
    return map(make_record, range(count))


def test_a_shard_of_the_manifest_that_is_missing_is_named(tmp_path):
    write_shards(make_records(2), tmp_path / "s", samples_per_shard=1)
    (tmp_path / "s" / "shard-000001.tar").unlink()
    with pytest.raises(UserError, match=r"shard-000001\.tar is in the manifest.*set data\.val"):
        expand_shards(str(tmp_path / "s"), key="data.val")


def test_folders_patterns_and_lists_expand_in_order(tmp_path):
    write_shards(make_records(12), tmp_path / "s", samples_per_shard=1)
    base = f"{tmp_path}/s/shard-0000"
    every = [f"{base}{i:02d}.tar" for i in range(12)]
    (tmp_path / "list.txt").write_text("# two\ns/shard-000003.tar\n\ns/shard-00000{1..2}.tar\n")

    assert expand_shards(tmp_path / "s", key="k") == every
    assert expand_shards(f"{tmp_path}/s/*.tar", key="k") == every
    assert expand_shards(f"{base}{{02..11}}.tar", key="k") == every[2:]
    assert expand_shards(f"{tmp_path}/list.txt", key="k") == [every[3], every[1], every[2]]
    assert expand_shards([every[5], every[0]], key="k") == [every[5], every[0]]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nowhere/*.tar", r"data\.train=nowhere/\*\.tar: no shard at nowhere/\*\.tar; set data"),
        ("nowhere.tar", "no shard at nowhere.tar"),
        ("nowhere.txt", "no such list file"),
        ("x{1..2", "braces do not match"),
        ("pipe:cat x.tar", r"data\.train: pipe:cat x\.tar is not a file"),
        ("gopher://host/x.tar", r"data\.train: gopher://host/x\.tar is no URL that can be opened"),
        ("simplecache::s3://bucket/x.tar", "is no URL that can be opened"),
        ("a.tar::b", "is not a file; name the shards themselves"),
        ([], r"data\.train is an empty list"),
    ],
)
def test_what_is_not_found_names_the_key(spec, message):
    with pytest.raises(UserError, match=message):
        expand_shards(spec, key="data.train")


def test_a_pipe_in_a_list_file_is_refused(tmp_path):
    (tmp_path / "list.txt").write_text("\ufeffs\u2028x.tar \r\n")  # one name
    with pytest.raises(UserError, match=r"no shard at .*s\u2028x\.tar; set k"):
        expand_shards(str(tmp_path / "list.txt"), key="k")
    (tmp_path / "list.txt").write_text("pipe:cat x.tar\n")
    with pytest.raises(UserError, match="is not a file"):
        expand_shards(str(tmp_path / "list.txt"), key="k")
    (tmp_path / "list.txt").write_text("\n")
    with pytest.raises(UserError, match="list file is empty"):
        expand_shards(str(tmp_path / "list.txt"), key="k")


def test_one_missing_number_of_a_brace_pattern_is_named(tmp_path):
    write_shards(make_records(2), tmp_path / "s", samples_per_shard=1)
    with pytest.raises(UserError, match=r"no shard at .*shard-000002\.tar"):
        expand_shards(f"{tmp_path}/s/shard-00000{{0..2}}.tar", key="k")


def test_counts_come_from_the_manifest_of_a_folder_else_from_the_indexes(tmp_path):
    write_shards(make_records(7), tmp_path / "s", samples_per_shard=3)
    for spec in (tmp_path / "s", f"{tmp_path}/s/*.tar"):
        shards = open_shards(spec, key="k")
        assert shards.counts.tolist() == [3, 3, 1]
        assert shards.total == 7
        paths = [shards.paths[i] for i in range(len(shards.paths))]
        assert paths == [f"{tmp_path}/s/shard-{i:06d}.tar" for i in range(3)]
    (tmp_path / "s/shard-000001.idx").unlink()
    with pytest.raises(
        UserError, match=r"000001\.idx: there is no index; write it: cloc-pretrain check-shards"
    ):
        open_shards(f"{tmp_path}/s/*.tar", key="k")


def test_a_set_that_was_moved_has_the_same_digest_and_a_changed_one_another(tmp_path):
    folder = make_shards(tmp_path / "s", shards=2, each=2)
    before = open_shards(folder, key="k").digest
    moved = folder.rename(tmp_path / "moved")
    assert open_shards(moved, key="k").digest == before
    manifest = json.loads((moved / "manifest.json").read_text())
    manifest["shards"][1]["sha256"] = "0" * 64
    (moved / "manifest.json").write_text(json.dumps(manifest))
    assert open_shards(moved, key="k").digest != before


def test_a_set_without_any_sample_is_refused(tmp_path):
    manifest = {"schema": "cloc-regions/1", "shards": [{"name": "a.tar", "samples": 0}]}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "a.tar").write_bytes(b"")
    with pytest.raises(UserError, match=r"^data\.train=.*: no samples in 1 shards; write the"):
        open_shards(tmp_path, key="data.train")


@pytest.mark.parametrize("name", ["../a.tar", "/a.tar", "..", "", 3])
def test_a_manifest_cannot_name_files_of_other_folders(tmp_path, name):
    manifest = {"schema": "cloc-regions/1", "shards": [{"name": name, "samples": 1}]}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="names no shards"):
        open_shards(tmp_path, key="data.train")


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-le"])
def test_a_list_file_in_another_encoding_is_named(tmp_path, encoding):
    (tmp_path / "list.txt").write_bytes("shards/été.tar\n".encode(encoding))
    with pytest.raises(UserError, match=r"data\.train=.*list\.txt is not text in UTF-8"):
        expand_shards(str(tmp_path / "list.txt"), key="data.train")
