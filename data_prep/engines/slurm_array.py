"""Units in the tasks of a Slurm array, each of which works through its share by itself."""

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cloc.errors import UserError, one_line
from data_prep.engine_loop import Outcome, drive
from data_prep.engines.inline import InlinePool
from data_prep.work_unit import MARKERS, Unit, Work, marker_path, read_marker

SLURMS = (  # sbatch's options, one line of its file each
    *("time", "partition", "gres", "mem", "array_parallelism", "account", "qos", "constraint"),
    *("nodelist", "exclude", "exclusive", "comment", "dependency", "mail_type", "mail_user"),
    *("mem_per_cpu", "mem_per_gpu", "cpus_per_gpu", "gpus_per_task"),
)
SUBMITITS = ("cpus_per_task", "gpus_per_node", "nodes", "mem_gb", "timeout_min")
LOGS = "slurm"  # the folder of the tasks' own output, inside the output folder


class SlurmArray:
    """`tasks` of the array, submitted by submitit with `slurm` as sbatch's options (partition,
    time, gres, cpus_per_task, mem, array_parallelism...).

    This process only waits and shows: one that is killed can be started again, and what tasks have
    finished meanwhile is not done twice. `cluster` is submitit's: null finds Slurm, "local" starts
    the tasks as processes here.
    """

    def __init__(
        self,
        *,
        tasks: int,
        slurm: Mapping[str, Any] | None = None,
        cluster: str | None = None,
        poll_s: float = 5.0,
    ) -> None:
        if tasks < 1:
            raise UserError(f"engine.tasks={tasks}: at least 1 is needed")
        self.tasks, self.cluster = tasks, cluster
        self.slurm = _options(slurm or {})
        self.poll_s = poll_s

    def run(self, work: Work, units: Iterable[Unit]) -> Iterator[Outcome]:
        """One outcome per unit, soon after its marker is there; of one that failed, at the end of
        the task that had it."""
        every = list(units)
        shares = [every[start :: self.tasks] for start in range(min(self.tasks, len(every)))]
        jobs = _submit(self, work, shares)
        try:
            waiting = dict(enumerate(jobs))
            while waiting:
                ended = [n for n, job in waiting.items() if job.done()]  # their markers are there
                there = {entry.name for entry in os.scandir(Path(work.out) / MARKERS)}
                for number in waiting:
                    yield from _made(work, shares[number], there)
                for number in ended:
                    yield from _failed(waiting.pop(number), shares[number])
                if waiting:
                    time.sleep(self.poll_s)
        finally:
            for job in jobs:
                if not job.done():
                    job.cancel()


def _options(given: Mapping[str, Any]) -> dict[str, Any]:
    """By submitit's names. It has options that are shell commands (`setup`), and writes the others
    as they are: a configuration must not bring a line of a script."""
    found = {}
    for key, value in given.items():
        name = str(key).removeprefix("slurm_")
        if name not in (*SLURMS, *SUBMITITS):
            known = ", ".join((*SUBMITITS, *SLURMS))
            raise UserError(f"engine.slurm.{key} is no option here; there are {known}")
        if not isinstance(value, str | int | float) or not str(value).isprintable():
            raise UserError(f"engine.slurm.{key}={value!r}; give a number or one line of text")
        found[f"slurm_{name}" if name in SLURMS else name] = value
    return found


def _submit(engine: SlurmArray, work: Work, shares: list[list[Unit]]) -> list[Any]:
    try:
        import submitit
    except ImportError as error:
        raise UserError(
            f"engine=slurm_array needs submitit ({error}): pip install 'cloc-pretrain[slurm]'"
        ) from None
    try:
        executor = submitit.AutoExecutor(Path(work.out) / LOGS, cluster=engine.cluster)
        executor.update_parameters(name="cloc_prep", **engine.slurm)
        return list(executor.map_array(_work_through, [work] * len(shares), shares))
    except (RuntimeError, NameError, TypeError, ValueError, OSError) as error:
        raise UserError(f"engine=slurm_array: the array cannot be submitted ({error})") from None


def _work_through(work: Work, units: list[Unit]) -> list[tuple[int, str]]:
    """In a task: units that failed, and why. Markers are on disk; nothing large goes back."""
    return [(o.unit.number, o.error) for o in drive(InlinePool(work), units) if o.marker is None]


def _made(work: Work, share: list[Unit], there: set[str]) -> Iterator[Outcome]:
    """Those whose marker is among the files `there`; they are taken out of the share."""
    for unit in [u for u in share if marker_path(Path(work.out), u).name in there]:
        marker = read_marker(Path(work.out), unit, work.job)
        if marker is not None:  # None: of an earlier input
            share.remove(unit)
            yield Outcome(unit, marker)


def _failed(job: Any, share: list[Unit]) -> Iterator[Outcome]:
    """What a task that has ended left undone, with the errors it met or its own end."""
    error = job.exception()
    met = dict(job.result()) if error is None else {}
    why = "" if error is None else f" ({one_line(error)[-200:]})"
    said = f"its task of the array ended before it{why}"
    for unit in share:
        yield Outcome(unit, None, met.get(unit.number, said))
