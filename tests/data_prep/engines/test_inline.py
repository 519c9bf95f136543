"""Units one after another; what one raises is its own affair."""

import pytest

from cloc.errors import UserError
from data_prep.engines.inline import Inline
from tests.helpers.prep import begin, write_input


def test_a_unit_that_raises_is_an_outcome_and_the_others_go_on(tmp_path):
    folder = write_input(tmp_path / "in")
    job, work = begin(folder, tmp_path / "out", {"fails": {"mark": "s1"}})
    outcomes = {o.unit.number: o for o in Inline().run(work, job.units)}
    assert sorted(outcomes) == [0, 1, 2, 3]
    assert [n for n, o in outcomes.items() if o.marker is None] == [1]
    assert outcomes[1].error == "RuntimeError: s1: no luck"


def test_what_fails_once_is_made_by_its_second_try(tmp_path):
    folder = write_input(tmp_path / "in")
    once = {"fails": {"mark": "s1", "until": str(tmp_path / "failed")}}
    job, work = begin(folder, tmp_path / "out", once)
    assert all(o.marker for o in Inline().run(work, job.units))


def test_a_stage_that_cannot_be_made_ends_the_job(tmp_path):
    folder = write_input(tmp_path / "in")
    job, work = begin(folder, tmp_path / "out", begun_with={"words": {"name": "x"}})
    with pytest.raises(UserError, match="the stage words is not what"):
        list(Inline().run(work, job.units))
