"""Pretrains a model and writes its run folder runs/NAME: weights, curves, settings.

cloc-pretrain train experiment=demo
cloc-pretrain train experiment=coco_mini data.root=data/coco_mini name=mine steps=500
cloc-pretrain train --multirun experiment=demo seed=0,1,2     # a run of each

An experiment is a file of configs/experiment; every other key may follow it. The same command with
resume=auto goes on with a run that was stopped. cloc-pretrain evaluate run=runs/NAME measures it.
"""

import os
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial

from cloc.cli.config.compose import Ends, cli, command, compose_config, ends_with_all_ranks
from cloc.cli.config.help import SWEEP
from cloc.cli.config.trust import trust_of
from cloc.cli.launch.peers import find_peers
from cloc.cli.launch.sweep import sweep


def main(overrides: list[str], *, ends: Ends = nullcontext) -> None:
    peers = find_peers(os.environ)
    if set(overrides) & set(SWEEP):
        sweep([override for override in overrides if override not in SWEEP], peers)
        return
    # what is wrong is told before torch is there; several processes meet first
    cfg = None if peers.by else compose_config("train", overrides)
    with ends():
        from cloc.cli.tasks.train import run_job

        trust, _ = trust_of(overrides)
        run_job(lambda: cfg or compose_config("train", overrides), peers, trust=trust)


def run(arguments: Sequence[str]) -> None:
    """From a shell."""
    cli(partial(main, ends=ends_with_all_ranks), command(__doc__, "train"), arguments)
