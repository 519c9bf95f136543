"""What the tokens of an image tower say of content, and what of place: diagnose.html and .json.

cloc-pretrain diagnose run=runs/demo
cloc-pretrain diagnose model=open_clip:ViT-B-32/openai out=DIR
cloc-pretrain diagnose model=timm:NAME,FILE data=SHARDS images=256 out=DIR

Norms of content and of position, the share of variance that place explains, what changes without
positions, and where attention goes, layer by layer. Of anybody's encoder that `evaluate` opens.
"""

from collections.abc import Sequence

from omegaconf import DictConfig

from cloc.cli.config.compose import Command, cli, compose_config, composed
from cloc.cli.config.trust import trust_of
from cloc.cli.evaluate import check_factories
from cloc.errors import UserError

ALIASES = {"model=": "encoder=", "data=": "shards="}  # Hydra has groups of the first names


def main(overrides: list[str]) -> None:
    cfg = compose_config("diagnose", named(overrides), check=check_command)
    check_factories(cfg, trust_of(overrides)[0], keys={"encoder": "model"})
    from cloc.cli.tasks.diagnose import measure

    measure(cfg)


def named(overrides: list[str]) -> list[str]:
    """With the names that the keys have in the configuration."""
    found = []
    for word in overrides:
        alias = next((alias for alias in ALIASES if word.startswith(alias)), "")
        found.append(ALIASES.get(alias, "") + word.removeprefix(alias))
    return found


def check_command(cfg: DictConfig) -> None:
    """What would be found out only once a tower is there, or not be used at all."""
    if (cfg.run is None) == (cfg.encoder is None):
        both = "" if cfg.run is None else f"run={cfg.run} and model={cfg.encoder} (encoder): "
        raise UserError(f"{both}give either run=runs/NAME or model=open_clip:NAME/TAG")
    if cfg.encoder is not None and cfg.out is None:
        raise UserError("with model= give out=DIR too: diagnose.html is written there")
    if cfg.image_size is not None and cfg.run is not None:
        raise UserError(f"image_size={cfg.image_size} goes with model=; give model=run:{cfg.run}")
    if cfg.images < 2:
        raise UserError(f"images={cfg.images}: give 2 or more; what varies between one is nothing")


def run(arguments: Sequence[str]) -> None:
    """From a shell."""
    shown = Command(__doc__, "diagnose", lambda words: composed("diagnose", named(words))[1])
    cli(main, shown, arguments)
