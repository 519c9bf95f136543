"""One shard through the stages: the same bytes every time, a marker last, nothing half-written."""

import json
import tarfile
from dataclasses import replace

import pytest

from cloc.data.eval_splits import read_split
from cloc.data.samples.record import Problem, Record
from cloc.data.shards.shard_set import open_shards
from cloc.data.sources.cloc_regions import parse
from cloc.errors import UserError
from data_prep.work_unit import (
    MARKERS,
    PARTIAL,
    _first,
    make_stages,
    marker_path,
    read_marker,
    run_unit,
)
from tests.helpers.prep import begin, digests, write_input


@pytest.fixture
def folder(tmp_path):
    return write_input(tmp_path / "in")


def run(job, work, number=0):
    return run_unit(job.units[number], work, make_stages(work))


def test_a_shard_becomes_a_shard_with_phrases_and_provenance_in_every_record(folder, tmp_path):
    job, work = begin(folder, tmp_path / "out", {"words": {"longest": 5}})
    marker = run(job, work, 1)
    split = read_split(str(tmp_path / "out/shard-000001.tar"), name="x", parse=parse)
    assert [e.key for e in split.examples] == ["s1i0", "s1i1", "s1i2"]
    assert split.examples[2].meta == {
        "phrases": ["word1", "xxx"],
        "pipeline": {"words": {"name": "words", "version": 1, "longest": 5}},
    }
    assert split.examples[0].phrases == ("word1",)
    assert marker["regions"] == 3
    assert marker["shard"]["samples"] == 3
    assert marker == json.loads((tmp_path / "out/markers/shard-000001.json").read_text())


def test_the_same_shard_stages_and_settings_give_the_same_bytes(folder, tmp_path):
    for out in ("one", "two"):
        run(*begin(folder, tmp_path / out))
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    assert len(digests(tmp_path / "one")) == 2


def test_what_stages_leave_out_is_counted_with_examples_of_the_first_shards(folder, tmp_path):
    job, work = begin(folder, tmp_path / "out", {"words": {"longest": 2}})
    marker = run(job, work)
    assert marker["drops"] == [
        {"stage": "words", "what": "phrases", "reason": "long", "count": 4},
        {"stage": "words", "what": "samples", "reason": "wordless", "count": 1},
    ]
    shown = marker["examples"]["words"]
    assert [e["key"] for e in shown["accepted"]] == ["s0i0", "s0i1"]
    assert {e["reason"] for e in shown["left_out"]} == {"long", "wordless"}
    later = job.units[0]._replace(number=16)
    assert run_unit(later, work, make_stages(work))["examples"] == {}


def test_a_shard_of_which_nothing_is_left_has_a_marker_and_no_tar(folder, tmp_path):
    job, work = begin(folder, tmp_path / "out", {"words": {"longest": 0}})
    marker = run(job, work)
    assert marker["shard"] is None
    assert marker["regions"] == 0
    assert digests(tmp_path / "out") == {}


def corrupt(tar, *samples):
    """Damages the annotation of some samples; the tar stays one."""
    data = bytearray(tar.read_bytes())
    with tarfile.open(tar) as file:
        members = [m for m in file if m.name.endswith("json")]
    for sample in samples:
        at = members[sample].offset_data
        data[at : at + 4] = b"????"
    tar.write_bytes(data)


def test_unreadable_samples_are_counted_and_too_many_are_the_fault_of_the_shard(folder, tmp_path):
    corrupt(folder / "shard-000000.tar", 1)
    job, work = begin(folder, tmp_path / "out", max_unreadable=0.4)
    drops = run(job, work)["drops"]
    assert drops == [{"stage": "read", "what": "samples", "reason": "annotation", "count": 1}]
    corrupt(folder / "shard-000000.tar", 1, 2)
    with pytest.raises(UserError, match=r"\(2 of 3 samples of the shard cannot be read, max_unre"):
        run(job, work)


def test_a_marker_of_another_input_or_other_settings_or_half_of_one_is_none(folder, tmp_path):
    job, work = begin(folder, tmp_path / "out")
    unit, out = job.units[0], tmp_path / "out"
    assert read_marker(out, unit, job.digest) is None
    marker = run(job, work)
    assert read_marker(out, unit, job.digest) == marker
    assert read_marker(out, unit, "other") is None
    assert read_marker(out, unit._replace(fingerprint="other"), job.digest) is None
    text = marker_path(out, unit).read_text()
    for broken in (text[:50], "[]", '{"job": "x"}', ""):
        marker_path(out, unit).write_text(broken)
        assert read_marker(out, unit, job.digest) is None


def test_a_full_disk_leaves_nothing_half_written(folder, tmp_path, monkeypatch):
    job, work = begin(folder, tmp_path / "out")
    stages = make_stages(work)

    def full(records, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("data_prep.work_unit.write_shard", full)
    with pytest.raises(UserError, match=r"shard-000000 cannot be written .*No space left"):
        run_unit(job.units[0], work, stages)
    left = {p.name for p in (tmp_path / "out").rglob("*")}
    assert left == {"job.json", MARKERS, PARTIAL}


def test_a_stage_that_is_not_what_the_folder_was_begun_with_is_refused(folder, tmp_path):
    said = {"words": {"name": "words", "version": 0, "longest": 20}}
    _, work = begin(folder, tmp_path / "out", begun_with=said)
    with pytest.raises(UserError, match=r"the stage words is not .* \(version: 0 then, 1 now\)"):
        make_stages(work)


def test_a_whole_output_is_a_shard_set_of_the_loader(folder, tmp_path):
    job, work = begin(folder, tmp_path / "out")
    for number in range(4):
        run(job, work, number)
    assert open_shards(str(tmp_path / "out/*.tar"), key="x").total == 12


def test_a_shard_whose_captions_are_all_lost_fails(folder, tmp_path):
    def parse_some(raw):
        record = parse(raw)
        lost = Problem("caption", "", f"{record.key}: caption 0: blank; drop it")
        return replace(record, captions=(), problems=(lost,))

    job, work = begin(folder, tmp_path / "out")
    work = work._replace(parse=parse_some)
    says = r"s1?-?.*\.tar: 3 of 3 captions cannot be used \(3 caption; .*with max_unreadable=1"
    with pytest.raises(UserError, match=says):
        run(job, work, 1)


def test_a_shard_that_cannot_be_opened_fails_whatever_may_be_unreadable(folder, tmp_path):
    job, work = begin(folder, tmp_path / "out")
    (folder / "shard-000000.tar").unlink()
    with pytest.raises(UserError, match=r"shard-000000\.tar: the shard cannot be opened"):
        run(job, work._replace(max_unreadable=1.0))


def test_what_a_stage_has_changed_is_shown_first():
    before = [Record(key, b"", "png", 9, 9) for key in "abcd"]
    after = [before[0], replace(before[1], meta={"x": 1}), before[2], replace(before[3], width=8)]
    assert [record.key for record in _first(after, before)] == ["b", "d", "a", "c"]
