"""Units as tasks of Ray, on this machine or on a cluster; stages that need a GPU as actor pools.

Ray carries names of shards and markers, and records only to a stage that is an actor; every task
opens its own shard. (Ray Data's reader was measured 40 times slower on such shards.)
"""

import os
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from cloc.data.samples.record import Record
from cloc.errors import SIGNALS, UserError, one_line
from data_prep.engine_loop import Outcome, drive
from data_prep.engines.inline import attempt
from data_prep.stage import Notes, Stage
from data_prep.work_unit import Unit, Work, make_stages


class Ray:
    """`address` null starts Ray inside this process, with `workers` (null: all cores) CPUs; another
    one ("auto", "ray://HOST:PORT") is a cluster, which must see the same files and packages.

    `actors` names stages that are kept in actors: stage -> {count, and Ray's num_gpus, num_cpus}.
    """

    def __init__(
        self,
        *,
        address: str | None = None,
        workers: int | None = None,
        actors: Mapping[str, Mapping[str, float]] | None = None,
    ) -> None:
        self.address, self.workers, self.actors = address, workers, dict(actors or {})

    def run(self, work: Work, units: Iterable[Unit]) -> Iterator[Outcome]:
        """One outcome per unit."""
        unknown = sorted(set(self.actors) - set(work.stages))
        if unknown:
            raise UserError(
                f"engine.actors.{unknown[0]}: there is no such stage; choose from "
                f"{', '.join(work.stages)}"
            )
        pool = RayPool(start_ray(self.address, self.workers), work, self.actors)
        try:
            yield from drive(pool, units)
        finally:
            pool.close()


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise UserError(
            f"engine=ray needs the package ray ({error}): pip install 'cloc-pretrain[prep]'"
        ) from None
    return ray


def start_ray(address: str | None, workers: int | None) -> Any:
    """The package, connected."""
    ray = _ray()
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # it warns of its own future
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody was asked
    paths = os.pathsep.join(path for path in sys.path if path)  # `scripts/` makes the stages
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        ray.init(
            address=address or "local",
            # joined only: a cluster has its own CPUs and dashboard
            **({} if address else {"num_cpus": workers or len(os.sched_getaffinity(0))}),
            include_dashboard=None if address else False,
            log_to_driver=False,
            logging_level="ERROR",
            runtime_env={"env_vars": {"PYTHONPATH": paths}},
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UserError(
            f"engine.address={address}: Ray cannot be reached ({one_line(error)})"
        ) from None
    for number, handler in handlers.items():  # Ray puts its own there, with an exit code of 15
        signal.signal(number, handler)
    return ray


class RayPool:
    """A task per unit; two more than there are CPUs, so that none of them waits for us."""

    def __init__(self, ray: Any, work: Work, actors: Mapping[str, Mapping[str, float]]) -> None:
        self.ray = ray
        self.slots = int(ray.cluster_resources().get("CPU", 1)) + 2
        self.work = ray.put(work)
        self.hosts = {name: _hosts(ray, work, name, asked) for name, asked in actors.items()}
        # its own retries would not be counted; max_calls=0 keeps the process and its stages
        self.task = ray.remote(max_retries=0, max_calls=0)(_run)
        self.busy: dict[Any, Unit] = {}

    def submit(self, unit: Unit) -> None:
        hosts = {name: pool[unit.number % len(pool)] for name, pool in self.hosts.items()}
        self.busy[self.task.remote(self.work, unit, hosts)] = unit

    def wait(self) -> Outcome:
        [done], _ = self.ray.wait(list(self.busy), num_returns=1)
        unit = self.busy.pop(done)
        try:
            found: Outcome | UserError = self.ray.get(done)
        except self.ray.exceptions.RayError as error:  # the worker or an actor has died
            return Outcome(unit, None, f"{type(error).__name__}: {one_line(error)}")
        if isinstance(found, UserError):
            raise found
        return found

    def close(self) -> None:
        self.ray.shutdown()


def _run(work: Work, unit: Unit, hosts: Mapping[str, Any]) -> Outcome | UserError:
    """In a worker of Ray's."""
    try:
        stages = _stages(work, hosts)
    except UserError as error:  # it would be the same for every unit
        return error
    return attempt(unit, work, stages)


_MADE: dict[tuple[str, str, str], Stage] = {}  # in a worker: Ray keeps the process for more tasks


def _made(work: Work, name: str) -> Stage:
    key = (work.out, work.job, name)
    if key not in _MADE:
        _MADE[key] = work.make(name)
    return _MADE[key]


def _stages(work: Work, hosts: Mapping[str, Any]) -> dict[str, tuple[Stage, dict[str, Any]]]:
    def make(name: str) -> Stage:
        return _Remote(hosts[name]) if name in hosts else _made(work, name)

    return make_stages(work, make)


def _hosts(ray: Any, work: Work, name: str, asked: Mapping[str, float]) -> list[Any]:
    options = {key: value for key, value in asked.items() if key != "count"}
    host = ray.remote(max_restarts=-1, **options)(_Host)
    return [host.remote(work, name) for _ in range(int(asked.get("count", 1)))]


class _Host:
    """A stage in a process of its own, with its model and its GPU."""

    def __init__(self, work: Work, name: str) -> None:
        self.stage = work.make(name)

    def describe(self) -> tuple[str, dict[str, Any]]:
        return self.stage.name, dict(self.stage.describe())

    def call(self, records: Sequence[Record], keep: int) -> tuple[list[Record], Notes]:
        notes = Notes(keep=keep)
        return self.stage(records, notes), notes


class _Remote:
    """The stage that an actor holds, as the others see it."""

    def __init__(self, host: Any) -> None:
        import ray

        self.ray, self.host = ray, host
        self.name, self.said = ray.get(host.describe.remote())

    def __call__(self, records: Sequence[Record], notes: Notes) -> list[Record]:
        found, theirs = self.ray.get(self.host.call.remote(list(records), notes.keep))
        notes.counts.update(theirs.counts)
        notes.events.update(theirs.events)
        notes.examples.extend(theirs.examples)
        return list(found)

    def describe(self) -> Mapping[str, Any]:
        return self.said
