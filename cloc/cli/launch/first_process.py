"""What the first process of a run decides for all of them."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import torch.distributed as td
from lightning.pytorch.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    TorchElasticEnvironment,
)

from cloc.cli.config.compose import ENDED
from cloc.cli.launch.peers import JOB, Peers
from cloc.errors import UserError
from cloc.models.start_folder import FOLDER

WAIT_S = 300  # for the first process to come up: nodes of a large job start minutes apart
LINGER_S = 10  # of a first process that is through, for the others to hear of it
FIRST_S = 2  # after which the others end: torchrun calls who ended first the root cause


def environment(peers: Peers) -> ClusterEnvironment:
    """For Lightning, whose own detection takes the shell of `salloc` for a Slurm job, ignores RANK
    where LOCAL_RANK is set, and inside Slurm registers a requeue of its own."""
    return TorchElasticEnvironment() if peers.from_outside else LightningEnvironment()


@contextmanager
def decided(peers: Peers, decide: Callable[[], str]) -> Iterator[str]:
    """What `decide` returned in the first process, in all of them; called in no other.

    If it raises, all processes end within seconds. The body of the `with` is the run.
    """
    if peers.from_outside:
        yield from _by_store(peers, decide)
    elif peers.by:
        yield os.environ[JOB]
    else:
        os.environ[JOB] = decide()
        try:
            yield os.environ[JOB]
        finally:
            del os.environ[JOB]


def _by_store(peers: Peers, decide: Callable[[], str]) -> Iterator[str]:
    """Told through the store that the ranks meet at: it is of this job and no earlier one, and
    needs no file system that shows everybody the same files at the same time."""
    if peers.rank:
        yield _listen(_open_store(peers))
        return
    try:
        job = decide()
    except BaseException:
        _tell_of_failure(peers)
        raise
    store = _open_store(peers)
    store.set("job", "+" + job)
    try:
        yield job
    finally:  # a run that is finished has nothing to do, and ends before the others come
        _wait_until_heard(store, peers)


def _listen(store: td.Store) -> str:
    try:
        word = store.get("job").decode()
        store.add("heard", 1)
    except td.DistError:
        word = ""
    if not word.startswith("+"):
        time.sleep(FIRST_S)
        raise UserError(ENDED)
    return word[1:]


def _tell_of_failure(peers: Peers) -> None:
    with suppress(td.DistError, UserError):  # the error of the first process is what counts
        store = _open_store(peers)
        store.set("job", "-")
        _wait_until_heard(store, peers)


def _wait_until_heard(store: td.Store, peers: Peers) -> None:
    """The store ends with the process that serves it."""
    end = time.monotonic() + LINGER_S
    with suppress(td.DistError):
        while store.add("heard", 0) < peers.world - 1 and time.monotonic() < end:
            time.sleep(0.05)


def _open_store(peers: Peers) -> td.Store:
    """At MASTER_ADDR:MASTER_PORT; torchrun's agent, or else the first process, is its server.

    Several stores of one process share one server, so the process group finds its own there.
    """
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    agent = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    try:
        store = td.TCPStore(
            address,
            port,
            peers.world,
            is_master=not peers.rank and not agent,
            timeout=timedelta(seconds=WAIT_S),
            wait_for_workers=False,
            multi_tenant=True,
        )
    except td.DistError as error:
        cause = " ".join(str(error).split())[:120]
        raise UserError(
            f"nobody to meet at MASTER_ADDR={address} MASTER_PORT={port} ({cause}); the first "
            f"process must be there within {WAIT_S} s and the port free"
        ) from None
    # a group that torchrun starts again meets at the same store
    return td.PrefixStore(f"cloc/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)


def freeze(run: Path, config: str, *, fresh: bool) -> None:
    """Writes `run/config.yaml` whole or not at all; a fresh run makes its folder, and one only."""
    try:
        run.mkdir(parents=True, exist_ok=not fresh)
    except FileExistsError:
        raise UserError(
            f"{run} exists; continue it with resume=auto, or choose another name="
        ) from None
    except OSError as error:
        raise UserError(f"{run} cannot be made ({error.strerror}); set runs= to a folder") from None
    staged = run / ".config.yaml"
    staged.write_text(config, encoding="utf-8")
    staged.replace(run / "config.yaml")


@contextmanager
def kept_if_begun(run: Path) -> Iterator[None]:
    """A run that fails with nothing in its folder but its config and its start leaves no folder, so
    that the corrected command is no second run into it."""
    try:
        yield
    except BaseException:
        if {path.name for path in run.iterdir()} <= {"config.yaml", FOLDER, f"{FOLDER}.partial"}:
            shutil.rmtree(run)
        raise
