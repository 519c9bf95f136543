"""What the tokens of an image tower say of content, and what of place; or where a vision-language
model looks when it is about to answer: diagnose.html and .json.

cloc-pretrain diagnose run=runs/demo
cloc-pretrain diagnose model=open_clip:ViT-B-32/openai out=DIR
cloc-pretrain diagnose model=timm:NAME,FILE data=SHARDS images=256 out=DIR
cloc-pretrain diagnose vlm=hf:FOLDER data=SHARDS question="Where is the {phrase}?" out=DIR
cloc-pretrain diagnose vlm=run:runs/scenes_vqa data=SHARDS out=DIR

Norms of content and of position, the share of variance that place explains, what changes without
positions, and where attention goes, layer by layer. Of anybody's encoder that `evaluate` opens. Of
a vision-language model, or of the decoder of a run, per layer and head: attention to the picture
with and without the system prompt, its entropy, its part on the boxes, and the heads that find
things.
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
    if cfg.vlm is not None:
        from cloc.cli.tasks.diagnose_vlm import measure_vlm

        measure_vlm(cfg)
        return
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
    keys = {"run": cfg.run, "model": cfg.encoder, "vlm": cfg.vlm}
    given = [f"{key}={value}" for key, value in keys.items() if value is not None]
    if len(given) != 1:
        told = f"{' and '.join(given)} (encoder): " if given else ""
        told = told if cfg.encoder is not None else told.replace(" (encoder)", "")
        raise UserError(
            f"{told}give either run=runs/NAME or model=open_clip:NAME/TAG, or vlm=hf:FOLDER or "
            "vlm=run:runs/NAME"
        )
    if cfg.run is None and cfg.out is None:
        key = given[0].partition("=")[0]
        raise UserError(f"with {key}= give out=DIR too: diagnose.html is written there")
    check_kind(cfg)
    if cfg.image_size is not None and cfg.run is not None:
        raise UserError(f"image_size={cfg.image_size} goes with model=; give model=run:{cfg.run}")
    if cfg.images < 2:
        raise UserError(f"images={cfg.images}: give 2 or more; what varies between one is nothing")


TOP_HEADS = 3  # as configs/diagnose.yaml has it


def check_kind(cfg: DictConfig) -> None:
    """`UserError` for a key that the other kind of model has."""
    if cfg.vlm is None:
        other = "vlm="
        strange = {"question": cfg.question is not None, "top_heads": cfg.top_heads != TOP_HEADS}
    else:
        other = "model="
        strange = {"frame": cfg.frame != "own", "image_size": cfg.image_size is not None}
    if told := [key for key, is_given in strange.items() if is_given]:
        raise UserError(f"{told[0]}={cfg[told[0]]} goes with {other}; leave it out")


def run(arguments: Sequence[str]) -> None:
    """From a shell."""
    shown = Command(__doc__, "diagnose", lambda words: composed("diagnose", named(words))[1])
    cli(main, shown, arguments)
