"""A `Tower` from an open_clip model configuration, or from weights that somebody has."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import open_clip
import torch
from torch import Tensor, nn

from cloc.errors import UserError, one_line
from cloc.foreign_code import unasked
from cloc.frame import WHITE, Colour, height_and_width
from cloc.heads.shared.norm_balance import make_balance
from cloc.models.norm_balance import KEY as BALANCE
from cloc.models.norm_balance import LEARNED, refuse_balance
from cloc.models.positions.absolute import IMAGE_TABLES, aspect_of, fit_positions
from cloc.models.positions.encodings import (
    beginning,
    continued,
    make_positions,
    of_encodings,
)
from cloc.models.positions.refusals import refuse_positions
from cloc.models.start import Start, read_start
from cloc.models.t5 import t5_file, with_t5
from cloc.models.tower_config import refuse, resized, resolve_config
from cloc.models.towers import Tower

# what open_clip, timm and transformers raise at a configuration of no model
UNBUILT = (
    *(TypeError, ValueError, RuntimeError, OSError, AssertionError),
    *(LookupError, AttributeError, ArithmeticError),
)


def make_tower(  # noqa: PLR0913 - each is a key of a configuration
    config: Mapping[str, Any] | str | None = None,
    *,
    start: str | Start | None = None,
    image_size: int | Sequence[int] | None = None,
    context_length: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    positions: Mapping[str, Any] | None = None,
    norm_balance: Any = None,
    folder: str | Path | None = None,
    background: Any = None,
    vocabulary: str | Path | None = None,
) -> Tower:
    """With random weights of an open_clip name ("ViT-B-16") or model configuration, `config`; or
    with the architecture and weights of `start` (`cloc.models.start`).

    `image_size` in pixels (of a square, or height and width) and `context_length` in tokens replace
    the configured ones. `positions` are encodings (`make_positions`) with the kernel that carries a
    table to another grid, `norm_balance` how loud patches are beside them (`make_balance`), or the
    start's. `mean` and `std`, of pixels in [0, 1], replace the start's, or CLIP's. `folder` holds
    the tokenizer's files, transparent pixels show `background` (RGB of 0 to 255), the start's, or
    white; `vocabulary` is a file of T5's (`t5.py`)."""
    found = _with_vocabulary(_chosen(config, start, folder), vocabulary)
    refuse(model_config := resized(found.config, image_size, context_length))
    own = _encodings(positions, norm_balance, found, model_config)
    _fit_input((clip := _from_config(model_config)).visual)
    tower = Tower(
        clip,
        model_config=model_config,
        mean=mean or found.mean or open_clip.constants.OPENAI_DATASET_MEAN,
        std=std or found.std or open_clip.constants.OPENAI_DATASET_STD,
        folder=found.folder,
        background=_colour(found.background if background is None else background),
        own_framing=found.framing,
        **own,
    )
    return _filled(tower, found)


def _encodings(
    positions: Any, norm_balance: Any, start: Start, model_config: Mapping[str, Any]
) -> dict[str, Any]:
    """`Tower`'s `positions` and `norm_balance`: those of the command and the start; `UserError`
    where the tower cannot have them."""
    vision = model_config["vision_cfg"]
    if start.state is None:
        encodings = make_positions(positions, pretrained=False)
    else:
        encodings = continued(positions, start.positions)
    refuse_positions(encodings, vision)
    balance = make_balance(start.norm_balance if norm_balance is None else norm_balance, BALANCE)
    refuse_balance(balance, encodings, vision)
    return {"positions": encodings, "norm_balance": balance}


def _with_vocabulary(found: Start, path: str | Path | None) -> Start:
    if path is None:
        return found
    if found.state is not None:
        raise UserError(
            f"model.tower.vocabulary={path} is for random weights: a start's text tower knows its "
            "own vocabulary; leave it null"
        )
    file = t5_file(Path(path))
    return found._replace(config=with_t5(found.config, file), folder=file)


