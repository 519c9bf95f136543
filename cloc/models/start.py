"""What a run starts from: weights that somebody has, as an open_clip model."""

import math
import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple

from safetensors import SafetensorError
from torch import Tensor

from cloc.errors import UserError
from cloc.frame import Framing
from cloc.numerics import first_not_finite

# What libraries raise at a file that is not weights alone.
UNREADABLE = (RuntimeError, ValueError, OSError, SafetensorError, UnpicklingError, EOFError)
OPEN_CLIPS = "open_clip:NAME/TAG, open_clip:FILE-OR-FOLDER or open_clip:hf-hub:ORG/NAME"
HFS = "hf:FOLDER or hf:ORG/NAME"
WEB = re.compile(r"https?://(?:www\.)?(?:huggingface\.co|hf\.co)/([^/]+/[^/]+)(?:/tree/main)?/*")
Three = tuple[float, float, float]
KINDS = ("open_clip", "hf", "timm", "run")


class Start(NamedTuple):
    """Read by one file of `cloc.models.starts` per kind of source."""

    config: dict[str, Any]  # open_clip's model configuration
    state: dict[str, Tensor] | None  # of the open_clip model, all its keys; None: random weights
    mean: Sequence[float] | None  # of pixels in [0, 1]; None: open_clip's own
    std: Sequence[float] | None
    folder: Path | None  # where the tokenizer's files lie; None: open_clip's own tokenizer
    heads: "Heads | None" = None  # of a run of ours
    background: Sequence[int] | None = None  # behind transparent pixels, 0 to 255; None: white
    framing: Framing | None = None  # its own preprocessing; None: ours
    positions: Mapping[str, Any] | None = None  # its encodings, as a configuration has them
    norm_balance: Any = None  # likewise


class Heads(NamedTuple):
    """What a run has beside its tower."""

    description: Mapping[
        str, Any
    ]  # region_head, region_scale and box_head, as `build_model` has it
    state: Mapping[str, Tensor]  # their weights: `CLOC.region_state`


def three_numbers(given: Any, key: str, where: str) -> Three:
    """Of red, green and blue; a deviation (std) is above 0. `UserError` for anything else, which
    stands in `where` under `key`."""
    try:
        red, green, blue = (float(x) for x in given)
    except (TypeError, ValueError):
        raise UserError(f"{where}: {key}={given} are not three numbers") from None
    is_std = key.endswith("std")
    least = 0 if is_std else -math.inf
    if not all(math.isfinite(x) and x > least for x in (red, green, blue)):
        kind = "positive" if is_std else "finite"
        raise UserError(f"{where}: {key}={given} are not three {kind} numbers")
    return red, green, blue


def on_hub(where: str) -> str | None:
    """ORG/NAME where this is a page of the hub's, or looks like a repository there."""
    if page := WEB.fullmatch(where):
        return page[1]
    name = where.rstrip("/")
    return name if re.fullmatch(r"\w[\w.-]*/[\w.-]+", name) else None


def read_start(start: str, *, as_it_is: bool = False) -> Start:
    """`start` is `KIND:WHERE`, and what WHERE may be is said by `cloc.models.starts.KIND.read`.
    With `as_it_is` a tower of timm's is not a start but what it is by itself, without texts."""
    kind, colon, where = start.partition(":")
    if kind not in KINDS or not colon or not where:
        raise UserError(
            f"start={start!r}; write {OPEN_CLIPS}, {HFS}, timm:NAME, timm:NAME,FILE or "
            "run:runs/NAME"
        )
    module = import_module(f"cloc.models.starts.{kind}")
    read = module.read_tower if as_it_is and kind == "timm" else module.read
    found: Start = read(where)
    if bad := first_not_finite(found.state or {}):
        raise UserError(f"start={start}: {bad} is not finite; take another copy of these weights")
    return found
