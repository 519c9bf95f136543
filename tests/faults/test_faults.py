"""Small versions of the long fault suite (`make faults` runs the large ones)."""

import pytest

from tests.faults import layouts, poison, resume, saves, starts, tars

pytestmark = [pytest.mark.slow, pytest.mark.dist]


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


def test_what_a_killed_or_full_save_leaves_is_never_taken_for_whole():
    found = saves.run(5, 3, 8)
    assert (found["wrong"], found["kills"]) == ([], 5)
    assert len(found["files"]) == 4


def test_workers_start_beside_a_process_group():
    assert starts.run(1)["wrong"] == []
