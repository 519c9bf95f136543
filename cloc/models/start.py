"""What a run starts from: weights that somebody has, as an open_clip model."""

from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor


class Start(NamedTuple):
    """Read by one file of `cloc.models.starts` per kind of source."""

    config: dict[str, Any]  # open_clip's model configuration
    state: dict[str, Tensor] | None  # of the open_clip model, all its keys; None: random weights
    mean: tuple[float, float, float] | None  # of pixels in [0, 1]; None: open_clip's own
    std: tuple[float, float, float] | None
    folder: Path | None  # where the tokenizer's files lie; None: open_clip's own tokenizer
