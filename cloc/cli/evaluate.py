"""Measures a run, or any encoder of open_clip: metrics.json, and for a run report.html.

cloc-pretrain evaluate run=runs/demo
cloc-pretrain evaluate run=runs/demo twin=runs/demo_clip splits.val=data/scenes/val
cloc-pretrain evaluate model=open_clip:ViT-B-32/openai splits.val=SHARDS out=DIR

A split is any shards with regions; its name is the suffix of its metrics, `val` has none.
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from cloc.cli.config.compose import (
    Command,
    Ends,
    cli,
    compose_config,
    composed,
    ends_with_all_ranks,
)
from cloc.cli.config.trust import check_targets, trust_of
from cloc.errors import UserError


def main(overrides: list[str], *, ends: Ends = nullcontext) -> None:
    check_splits(overrides)
    cfg = compose_config("evaluate", named(overrides), check=check_command)
    check_factories(cfg, trust_of(overrides)[0])
    with ends():
        from cloc.cli.tasks.evaluate import measure

        measure(cfg)


def named(overrides: list[str]) -> list[str]:
    """Hydra would take `model=` for the group configs/model."""
    return [f"encoder{word[5:]}" if word.startswith("model=") else word for word in overrides]


def check_splits(overrides: list[str]) -> None:
    """`UserError` where two have one name: the last would be measured, and the others not told."""
    words = [word.lstrip("+").partition("=")[::2] for word in overrides]
    given: dict[str, str] = {}
    for key, spec in words:
        if key.startswith("splits.") and given.setdefault(key, spec) != spec:
            raise UserError(
                f"{key}={given[key]} and {key}={spec}: two splits of one name; give each its own"
            )


def check_command(cfg: DictConfig) -> None:
    """What would be found out only at the end, or not be used at all."""
    if (cfg.run is None) == (cfg.encoder is None):
        both = "" if cfg.run is None else f"run={cfg.run} and model={cfg.encoder} (encoder): "
        raise UserError(f"{both}give either run=runs/NAME or model=open_clip:NAME/TAG")
    if cfg.run is not None and cfg.out is not None:
        raise UserError(f"out={cfg.out} goes with model=; a run's numbers go to its own folder")
    if cfg.ema and cfg.run is None:
        raise UserError("ema=true is for a run; give run=runs/NAME")
    if cfg.image_size is not None and cfg.run is not None:
        raise UserError(f"image_size={cfg.image_size} goes with model=; give model=run:{cfg.run}")
    if cfg.wise_ft != 1 and cfg.run is None:
        raise UserError(f"wise_ft={cfg.wise_ft} is for a run; give run=runs/NAME")
    if cfg.twin is not None and cfg.run is None:
        raise UserError(f"twin={cfg.twin} is for the report of a run; give run=runs/NAME")
    if cfg.twin is not None and not Path(cfg.twin).is_dir():
        raise UserError(f"twin={cfg.twin}: no such run folder; give another or leave it out")
    if cfg.twin is not None and not (Path(cfg.twin) / "metrics.json").is_file():
        cure = f"cloc-pretrain evaluate run={cfg.twin}"
        raise UserError(f"twin={cfg.twin}: it has no metrics.json; {cure} writes them")


FACTORIES = {"encoder": "model", "text_encoder": "text_encoder"}  # keys, and as they are typed


def check_factories(
    cfg: DictConfig, trust: Sequence[str], *, keys: Mapping[str, str] = FACTORIES
) -> None:
    """`UserError` for a `module:` whose package the command line does not trust: it would run."""
    for key, typed in keys.items():
        kind, _, where = str(cfg[key]).partition(":")
        if kind != "module":
            continue
        name = where.replace(":", ".")
        if "." not in name:
            raise UserError(f"{typed}={cfg[key]}; write {typed}=module:your.module.factory")
        try:
            check_targets(OmegaConf.create({key: {"_target_": name}}), trust)
        except UserError as error:
            told = str(error).replace(f"{key}._target_={name}", f"{typed}={cfg[key]}")
            raise UserError(told) from None


def run(arguments: Sequence[str]) -> None:
    """From a shell."""
    shown = Command(__doc__, "evaluate", lambda words: composed("evaluate", named(words))[1])
    cli(partial(main, ends=ends_with_all_ranks), shown, arguments)
