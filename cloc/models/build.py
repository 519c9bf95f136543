"""A model from a plain mapping, the same from a Hydra config and from a `cloc_config.json`.

Nothing named in a file is imported: the two region heads are listed here by name.
"""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from cloc.errors import UserError
from cloc.heads.box_head import BoxHead
from cloc.heads.logit_scale import LogitScale
from cloc.heads.prompter import Prompter
from cloc.heads.roi_align import RoIAlign
from cloc.models.cloc import CLOC
from cloc.models.lora import add_lora
from cloc.models.made import made
from cloc.models.readout import refuse_layers
from cloc.models.start import Heads, Start, read_start
from cloc.models.tower_build import make_tower
from cloc.models.tower_config import resolve_config
from cloc.models.towers import Tower

REGION_HEADS: dict[str, Callable[..., nn.Module]] = {"prompter": Prompter, "roi_align": RoIAlign}


def build_model(
    tower: Mapping[str, Any],
    *,
    region_head: Mapping[str, Any] | None = None,
    region_scale: Mapping[str, Any] | None = None,
    box_head: Mapping[str, Any] | None = None,
    lora: Mapping[str, Any] | None = None,
) -> CLOC:
    """`tower` holds `make_tower`'s arguments (`start` as it is named, or as it was read);
    `region_head` is `{kind: prompter | roi_align, ...}`.

    No region head means plain CLIP; a box head needs the prompter. `lora` is `add_lora`'s options.
    """
    given: str | Start | None = tower.get("start") or None
    start = read_start(given) if isinstance(given, str) else given
    options = dict(tower) if start is None else {**tower, "start": start}
    _refuse_layers(region_head, options)
    built = made(make_tower, options, "model.tower")
    if box_head is not None and (region_head is None or region_head.get("kind") != "prompter"):
        raise UserError("a box head reads the prompter: set model.region_head.kind=prompter")
    description = {
        "tower": _description(built),
        "region_head": _plain(region_head),
        "region_scale": _plain(region_scale),
        "box_head": _plain(box_head),
    }
    model = CLOC(
        built,
        region_head=_region_head(region_head, built, phrases=box_head is not None),
        region_scale=_region_scale(region_scale, has_head=region_head is not None),
        box_head=_box_head(box_head, built.dim),
        description=description,
    )
    if start is not None and start.heads is not None:
        _take_heads(model, start.heads)
    if lora is not None:
        made(add_lora, lora, "lora", model)
    return model


def _description(tower: Tower) -> dict[str, Any]:
    """Its options, with the resolved architecture: never a name or folder elsewhere."""
    config = resolve_config(tower.model_config)
    seen = {**tower.preprocess, "background": list(tower.background)}
    found = {"config": config, **seen, "positions": tower.positions.described()}
    balance = tower.norm_balance  # null is not written: folders of before are as folders of now
    return found if balance is None else {**found, "norm_balance": balance.described()}


def _take_heads(model: CLOC, heads: Heads) -> None:
    """The weights of every part that both have; the others keep what they began with."""
    for part in ("region_head", "region_scale", "box_head"):
        wanted, there = model.description[part], heads.description.get(part)
        module = getattr(model, part)
        if module is None or not any(key.startswith(f"{part}.") for key in heads.state):
            continue
        if (wanted or {}) != (there or {}):
            raise UserError(
                f"model.{part} is {wanted}, but the run to start from has {there}; set it alike, "
                "or start from an export of the run (open_clip:FOLDER), which is the tower alone"
            )
        own = {k: v for k, v in heads.state.items() if k.startswith(f"{part}.")}
        module.load_state_dict({k.removeprefix(f"{part}."): v for k, v in own.items()})


def _region_head(
    options: Mapping[str, Any] | None, tower: Tower, *, phrases: bool
) -> nn.Module | None:
    if options is None:
        return None
    options = {name: value for name, value in options.items() if value is not None}
    kind = options.pop("kind", None)
    if kind not in REGION_HEADS:
        raise UserError(f"model.region_head.kind={kind!r}; choose {' or '.join(REGION_HEADS)}")
    if kind == "prompter":  # text prompts are for grounding alone
        options["phrases"] = phrases
    if kind == "prompter" and "layers" in options:
        tower.read_layers(options["layers"], key="model.region_head.layers")
    return made(REGION_HEADS[kind], options, "model.region_head", tower.width, tower.dim)


def _region_scale(options: Mapping[str, Any] | None, *, has_head: bool) -> nn.Module | None:
    if has_head:
        return made(LogitScale, options or {}, "model.region_scale")
    if options:
        raise UserError("model.region_scale scales a region head; set model.region_head or drop it")
    return None


def _refuse_layers(region_head: Mapping[str, Any] | None, tower: Mapping[str, Any]) -> None:
    """Before anything is built; a tower that names no architecture is told so where it is."""
    layers = None if region_head is None else region_head.get("layers")
    start, config = tower.get("start"), tower.get("config")
    if layers is None:
        return
    if isinstance(start, Start):
        refuse_layers(layers, start.config["vision_cfg"])
    elif config is not None:
        refuse_layers(layers, resolve_config(config)["vision_cfg"])


def _box_head(options: Mapping[str, Any] | None, dim: int) -> nn.Module | None:
    return None if options is None else made(BoxHead, options, "model.box_head", dim)


def _plain(options: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Without what is null, which is as if it were not there."""
    if options is None:
        return None
    return {name: value for name, value in options.items() if value is not None}
