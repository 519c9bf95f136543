"""Measures speed; JSON on the last line.

cloc-pretrain bench what=step experiment=demo
cloc-pretrain bench what=loader shards=DIR repeat=5
cloc-pretrain bench what=startup

`what=loader experiment=NAME` is the training loader alone, `what=loader shards=DIR` the loader
against open_clip's own on photographs of captioned shards, `what=scenes` the generators of scenes,
`what=plan` the planning of a million shards, `what=dirt` the loader on shards with 1 % bad images
against clean ones, `what=seek` how long the first batch takes in the middle of a shard,
`what=startup` how long a command takes to say what it is or what is wrong with it, and what
training imports,
`what=loss` time and memory of the losses up to 131,072 columns,
`what=save` how long a checkpoint of 400 MiB stops training, against the whole of its saving.

`what=tax experiment=NAME` is what regions cost beside plain CLIP, in FLOPs and in time, `what=race`
plain CLIP against open_clip's own trainer, `what=doctor experiment=NAME` names what limits a run
and predicts its length, `what=gpu experiment=NAME` gives images/s, MFU and memory of a GPU.
`what=eval shards=DIR encoder=open_clip:NAME/TAG` is an evaluation beside its encoder alone.
`what=positions` is what each encoding of position costs beside learned ones.
`what=prep` is what the engines of data preparation cost beside a plain loop.
`what=memory experiment=NAME trainer.devices=8 trainer.num_nodes=4` estimates what a GPU must hold.

Ratios are of runs in the same process, in turns, so that a noisy machine hits both alike.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial

from omegaconf import DictConfig, OmegaConf

from cloc.cli.bench.options import check_options, keys_of_its_own, with_data
from cloc.cli.config.compose import (
    Command,
    Ends,
    cli,
    compose_config,
    composed,
    ends_with_all_ranks,
    plain,
)


def main(overrides: list[str], *, ends: Ends = nullcontext) -> None:
    own = keys_of_its_own(overrides)
    others = [override for override in overrides if override not in own]
    options = plain(compose_config("bench", own))
    of_a_run = check_options(options, others)
    cfg = compose_config("train", with_data(options["what"], others)) if of_a_run else None
    with ends():
        from cloc.cli.bench.measurements import answer

        answer(options, cfg)


def shown(overrides: list[str]) -> DictConfig:
    """Its own keys, and those of the run that is measured."""
    own = keys_of_its_own(overrides)
    others = [override for override in overrides if override not in own]
    cfg = composed("bench", own)[1]
    if others:
        OmegaConf.set_struct(cfg, False)
        cfg.merge_with(composed("train", others)[1])
    return cfg


def run(arguments: Sequence[str]) -> None:
    """From a shell."""
    cli(partial(main, ends=ends_with_all_ranks), Command(__doc__, "bench", shown), arguments)
