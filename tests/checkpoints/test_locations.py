"""Local folders and stores without rename: only what is whole is visible, at any moment."""

import uuid

import fsspec
import pytest

from cloc.checkpoints import locations
from cloc.checkpoints.folder import DIGEST, Found, newest
from cloc.checkpoints.locations import Bucket, Folder, place_of
from cloc.errors import UserError
from tests.checkpoints.test_folder import publish


@pytest.fixture(params=["folder", "elsewhere", "memory", "local"])
def place(request, tmp_path):
    where = {
        "folder": None,
        "elsewhere": str(tmp_path / "else"),
        "memory": f"memory://{uuid.uuid4()}/run",
        "local": f"local://{tmp_path}/bucket/run",
    }[request.param]
    return place_of(tmp_path / "run", where)


def fill(place, *steps):
    place.clean()
    for step in steps:
        publish(place, step, {"a": b"x" * step, "b": b"y"})


def test_what_is_published_is_there_whole(place):
    assert (place.steps(), newest(place)) == ([], Found(0, []))
    fill(place, 7, 30)
    assert (place.steps(), newest(place)) == ([7, 30], Found(30, []))
    with place.open(7, "a") as file:
        assert file.read() == b"x" * 7
    assert list(place.staging.glob("*.partial")) == []


def test_a_damaged_one_of_the_same_step_is_replaced(place):
    fill(place, 7)
    publish(place, 7, {"other": b"z"})
    assert newest(place) == Found(7, [])
    with pytest.raises(FileNotFoundError):
        place.open(7, "a")


def test_removed_is_removed(place):
    fill(place, 7, 30)
    place.remove(30)
    assert newest(place) == Found(7, [])
    assert list(place.staging.glob("*.partial")) == []


def test_what_kills_left_is_invisible_and_cleaned(place):
    fill(place, 7)
    partial = place.staging / "step-00000009.partial"
    partial.mkdir()
    (partial / DIGEST).write_text("{}")
    (place.staging / "step-00000003.removed.partial").mkdir()
    assert newest(place) == Found(7, [])
    place.clean()
    assert list(place.staging.glob("*.partial")) == []
    assert place.steps() == [7]


def test_an_upload_without_its_digest_is_invisible_and_cleaned(tmp_path):
    place = place_of(tmp_path, f"memory://{uuid.uuid4()}/run")
    fill(place, 7, 30)
    place.files.rm_file(f"{place.root}/step-00000030/{DIGEST}")
    assert newest(place) == Found(7, [])
    place.clean()
    assert not place.files.exists(f"{place.root}/step-00000030/a")


@pytest.mark.parametrize("keep", [0, 1, 2])
def test_an_upload_that_is_cut_at_any_file_shows_nothing(tmp_path, monkeypatch, keep):
    place = place_of(tmp_path, f"memory://{uuid.uuid4()}/run")
    fill(place, 7)
    put, done = place.files.put_file, []

    def cut(source, target):
        if len(done) == keep:
            raise PermissionError("cut")
        done.append(target)
        put(source, target)

    monkeypatch.setattr(place.files, "put_file", cut)
    with pytest.raises(OSError, match="cut"):
        publish(place, 30, {"a": b"1", "b": b"2"})
    assert len(done) == keep
    assert not any(name.endswith(DIGEST) for name in done)
    assert newest(place) == Found(7, [])


def test_a_store_that_fails_for_a_moment_is_asked_again(tmp_path, monkeypatch):
    place = place_of(tmp_path, f"memory://{uuid.uuid4()}/run")
    put, failures, waits = place.files.put_file, [ValueError("busy")] * 4, []

    def busy(source, target):
        if failures:
            raise failures.pop()
        put(source, target)

    monkeypatch.setattr(place.files, "put_file", busy)
    monkeypatch.setattr(locations.time, "sleep", waits.append)
    fill(place, 7)
    assert (newest(place), waits) == (Found(7, []), [0.5, 1, 2, 4])
    failures += [ValueError("busy still")] * 5
    with pytest.raises(OSError, match="busy still"):
        publish(place, 8, {"a": b"1"})


def test_a_run_folder_says_where_its_checkpoints_are(tmp_path):
    url = f"memory://{uuid.uuid4()}/run"
    fill(place_of(tmp_path / "a", url), 7)
    found = place_of(tmp_path / "a")
    assert isinstance(found, Bucket)
    assert (str(found), found.steps()) == (url, [7])
    fill(place_of(tmp_path / "b", str(tmp_path / "else")), 9)
    assert place_of(tmp_path / "b").steps() == [9]
    assert isinstance(place_of(tmp_path / "c"), Folder)


@pytest.mark.parametrize("where", ["nothing://x", "simplecache::memory://x", "pipe:x://y"])
def test_what_is_no_store_is_refused(tmp_path, where):
    with pytest.raises(UserError, match="is no URL that can be opened; use one such as s3://"):
        place_of(tmp_path, where)


def test_the_names_of_the_store_are_fsspecs():
    assert {"s3", "gs", "memory", "local"} <= set(fsspec.available_protocols())
