"""What a run starts from: weights that somebody has, as an open_clip model."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple

from safetensors import SafetensorError
from torch import Tensor

from cloc.errors import UserError
from cloc.numerics import first_not_finite

# What libraries raise at a file that is not weights alone.
UNREADABLE = (RuntimeError, ValueError, OSError, SafetensorError, UnpicklingError, EOFError)
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


class Heads(NamedTuple):
    """What a run has beside its tower."""

    description: Mapping[
        str, Any
    ]  # region_head, region_scale and box_head, as `build_model` has it
    state: Mapping[str, Tensor]  # their weights: `CLOC.region_state`


def read_start(start: str) -> Start:
    """`start` is `KIND:WHERE`, and what WHERE may be is said by `cloc.models.starts.KIND.read`."""
    kind, colon, where = start.partition(":")
    if kind not in KINDS or not colon or not where:
        raise UserError(
            f"start={start!r}; write open_clip:NAME/TAG, open_clip:FILE-OR-FOLDER, hf:FOLDER, "
            "timm:NAME, timm:NAME,FILE or run:runs/NAME"
        )
    found: Start = import_module(f"cloc.models.starts.{kind}").read(where)
    if bad := first_not_finite(found.state or {}):
        raise UserError(f"start={start}: {bad} is not finite; take another copy of these weights")
    return found
