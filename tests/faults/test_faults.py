"""Small versions of the long fault suite (`make faults` runs the large ones)."""

import pytest

from tests.faults import layouts, one_rank, poison, preempt, resume, starts, tars

pytestmark = [pytest.mark.slow, pytest.mark.dist]
FAILURES = [("raise", 1, False), ("SIGKILL", 1, True), ("sleep", 1, False)]


def test_a_run_that_is_cut_goes_on_with_the_same_samples_and_weights():
    found = resume.run(2)
    assert (found["exact"], found["wrong"]) == (2, [])
    assert found["dropped"] == {1: 1, 2: 1}  # the corrupt sample was met


def test_uneven_empty_and_ragged_layouts_pair_every_step():
    found = layouts.run(19)  # the twentieth has a worker process
    assert found["wrong"] == []


def test_of_a_damaged_shard_every_sample_is_yielded_or_counted():
    found = tars.run()
    assert found["wrong"] == []
    assert found["yielded"] > 1000
    assert found["dropped"] > 1000
    assert "partial" not in found


def test_nothing_from_outside_is_executed(tmp_path):
    assert poison.members(tmp_path, tmp_path / "canary") == (10, 1)  # the link is refused
    assert poison.names(tmp_path, tmp_path / "canary") == (5, 5)
    assert not (tmp_path / "canary").exists()


def test_workers_start_beside_a_process_group():
    assert starts.run(1)["wrong"] == []


def test_a_signal_to_either_rank_saves_the_same_step_and_loses_nothing():
    cases = ((1, False, "all"), (2, False, 1))
    found = preempt.run(2, cases=cases, limit_s=30)  # the machine may be busy
    assert (found["well"], found["wrong"]) == (2, [])


def test_the_failure_of_one_rank_ends_all_and_is_told_first():
    cases = [case for case in one_rank.CASES if case[:3] in FAILURES]
    found = one_rank.run(cases, limit_s=60)
    assert (found["well"], found["wrong"]) == (len(FAILURES) + 1, [])
