"""Tasks of an array, as submitit starts them on this machine."""

import pytest

from cloc.errors import UserError
from data_prep.engines.inline import Inline
from data_prep.engines.slurm_array import SlurmArray
from tests.helpers.prep import begin, digests, write_input


@pytest.mark.slow
def test_tasks_share_the_units_and_write_the_bytes_of_the_inline_engine(tmp_path):
    folder = write_input(tmp_path / "in", shards=5)
    settings = {"fails": {"mark": "s3"}, "words": {}}
    job, work = begin(folder, tmp_path / "inline", settings)
    list(Inline().run(work, job.units))
    job, work = begin(folder, tmp_path / "array", settings)
    engine = SlurmArray(tasks=2, cluster="local", poll_s=0.2)
    outcomes = {o.unit.number: o for o in engine.run(work, job.units)}
    assert sorted(outcomes) == [0, 1, 2, 3, 4]
    assert [n for n, o in outcomes.items() if o.marker is None] == [3]
    assert outcomes[3].error == "RuntimeError: s3: no luck"
    assert digests(tmp_path / "inline") == digests(tmp_path / "array")
    assert len(digests(tmp_path / "array")) == 8


@pytest.mark.rare
@pytest.mark.slow
def test_a_task_that_dies_is_the_failure_of_what_it_has_not_done(tmp_path):
    folder = write_input(tmp_path / "in", shards=3)
    job, work = begin(folder, tmp_path / "out", {"fails": {"mark": "s1", "by": "kill"}})
    engine = SlurmArray(tasks=1, cluster="local", poll_s=0.2)
    outcomes = {o.unit.number: o for o in engine.run(work, job.units)}
    assert outcomes[0].marker is not None
    assert outcomes[1].marker is None
    assert "its task of the array ended before it" in outcomes[1].error


@pytest.mark.slow
def test_a_unit_is_told_of_while_its_task_goes_on(tmp_path):
    folder = write_input(tmp_path / "in", shards=2)
    told = tmp_path / "told"
    job, work = begin(folder, tmp_path / "out", {"waits": {"mark": "s1", "until": str(told)}})
    numbers = []
    for outcome in SlurmArray(tasks=1, cluster="local", poll_s=0.1).run(work, job.units):
        assert outcome.marker is not None, outcome.error
        numbers.append(outcome.unit.number)
        told.touch()
    assert numbers == [0, 1]


def test_no_tasks_and_no_slurm_are_one_line(tmp_path):
    with pytest.raises(UserError, match=r"engine\.tasks=0: at least 1 is needed"):
        SlurmArray(tasks=0)
    folder = write_input(tmp_path / "in", shards=1)
    job, work = begin(folder, tmp_path / "out")
    with pytest.raises(UserError, match="engine=slurm_array: the array cannot be submitted"):
        list(SlurmArray(tasks=1, cluster="slurm").run(work, job.units))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"setup": ["touch here"]}, r"engine\.slurm\.setup is no option here; there are cpus_per"),
        ({"slurm_teardown": ["touch here"]}, r"engine\.slurm\.slurm_teardown is no option"),
        ({"additional_parameters": {"a": "b"}}, "is no option"),
        ({"partition": "gpu\ntouch here"}, r"engine\.slurm\.partition='gpu\\ntouch here'; give a"),
        ({"time": ["5"]}, "give a number or one line of text"),
    ],
)
def test_a_configuration_brings_no_line_of_a_script(options, words):
    with pytest.raises(UserError, match=words):
        SlurmArray(tasks=1, slurm=options)


def test_options_get_the_names_that_submitit_has():
    given = {"partition": "gpu", "slurm_time": 5, "cpus_per_task": 8, "exclusive": True}
    expected = {"slurm_partition": "gpu", "slurm_time": 5, "cpus_per_task": 8}
    assert SlurmArray(tasks=1, slurm=given).slurm == {**expected, "slurm_exclusive": True}
