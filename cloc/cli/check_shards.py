"""Checks shard sets, their indexes and manifests, and reads every sample: one line per problem.

cloc-pretrain check-shards SHARDS...                     # folders, globs, list files
cloc-pretrain check-shards write_index=true SHARDS...    # writes the indexes that are missing
cloc-pretrain check-shards out=FILE.html SHARDS...       # draws statistics of what is in them

With index_folder=DIR, missing indexes are written there; data.index_folder=DIR reads them.
Exit code 1: there are problems; 2: the command is wrong.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from omegaconf import DictConfig

from cloc.cli.config.compose import Command, as_typed, cli, compose_words
from cloc.errors import UserError

WRONG = 2  # the exit code


def main(arguments: list[str]) -> int:
    """Prints the problems; 1 if there are any."""
    cfg = compose_words("check_shards", arguments, key="shards")
    check_command(cfg)
    from cloc.cli.tasks.check_shards import run
    from cloc.data.shards.index_places import Indexes

    out = None if cfg.out is None else Path(cfg.out)
    indexes = Indexes(cfg.index_folder, "SHARDS")
    report = run(list(cfg.shards), write_index=cfg.write_index, out=out, indexes=indexes)
    print(as_typed(report.summary()))
    if out is not None:
        print(f"statistics: {out}")
    return 1 if report.counts else 0


def check_command(cfg: DictConfig) -> None:
    """Before anything is read."""
    out = cfg.out
    if out is not None and not (out.endswith(".html") and Path(out).parent.is_dir()):
        raise UserError(f"out={out}: give the name of an .html file in a folder that exists")
    if not cfg.shards:
        raise UserError("give at least one shard folder, glob or list file")


def run(arguments: Sequence[str]) -> None:
    """From a shell."""
    compose = partial(compose_words, "check_shards", key="shards")
    cli(main, Command(__doc__, "check_shards", compose), arguments, wrong=WRONG)
