"""Names what limits a run (disk, decoding, workers, copying, model, communication) and predicts it.

cloc-pretrain doctor experiment=demo
cloc-pretrain doctor experiment=NAME images=64 price_per_hour=2.5
torchrun --nproc-per-node=2 -m cloc doctor experiment=NAME     # communication too

Every stage is measured alone, for a minute or so; nothing is written. The keys are those of
`cloc-pretrain bench what=doctor`, which this is, with the same JSON on the last line.
"""

from collections.abc import Sequence
from functools import partial

from omegaconf import DictConfig

from cloc.cli.bench.command import main, shown
from cloc.cli.config.compose import Command, Ends, cli, ends_with_all_ranks

WHAT = "what=doctor"


def asked(overrides: list[str], *, ends: Ends) -> None:
    """Of `bench`."""
    main([WHAT, *overrides], ends=ends)


def composed(overrides: list[str]) -> DictConfig:
    """For --help and --cfg job."""
    return shown([WHAT, *overrides])


def run(arguments: Sequence[str]) -> None:
    """From a shell."""
    cli(partial(asked, ends=ends_with_all_ranks), Command(__doc__, "bench", composed), arguments)
