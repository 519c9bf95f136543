"""A pool of processes: the same bytes as inline, and the death of a worker costs one try."""

import pytest

from cloc.errors import UserError
from data_prep.engines.inline import Inline
from data_prep.engines.processes import Processes
from tests.helpers.prep import begin, digests, write_input

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path):
    return write_input(tmp_path / "in", shards=6)


def test_the_bytes_are_those_of_the_inline_engine(folder, tmp_path):
    for engine, out in ((Inline(), "inline"), (Processes(workers=2), "processes")):
        job, work = begin(folder, tmp_path / out)
        assert all(o.marker for o in engine.run(work, job.units))
    assert digests(tmp_path / "inline") == digests(tmp_path / "processes")
    assert len(digests(tmp_path / "inline")) == 12


def test_a_worker_that_is_killed_costs_its_unit_a_try_and_nothing_else(folder, tmp_path):
    once = {"fails": {"mark": "s1", "by": "kill", "until": str(tmp_path / "killed")}}
    job, work = begin(folder, tmp_path / "out", once)
    assert all(o.marker for o in Processes(workers=2).run(work, job.units))


def test_a_shard_that_kills_every_worker_is_set_aside(folder, tmp_path):
    job, work = begin(folder, tmp_path / "out", {"fails": {"mark": "s1", "by": "kill"}})
    outcomes = {o.unit.number: o for o in Processes(workers=2).run(work, job.units)}
    assert [n for n, o in outcomes.items() if o.marker is None] == [1]
    assert outcomes[1].error == "its worker was ended by SIGKILL (out of memory?)"


def test_a_stage_that_cannot_be_made_ends_the_job_with_its_words(folder, tmp_path):
    job, work = begin(folder, tmp_path / "out", begun_with={"words": {"name": "x"}})
    with pytest.raises(UserError, match="the stage words is not what"):
        list(Processes(workers=1).run(work, job.units))
    job, work = begin(folder, tmp_path / "other", {"words": {"nonsense": 1}})
    with pytest.raises(UserError, match=r"a stage cannot be made \(TypeError: .*nonsense"):
        list(Processes(workers=1).run(work, job.units))


def test_no_workers_are_refused():
    with pytest.raises(UserError, match=r"engine\.workers=0: at least 1 is needed"):
        Processes(workers=0)
