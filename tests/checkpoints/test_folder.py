"""A checkpoint is whole or is none: what it is made of, and what damage is."""

import errno
import io
import json
import random

import pytest
import torch

from cloc.checkpoints import folder
from cloc.checkpoints.folder import (
    DIGEST,
    Damaged,
    Draft,
    Found,
    HashedFile,
    check,
    folder_name,
    newest,
    step_of,
)
from cloc.checkpoints.locations import Folder
from cloc.errors import UserError


def publish(place, step, files):
    draft = Draft(place.staging, step)
    for name, content in files.items():
        with draft.file(name) as file:
            file.write(content)
    draft.seal()
    place.publish(draft.folder, step)


@pytest.fixture
def place(tmp_path):
    """Two checkpoints of two files."""
    place = Folder(tmp_path)
    for step in (5, 10):
        publish(place, step, {"a": b"x" * 3000, "b.json": f"{{{step}}}".encode()})
    return place


def twice(digest):
    """As a flipped byte can do where names are alike: one file is listed twice, the other never."""
    digest.write_text(digest.read_text().replace('"a":', '"b.json":'))


def test_a_name_says_its_step():
    assert [step_of(folder_name(step)) for step in (1, 10**8, 10**9)] == [1, 10**8, 10**9]
    assert step_of("s3://bucket/x/step-00000012/") == 12
    for name in ("step-12", "step-00000012.partial", "x-step-00000012", "step-0000001x"):
        assert step_of(name) is None


def test_the_newest_that_is_whole_is_found(place):
    assert newest(place) == Found(10, [])
    (place.staging / "step-00000010/a").write_bytes(b"x" * 2999 + b"y")
    step, damaged = newest(place)
    assert step == 5
    [line] = damaged
    assert line.endswith("step-00000010 is damaged: a has other content than was saved")
    assert newest(place, ["b.json"]) == Found(10, [])  # nobody asked for the other file


def test_none_at_all_is_step_0_and_none_whole_is_an_error(place, tmp_path):
    assert newest(Folder(tmp_path / "nowhere")) == Found(0, [])
    for step in (5, 10):
        (place.staging / folder_name(step) / "a").unlink()
    says = r"^no checkpoint is whole \(.*10 is damaged: a is missing; .*05 is .*\); restore one"
    with pytest.raises(UserError, match=says):
        newest(place)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda folder: (folder / "a").unlink(), "a is missing"),
        (lambda folder: (folder / "a").write_bytes(b"x"), "a has 1 bytes, 3000 were saved"),
        (lambda folder: (folder / DIGEST).unlink(), "digest.json is missing"),
        (lambda folder: (folder / DIGEST).write_text("[]"), "digest.json is not the one"),
        (lambda folder: twice(folder / DIGEST), "digest.json is not the one"),
        (lambda folder: (folder / DIGEST).write_text("{}"), "digest.json is not the one"),
        (lambda folder: (folder / DIGEST).write_bytes(b"\xff"), "digest.json is not the one"),
        (lambda folder: folder.rename(folder.with_name("step-00000011")), "digest.json is not"),
    ],
)
def test_damage_is_named(place, damage, says):
    damage(place.staging / "step-00000010")
    with pytest.raises(Damaged, match=says):
        check(place, max(place.steps()))


def test_every_flipped_byte_is_found(place):
    """Every byte of the digest too, the space between its words included."""
    folder, rng = place.staging / "step-00000005", random.Random(0)
    for path in folder.iterdir():
        whole = path.read_bytes()
        for at in range(0, len(whole), 1 if path.name == DIGEST else 97):
            raw = bytearray(whole)
            raw[at] ^= rng.randrange(1, 256)
            path.write_bytes(raw)
            with pytest.raises(Damaged):
                check(place, 5)
        path.write_bytes(whole)
    check(place, 5)


def test_a_file_that_cannot_be_read_is_damage(place, monkeypatch):
    def broken(step, name):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(place, "open", broken)
    with pytest.raises(Damaged, match=r"digest\.json cannot be read \(Input/output error\)"):
        check(place, 5)


def test_a_file_that_was_asked_for_must_be_listed(place):
    with pytest.raises(Damaged, match=r"digest\.json does not list c"):
        check(place, 5, ["c"])


def test_every_byte_is_on_the_disk_before_the_folder_gets_its_name(tmp_path, monkeypatch):
    calls, place = [], Folder(tmp_path)
    fsync, rename = folder.os.fsync, folder.os.rename
    monkeypatch.setattr(folder.os, "fsync", lambda f: (calls.append("sync"), fsync(f)))
    monkeypatch.setattr(folder.os, "rename", lambda a, b: (calls.append("name"), rename(a, b)))
    publish(place, 1, {"a": b"1"})
    # the file, the digest and their folder; the name; the folder that holds the name
    assert calls == ["sync", "sync", "sync", "name", "sync"]


def test_a_raw_file_that_takes_less_than_it_is_given_gets_the_rest(tmp_path):
    class Slow(io.RawIOBase):
        taken = b""

        def write(self, data):
            self.taken += bytes(data[:3])
            return len(data[:3])

    raw = Slow()
    file = HashedFile(raw)
    file.write(b"0123456789")
    assert (raw.taken, file.bytes) == (b"0123456789", 10)


def test_why_torch_could_not_write_is_told(tmp_path):
    """torch.save itself only says that writing failed."""
    draft = Draft(tmp_path, 1)

    def full(data):
        raise OSError(errno.ENOSPC, "No space left on device")

    def save():
        with draft.file("a") as file:
            file.raw = type("Full", (), {"write": staticmethod(full)})()
            torch.save({"x": torch.ones(1000)}, file)

    with pytest.raises(OSError, match="No space left"):
        save()


def test_the_digest_lists_what_is_there(place):
    listed = json.loads((place.staging / "step-00000005" / DIGEST).read_text())
    assert listed["step"] == 5
    assert {name: facts["bytes"] for name, facts in listed["files"].items()} == {
        "a": 3000,
        "b.json": 3,
    }
