"""Ray inside this process: the same bytes, stages in actors, deaths that cost one try."""

import pytest

from cloc.errors import UserError
from data_prep.engines.inline import Inline
from data_prep.engines.ray import Ray
from tests.helpers.prep import begin, digests, write_input

pytestmark = pytest.mark.slow


@pytest.mark.rare
def test_tasks_and_actors_write_the_bytes_of_the_inline_engine_and_survive_a_death(tmp_path):
    """One start of Ray for all of it: a start takes seconds."""
    folder = write_input(tmp_path / "in", shards=5)
    once = {"fails": {"mark": "s1", "by": "kill", "until": str(tmp_path / "killed")}}
    settings = {"words": {"longest": 2}, **once}
    (tmp_path / "killed").touch()
    job, work = begin(folder, tmp_path / "inline", settings)
    markers = [o.marker for o in Inline().run(work, job.units)]
    (tmp_path / "killed").unlink()
    job, work = begin(folder, tmp_path / "ray", settings)
    engine = Ray(workers=1, actors={"words": {"count": 1, "num_cpus": 0}})
    outcomes = sorted(engine.run(work, job.units), key=lambda o: o.unit.number)
    assert (tmp_path / "killed").exists()
    assert all(o.marker for o in outcomes)
    assert digests(tmp_path / "inline") == digests(tmp_path / "ray")
    assert len(digests(tmp_path / "ray")) == 10
    for ours, theirs in zip(markers, outcomes, strict=True):
        assert ours["drops"] == theirs.marker["drops"] != []
        assert ours["events"] == theirs.marker["events"] != {}
        assert ours["examples"] == theirs.marker["examples"]


def test_an_unknown_stage_is_one_line(tmp_path):
    folder = write_input(tmp_path / "in", shards=1)
    job, work = begin(folder, tmp_path / "out")
    with pytest.raises(UserError, match=r"engine\.actors\.detect: there is no such stage; choose"):
        list(Ray(actors={"detect": {}}).run(work, job.units))
