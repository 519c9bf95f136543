"""The manifest of a shard folder, read with every claim of it checked."""

import json

import pytest

from cloc.data.shards.manifest import parse_manifest, read_manifest
from cloc.data.shards.writer import write_shards
from cloc.errors import UserError
from tests.helpers.shards import make_record


def test_a_manifest_is_what_the_writer_returned(tmp_path):
    written = write_shards(map(make_record, range(3)), tmp_path / "s", samples_per_shard=2)
    assert read_manifest(tmp_path / "s") == written


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        ("{", "is not JSON"),
        ("[]", "schema 'list'"),
        ('{"schema": "other/2"}', "schema 'other/2'"),
        ('{"schema": "cloc-regions/1", "shards": []}', "names no shards"),
        ('{"schema": "cloc-regions/1", "shards": ["x"]}', "names no shards"),
    ],
)
def test_a_bad_manifest_is_named(tmp_path, text, message):
    if text is not None:
        (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(UserError, match=f"manifest.json.*{message}"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("name", ["../a.tar", "/a.tar", "..", "", 3])
def test_a_manifest_cannot_name_files_of_other_folders(name):
    manifest = {"schema": "cloc-regions/1", "shards": [{"name": name, "samples": 1}]}
    with pytest.raises(UserError, match="names no shards"):
        parse_manifest(json.dumps(manifest).encode(), "x/manifest.json")
