"""What keeps a URL from being opened, by each command that takes one."""

import fsspec
import pytest

from cloc.checkpoints.locations import place_of
from cloc.checkpoints.urls import why_not
from cloc.data.shards.shard_set import expand_shards
from cloc.errors import UserError


@pytest.fixture
def _without_s3fs(monkeypatch):
    def missing(protocol):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "get_filesystem_class", missing)


def test_one_url_of_a_known_store_can_be_opened():
    assert why_not("memory://a/b") == why_not("file:///a") == ""
    for url in ("no://a", "pipe:cat://a", "simplecache::memory://a"):
        assert "is no URL that can be opened; use one such as s3://" in why_not(url)


@pytest.mark.usefixtures("_without_s3fs")
def test_a_package_that_is_missing_is_named_with_the_key(tmp_path):
    says = "s3://a.* needs a package that is not installed: Install s3fs to access S3"
    with pytest.raises(UserError, match=f"^data.train: {says}"):
        expand_shards("s3://a/b", key="data.train")
    with pytest.raises(UserError, match=f"^checkpoints: {says}"):
        place_of(tmp_path, "s3://a/b")
