"""The output folder: gone on with, never mixed, finished once; failed shards are set aside."""

import json
from dataclasses import replace

import pytest

from cloc.data.shards.shard_set import open_shards
from cloc.data.shards.writer import write_shards
from cloc.errors import UserError
from data_prep.engine_loop import Outcome
from data_prep.engines.inline import Inline
from data_prep.job import (
    QUARANTINE,
    begun_with,
    finish,
    is_complete,
    markers,
    named_classes,
    open_job,
    remember_stages,
)
from tests.helpers.prep import begin, digests, write_input
from tests.helpers.shards import make_record


@pytest.fixture
def folder(tmp_path):
    return write_input(tmp_path / "in")


def work_on(job, work, budget=0.0):
    missing = [unit for unit, marker in markers(job) if marker is None]
    outcomes = list(Inline().run(work, missing))
    for outcome in outcomes[:1]:
        if outcome.marker and not begun_with(job):
            remember_stages(job, outcome.marker)
    return missing, finish(job, [o for o in outcomes if o.marker is None], budget=budget)


def test_a_finished_folder_is_a_shard_set_with_its_counts(folder, tmp_path):
    job, work = begin(folder, tmp_path / "out", {"words": {"longest": 2}})
    _, manifest = work_on(job, work)
    assert manifest["samples"] == 8
    assert manifest["input_samples"] == 12
    assert manifest["drops"] == {"words: phrases, long": 16, "words: samples, wordless": 4}
    assert manifest["events"] == {"words: words": 24}
    assert manifest["stages"] == {"words": {"name": "words", "version": 1, "longest": 2}}
    assert open_shards(str(tmp_path / "out"), key="x").total == 8
    assert is_complete(job)
    assert not (tmp_path / "out/partial").exists()
    assert (manifest["captions"], manifest["license"]) == (8, {})


def test_classes_of_the_input_stay_named_and_licences_are_counted_again(tmp_path):
    record = replace(make_record(0), meta={"license": "CC BY 4.0"})
    classes = {"dog": ["a dog"]}
    write_shards([record], tmp_path / "in", samples_per_shard=1, extra={"classes": classes})
    job, work = begin(tmp_path / "in", tmp_path / "out")
    list(Inline().run(work, list(job.units)))
    manifest = finish(job, [], budget=0, classes=named_classes(str(tmp_path / "in")))
    assert (manifest["classes"], manifest["license"]) == (classes, {"CC BY 4.0": 1})


def test_only_what_is_missing_is_done_and_the_bytes_are_those_of_an_undisturbed_run(
    folder, tmp_path
):
    work_on(*begin(folder, tmp_path / "whole"))
    out = tmp_path / "out"
    job, work = begin(folder, out)
    work_on(job, work)
    for name in ("shard-000001", "shard-000003"):
        (out / "markers" / f"{name}.json").unlink()
    (out / "shard-000003.tar").unlink()
    (out / "manifest.json").unlink()
    assert not is_complete(job)
    missing, _ = work_on(*begin(folder, out))
    assert [unit.number for unit in missing] == [1, 3]
    assert digests(out) == digests(tmp_path / "whole")


def test_another_input_shard_is_done_again_and_added_shards_are_added(folder, tmp_path):
    job, work = begin(folder, tmp_path / "out")
    work_on(job, work)
    larger = write_input(tmp_path / "larger", shards=6)
    missing, manifest = work_on(*begin(larger, tmp_path / "out"))
    assert [unit.number for unit in missing] == [4, 5]
    assert manifest["samples"] == 18
    _, fewer = work_on(*begin(folder, tmp_path / "out"))
    assert [shard["name"] for shard in fewer["shards"]] == [
        f"shard-{number:06d}.tar" for number in range(4)
    ]
    changed = job._replace(units=(job.units[0]._replace(fingerprint="x"), *job.units[1:]))
    assert not is_complete(changed)
    assert [unit.number for unit, marker in markers(changed) if marker is None] == [0]


def test_settings_that_made_no_shard_yet_may_be_corrected(folder, tmp_path):
    begin(folder, tmp_path / "out", {"words": {"longest": 5}})
    job, work = begin(folder, tmp_path / "out", {"words": {"longest": 6}})
    work_on(job, work)
    with pytest.raises(UserError, match=r"words\.longest=6 there, 5 asked"):
        begin(folder, tmp_path / "out", {"words": {"longest": 5}})


def test_a_driver_killed_behind_the_first_shard_still_knows_what_it_was_begun_with(
    folder, tmp_path
):
    job, work = begin(folder, tmp_path / "out")
    assert begun_with(job) == {}
    list(Inline().run(work, job.units[:1]))  # and nobody remembers its stages
    assert begun_with(job) == {"words": {"name": "words", "version": 1, "longest": 20}}


def test_other_settings_are_refused_and_the_difference_is_named(folder, tmp_path):
    job, work = begin(folder, tmp_path / "out", {"words": {"longest": 5}})
    list(Inline().run(work, job.units[:1]))
    says = r"out was begun with other settings \(words\.longest=5 there, 6 asked\)"
    with pytest.raises(UserError, match=says):
        open_job(job.out, job.units, {"words": {"longest": 6}})
    with pytest.raises(UserError, match=r"words\.version=None there, 2 asked"):
        open_job(job.out, job.units, {"words": {"longest": 5, "version": 2}})


def test_a_folder_of_something_else_is_refused(folder, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/photo.jpg").touch()
    with pytest.raises(UserError, match=r"out exists and is not empty; remove it or choose"):
        begin(folder, tmp_path / "out")


def test_failed_shards_are_set_aside_and_more_than_the_budget_are_an_error(folder, tmp_path):
    settings = {"fails": {"mark": "s2"}, "words": {}}
    job, work = begin(folder, tmp_path / "out", settings)
    says = r"1 of 4 shards failed \(budget=0\), first .*shard-000002\.tar: RuntimeError: s2: no lu"
    with pytest.raises(UserError, match=says):
        work_on(job, work)
    assert not (tmp_path / "out/manifest.json").exists()
    [row] = json.loads((tmp_path / "out" / QUARANTINE).read_text())
    assert row["shard"] == "shard-000002"
    missing, manifest = work_on(job, work, budget=0.25)
    assert [unit.number for unit in missing] == [2]
    assert manifest["samples"] == 9
    assert manifest["quarantined"] == [row]
    assert not is_complete(job)  # the same command tries it again


def test_a_job_of_which_nothing_is_left_says_why(folder, tmp_path):
    job, work = begin(folder, tmp_path / "out", {"words": {"longest": 0}})
    with pytest.raises(UserError, match=r"no sample is left of 4 shards: .*words: samples, wordl"):
        work_on(job, work)


def test_a_shard_that_succeeds_later_leaves_no_quarantine(folder, tmp_path):
    job, work = begin(folder, tmp_path / "out")
    unit = job.units[0]
    with pytest.raises(UserError, match="1 of 4 shards failed"):
        finish(job, [Outcome(unit, None, "gone")], budget=0)
    work_on(job, work)
    assert not (tmp_path / "out" / QUARANTINE).exists()


@pytest.mark.parametrize("text", ['{"settings": {', "[1]", "{}"])
def test_a_damaged_record_of_the_job_is_named(folder, tmp_path, text):
    begin(folder, tmp_path / "out", {})
    (tmp_path / "out/job.json").write_text(text)
    with pytest.raises(UserError, match=r"job\.json is damaged.*; remove .*out, or choose another"):
        begin(folder, tmp_path / "out", {})
