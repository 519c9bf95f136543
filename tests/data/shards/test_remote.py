"""Shards behind a URL: ranges, retries, a bounded cache, and the same batches as from a folder."""

import shutil

import pytest

from cloc.data.shards import remote
from cloc.data.shards.reader import Reader
from cloc.data.shards.remote import Cache, fetch, file_size
from cloc.data.shards.shard_set import open_shards
from cloc.errors import BadSample, UserError
from tests.helpers.loaders import assert_equal, loader
from tests.helpers.server import serve
from tests.helpers.shards import make_shards

EACH = 7


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_shards(tmp_path_factory.mktemp("remote") / "set", shards=3, each=EACH)


@pytest.fixture
def server(folder, monkeypatch):
    monkeypatch.setattr(remote, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(remote, "CHUNK_BYTES", 4096)  # so that small shards have many
    with serve(folder) as server:
        yield server


@pytest.fixture
def cache(tmp_path):
    return Cache(str(tmp_path / "cache"))


def test_a_set_behind_a_url_has_the_counts_and_the_digest_of_the_folder(folder, server):
    local = open_shards(folder, key="k")
    for spec in (server.url, f"{server.url}/"):
        behind = open_shards(spec, key="k")
        assert behind.counts.tolist() == local.counts.tolist()
        assert behind.digest == local.digest
        assert behind.paths[2] == f"{server.url}/shard-000002.tar"
    braces = open_shards(f"{server.url}/shard-00000{{0..2}}.tar", key="k")
    assert braces.counts.tolist() == local.counts.tolist()


def test_a_folder_behind_a_url_without_a_manifest_is_told_how_its_tars_are_named(server, tmp_path):
    server.folder = tmp_path
    with pytest.raises(UserError, match=r"manifest\.json: FileNotFound.*\{00000\.\."):
        open_shards(server.url, key="k")
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(UserError, match=r"schema None, expected"):
        open_shards(server.url, key="k")


def test_batches_are_those_of_the_folder_and_resume_as_they_do(folder, server, cache):
    local = list(loader(open_shards(folder, key="k"), steps=6))
    behind = open_shards(server.url, key="k")
    assert_equal(loader(behind, steps=6, cache=cache), local)
    assert_equal(loader(behind, steps=6, skip_batches=4, cache=cache), local[4:])


def test_only_the_ranges_that_are_needed_are_fetched(folder, server, cache):
    """A sample in the middle of a shard: the index, and the chunk or two that hold the sample."""
    url = f"{server.url}/shard-000001.tar"
    Reader(key="k", cache=cache)(url, 3, count=EACH)
    asked = server.gets(".tar")
    assert 1 <= len(asked) <= 2
    assert "bytes=0-4095" not in asked
    assert (folder / "shard-000001.tar").stat().st_size >= 5 * 4096


def test_what_is_in_the_cache_is_not_fetched_again(server, cache):
    url = f"{server.url}/shard-000000.tar"
    size = file_size(url)
    first = cache.read(url, 100, 9000, size=size)
    asked = len(server.gets(".tar"))
    assert cache.read(url, 200, 8000, size=size) == first[100:7900]
    assert Cache(cache.folder).read(url, 100, 9000, size=size) == first  # as another process would
    assert len(server.gets(".tar")) == asked


def test_a_file_of_another_size_is_another_file(server, cache, tmp_path):
    """Shards were written anew under the old URL."""
    server.folder = tmp_path
    for content in (b"a" * 9000, b"b" * 9500):
        (tmp_path / "x.tar").write_bytes(content)
        size = file_size(f"{server.url}/x.tar")
        assert cache.read(f"{server.url}/x.tar", 10, 9999, size=size) == content[10:]


def test_reads_end_where_the_file_ends(folder, server, cache):
    data = (folder / "shard-000000.tar").read_bytes()
    url = f"{server.url}/shard-000000.tar"
    assert cache.read(url, len(data) - 10, len(data) + 5000, size=len(data)) == data[-10:]


def test_failures_pass_and_a_cut_answer_is_asked_for_again(folder, server):
    url = f"{server.url}/shard-000000.tar"
    data = (folder / "shard-000000.tar").read_bytes()
    server.failures = 3
    assert fetch(url, 10, 500) == data[10:500]
    server.cuts = 2
    assert fetch(url, 10, 5000) == data[10:5000]


def test_after_five_attempts_the_url_is_named(server):
    server.failures = 100
    with pytest.raises(UserError, match=r"shard-000000\.tar: .*\(5 attempts\); try again later"):
        fetch(f"{server.url}/shard-000000.tar", 0, 10)
    assert server.failures == 95


def test_what_is_not_there_is_not_asked_for_again(server):
    with pytest.raises(UserError, match=r"gone\.tar: FileNotFoundError; check the URL and your"):
        fetch(f"{server.url}/gone.tar", 0, 10)
    assert len(server.gets("gone.tar")) == 1


def test_a_remote_shard_that_is_gone_is_a_bad_one_of_a_run_that_goes_on(
    folder, server, cache, tmp_path
):
    local = list(loader(open_shards(folder, key="k"), steps=6))
    shards = open_shards(server.url, key="k")
    server.folder = shutil.copytree(folder, tmp_path / "left")
    (server.folder / "shard-000001.tar").unlink()
    ours = loader(shards, steps=6, cache=cache, budget=0.5)
    for batch, whole in zip(ours, local, strict=True):
        for row, key in enumerate(whole.keys):
            is_gone = EACH <= int(key) < 2 * EACH
            assert batch.keys[row] == ("" if is_gone else key)
    (found,) = ours.tally.rows()
    assert (found["what"], found["reason"]) == ("samples", "shard")
    asked = [what for what, _ in server.asked if what.endswith("000001.tar")]
    assert asked == ["HEAD /shard-000001.tar", "GET /shard-000001.tar"]  # not for every sample


def test_a_cache_that_cannot_be_written_is_no_fault_of_a_shard(server, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    read = Reader(key="k", cache=Cache(str(tmp_path / "file")))
    says = r"data\.cache\.folder=.*file cannot be used \(Not a directory\); make room"
    with pytest.raises(UserError, match=says) as error:
        read(f"{server.url}/shard-000000.tar", 0, count=EACH)
    assert not isinstance(error.value, BadSample)


def test_a_server_without_ranges_is_refused(server):
    server.ranges = False
    with pytest.raises(UserError, match="its server ignores byte ranges"):
        fetch(f"{server.url}/shard-000000.tar", 0, 10)


def test_the_cache_is_bounded_and_what_was_read_last_stays(server, tmp_path):
    cache = Cache(str(tmp_path / "cache"), gib=3 * 4096 / (1 << 30))
    url = f"{server.url}/shard-000000.tar"
    for number in range(5):
        cache.read(url, number * 4096, number * 4096 + 1, size=20480)
        cache.read(url, 0, 1, size=20480)
    mine = [tmp_path / "cache" / name for name in ("photos/a-2019.jpg", "my-folder/sub-dir/a-b")]
    for path in mine:
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes(9000))
    cache.clean()
    assert all(path.is_file() for path in mine)  # somebody else's
    for path in mine:
        path.unlink()
    left = sorted(path.name[-6:] for path in (tmp_path / "cache").glob("*/*-*") if path.is_file())
    assert len(left) == 3
    assert "000000" in left
    assert "000004" in left
