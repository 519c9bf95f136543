"""A timm vision tower: a start, with a text tower of ours beside it, or measured as it is."""

import copy
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import open_clip
import timm
import torch
from open_clip.factory import load_state_dict
from torch import Tensor

from cloc.errors import UserError, one_line
from cloc.frame import Framing, height_and_width
from cloc.models.start import UNREADABLE, Start
from cloc.models.tower_build import make_tower
from cloc.models.tower_config import refuse_place

# CLIP's own beside a ViT-B.
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 12}
EMBED_DIM = 512


def read(where: str) -> Start:
    """`where` is `NAME`, with timm's own weights of it from the hub, or `NAME,FILE`.

    The trunk keeps its weights but for the classifier; the projection behind it and the text tower
    (CLIP's, 12 layers of width 512) begin at random.
    """
    name, trunk = _trunk(where)
    return _start(name, trunk, dim=EMBED_DIM, projection="linear")


def read_tower(where: str) -> Start:
    """The image tower as timm has it, to be measured: its classifier is the projection into the
    space of some texts (as of timm's CLIP towers, and of what `format=timm` writes), and where it
    has none the pooled features are the embedding. The text tower is zero: it has no texts."""
    name, trunk = _trunk(where)
    dim, projection = trunk.num_classes or trunk.num_features, "" if trunk.num_classes else "none"
    seen = _start(name, trunk, dim=dim, projection=projection)
    assert seen.state is not None
    for key, value in seen.state.items():
        if not key.startswith("visual."):
            value.zero_()
    return seen


def _trunk(where: str) -> tuple[str, Any]:
    """timm's name, and its model with the weights."""
    name, _, file = where.partition(",")
    refuse_place(name)
    try:
        trunk: Any = timm.create_model(name, pretrained=not file)
    except UNREADABLE as error:
        raise UserError(
            f"timm:{where} cannot be loaded ({one_line(error)}); give one of timm.list_models(), "
            "and timm:NAME,FILE where there is no network"
        ) from error
    if file:
        _load(trunk, Path(file).expanduser(), name)
    return name, trunk


def _start(name: str, trunk: Any, *, dim: int, projection: str) -> Start:
    """`projection` is open_clip's `timm_proj`; "" keeps the classifier for one."""
    found = trunk.pretrained_cfg
    size = tuple(found["input_size"][1:])
    config: dict[str, Any] = {
        "embed_dim": dim,
        "vision_cfg": {
            "timm_model_name": name,
            "timm_pool": _pool(trunk),
            "timm_proj": projection,
            "image_size": size[0] if size[0] == size[1] else size,
        },
        "text_cfg": dict(TEXT),
    }
    _check(name, config)
    clip = open_clip.CLIP(**copy.deepcopy(config))
    state = _joined(clip.state_dict(), trunk.state_dict())
    seen = Start(config, state, tuple(found["mean"]), tuple(found["std"]), None)
    return seen._replace(framing=framing_of(found))


def framing_of(data: Mapping[str, Any]) -> Framing:
    """timm's own preprocessing in our words: `crop_pct` of the resized picture are seen. `data` is
    a `pretrained_cfg`."""
    _, height, width = data["input_size"]
    mode, share = data.get("crop_mode") or "center", data.get("crop_pct") or 1.0
    interpolation = data.get("interpolation") or "bicubic"
    if share == 1 and mode in ("squash", "border"):
        geometry = {"squash": "squash", "border": "pad"}[mode]
        return Framing(geometry, (height, width), interpolation)
    shorter = math.floor(height / share) if height == width else None
    return Framing("crop", (height, width), interpolation, shorter=shorter)


def _pool(trunk: Any) -> str:
    """timm's word for it; many convolutional trunks have the layer under this name."""
    pool = getattr(trunk, "global_pool", None)
    return (pool if isinstance(pool, str) else getattr(pool, "pool_type", None)) or "avg"


def _check(name: str, config: dict[str, Any]) -> None:
    """timm has trunks of every kind: one that does not answer as a tower must is refused here, by a
    run without numbers, and not by the first step of training."""
    height, width = height_and_width(config["vision_cfg"]["image_size"])
    with torch.device("meta"):
        try:
            tower = make_tower(config).eval()
        except UserError:  # said again where it holds at the size that is chosen
            return
        try:
            seen = tower.images(torch.zeros(1, 3, height, width, dtype=torch.uint8))
            found: list[Any] = [tuple(seen.tokens.shape), tuple(seen.pooled.shape)]
        except Exception as error:  # a trunk of another kind fails in a way of its own
            found = [one_line(error)]
    rows, columns = tower.grid
    wanted = [(1, rows * columns, tower.width), (1, tower.dim)]
    if found != wanted:
        raise UserError(
            f"timm:{name} does not give tokens {wanted[0]} and an embedding {wanted[1]} as a tower "
            f"must, but {' and '.join(map(str, found))}; choose a ViT, EVA02, SigLIP, ConvNeXt, "
            "ResNet, EfficientNet or Swin"
        )


def _load(trunk: torch.nn.Module, file: Path, name: str) -> None:
    if not file.is_file():
        raise UserError(f"timm:{name},{file}: there is no such file")
    try:
        trunk.load_state_dict(load_state_dict(str(file)))
    except UNREADABLE as error:
        raise UserError(f"{file} is no checkpoint of timm's {name}: {one_line(error)}") from error


def _joined(state: dict[str, Tensor], trunk: dict[str, Any]) -> dict[str, Tensor]:
    """`state` with every weight of its trunk taken from `trunk`, which may have a classifier."""
    missing = []
    for key in [k for k in state if k.startswith("visual.trunk.")]:
        own = key.removeprefix("visual.trunk.")
        if own in trunk and trunk[own].shape == state[key].shape:
            state[key] = trunk[own]
        else:
            missing.append(own)
    if missing:
        raise UserError(f"open_clip builds this timm tower otherwise: {', '.join(missing[:3])}")
    return state
