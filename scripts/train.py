"""Pretrains a model and writes its run folder runs/NAME: weights, curves, settings.

python scripts/train.py experiment=demo
python scripts/train.py experiment=coco_mini data.root=data/coco_mini name=mine steps=500
python scripts/train.py --multirun experiment=demo seed=0,1,2     # a run of each

An experiment is a file of configs/experiment; every other key may follow it. The same command with
resume=auto goes on with a run that was stopped. scripts/evaluate.py run=runs/NAME measures it.
"""

import os
from contextlib import nullcontext
from functools import partial

from _help import SWEEP
from _peers import find_peers
from _run import Ends, cli, command, compose_config, ends_with_all_ranks
from _sweep import sweep
from _trust import trust_of


def main(overrides: list[str], *, ends: Ends = nullcontext) -> None:
    peers = find_peers(os.environ)
    if set(overrides) & set(SWEEP):
        sweep([override for override in overrides if override not in SWEEP], peers)
        return
    # what is wrong is told before torch is there; several processes meet first
    cfg = None if peers.by else compose_config("train", overrides)
    with ends():
        from _train import run_job

        trust, _ = trust_of(overrides)
        run_job(lambda: cfg or compose_config("train", overrides), peers, trust=trust)


if __name__ == "__main__":
    cli(partial(main, ends=ends_with_all_ranks), command(__doc__, "train"))