def _colour(given: Any) -> Colour:
    if given is None:
        return WHITE
    try:
        red, green, blue = given
        if all(type(x) is int and 0 <= x <= 255 for x in given):
            return red, green, blue
    except (TypeError, ValueError):
        pass
    raise UserError(
        f"model.tower.background={given} is no colour; give red, green and blue of 0 to 255, such "
        "as [255,255,255]"
    )


def _chosen(
    config: Mapping[str, Any] | str | None, start: str | Start | None, folder: str | Path | None
) -> Start:
    if (config is None) == (start is None):
        raise UserError(
            "give model.tower.config for random weights or start=... for weights of somebody's, "
            f"not {'neither' if start is None else 'both'}"
        )
    if config is not None:
        place = None if folder is None else Path(folder)
        return Start(resolve_config(config), None, None, None, place)
    return read_start(start) if isinstance(start, str) else cast(Start, start)


def _filled(tower: Tower, start: Start) -> Tower:
    """With every weight of the start, if it has any, its positions fitted to the tower's sizes;
    `UserError` for a size that makes no whole patches."""
    tower.grid_at(torch.empty(0, 3, *height_and_width(tower.image_size), dtype=torch.uint8))
    if start.state is None:
        return tower
    wanted = tower.clip.state_dict()
    state = _with_encodings(start, wanted, tower)
    fit_positions(
        state,
        wanted,
        old_aspect=aspect_of(start.config["vision_cfg"].get("image_size", 224)),
        new_grid=tower.grid,
        kernel=tower.positions.kernel,
    )
    try:
        tower.clip.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(
            "the weights of the start do not fit its architecture (model.tower.image_size and "
            f"context_length included): {one_line(error)}"
        ) from None
    tower.set_cap()
    return tower


def _with_encodings(start: Start, wanted: Mapping[str, Tensor], tower: Tower) -> dict[str, Tensor]:
    """The start's weights, and of what encodings of position learn those that it has not: a new
    encoding begins with nothing, a table that is fixed here only is this tower's own."""
    assert start.state is not None
    own, table = dict(start.state), IMAGE_TABLES[0]
    lost = [name for name in own if of_encodings(name) and name not in wanted]
    if lost:
        raise UserError(
            f"the start has encodings of position that the model has not ({lost[0]}); leave "
            "model.tower.positions empty to take the start's own"
        )
    theirs = make_positions(start.positions, pretrained=True).kind
    if table not in wanted or (tower.positions.kind == "sincos" != theirs):
        own.pop(table, None)
    missing = [n for n in wanted if n not in own and (of_encodings(n) or n in (table, LEARNED))]
    return own | {name: beginning(name, wanted[name], tower.positions) for name in missing}


def _from_config(model_config: Mapping[str, Any]) -> Any:
    config = copy.deepcopy(dict(model_config))
    custom = config.pop("custom_text", False) or "hf_model_name" in config["text_cfg"]
    make: type[nn.Module] = open_clip.CustomTextCLIP if custom else open_clip.CLIP
    try:
        with unasked():
            return make(**config)
    except UNBUILT as error:
        raise UserError(f"open_clip cannot build model.tower.config: {one_line(error)}") from error


def _fit_input(visual: Any) -> None:
    """A timm trunk is built for the pixels in its own name; open_clip resizes it only where it
    loads it with a forced size."""
    embed = getattr(getattr(visual, "trunk", None), "patch_embed", None)
    size = getattr(embed, "img_size", None)
    if size is None or tuple(size) == tuple(visual.image_size):
        return
    if not hasattr(visual.trunk, "set_input_size"):
        raise UserError(
            f"{type(visual.trunk).__name__} is fixed at {size[0]} pixels, but image_size is "
            f"{visual.image_size[0]}; set model.tower.image_size={size[0]}"
        )
    visual.set_input_size(visual.image_size)
