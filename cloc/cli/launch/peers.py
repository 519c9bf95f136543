"""Who started the processes of a run. No torch here: it is loaded when a command is understood."""

from collections.abc import MutableMapping
from typing import NamedTuple

from cloc.errors import UserError

JOB = "CLOC_JOB"  # what was decided, for the processes that Lightning starts
MEETING = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_HOW = "start with torchrun or srun (docs/launching.md), or unset it"


class Peers(NamedTuple):
    """This process and those that were started with it; `by` is "" for a process started alone.

    Lightning starts the further processes of such a one: in those, `by` is "Lightning".
    """

    by: str = ""
    rank: int = 0
    world: int = 1
    nodes: int | None = None  # None where nobody says

    @property
    def from_outside(self) -> bool:
        """Whether torchrun, srun or a person has started all processes."""
        return self.by not in ("", "Lightning")


def find_peers(environ: MutableMapping[str, str]) -> Peers:
    """What the environment says of the launcher; srun's names are translated to torchrun's.

    A Slurm job is one only in what `srun` started over several tasks: the shell of `salloc`, and
    what runs in it or in a batch script without `srun`, is a process of its own.
    """
    if "TORCHELASTIC_RUN_ID" in environ:
        by = "torchrun"
    elif int(environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        by = "srun"
        environ.update(_as_torchrun(environ))
    elif int(environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in environ:
        by = "RANK and WORLD_SIZE"
    elif JOB in environ and environ.get("LOCAL_RANK", "0") != "0":
        return Peers("Lightning", int(environ["LOCAL_RANK"]))
    elif "LOCAL_RANK" in environ and JOB not in environ:
        raise UserError(f"LOCAL_RANK={environ['LOCAL_RANK']} without RANK; {_HOW}")
    else:
        return Peers()
    absent = [name for name in MEETING if name not in environ]
    if absent:
        raise UserError(f"{by} without {', '.join(absent)} in the environment; {_HOW}")
    world = int(environ["WORLD_SIZE"])
    local = int(environ.get("LOCAL_WORLD_SIZE", "0"))
    if local and world % local:
        raise UserError(
            f"{by} started {world} processes, {local} of them on this node; start as many on every "
            "node: --nproc-per-node of torchrun, --ntasks-per-node of srun"
        )
    return Peers(by, int(environ["RANK"]), world, world // local if local else None)


def _as_torchrun(slurm: MutableMapping[str, str]) -> dict[str, str]:
    """torchrun's names for what srun says. sbatch files set the meeting point: see train.sbatch."""
    nodes = int(slurm.get("SLURM_STEP_NUM_NODES", slurm.get("SLURM_NNODES", "1")))
    tasks = int(slurm["SLURM_STEP_NUM_TASKS"])
    if tasks % nodes:
        raise UserError(f"srun started {tasks} tasks on {nodes} nodes; set --ntasks-per-node")
    found = {
        "RANK": slurm["SLURM_PROCID"],
        "LOCAL_RANK": slurm["SLURM_LOCALID"],
        "GROUP_RANK": slurm["SLURM_NODEID"],
        "WORLD_SIZE": str(tasks),
        "LOCAL_WORLD_SIZE": str(tasks // nodes),
    }
    if nodes == 1:
        found["MASTER_ADDR"] = slurm.get("MASTER_ADDR", "127.0.0.1")
    if "MASTER_PORT" not in slurm:
        found["MASTER_PORT"] = str(10000 + int(slurm["SLURM_JOB_ID"]) % 20000)
    return found
