"""What an export must reproduce: a model's answers on real pixels, compared and written down."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from cloc.errors import UserError


class Probe(NamedTuple):
    """Inputs that a model and its export both answer."""

    images: UInt8[Tensor, "n 3 h w"]  # as the model's own preparation gives them
    boxes: Float[Tensor, "n r 4"]  # (x0, y0, x1, y1) in [0, 1] of these frames
    texts: tuple[str, ...]
    source: str  # where the pictures come from, for the record


@torch.no_grad()
def answers(model: Any, probe: Probe) -> dict[str, Tensor]:
    """In evaluation mode, on the CPU: `image` [n, d] and `text` [t, d] unit vectors; of a region
    head `region` [n, r, d] unit vectors; of a box head `box` [n, t, 4], of every text in every
    image. The model's mode is left as it was."""
    training, tower = model.training, model.tower
    model.eval()
    device = tower.mean.device
    tokens = tower.tokenizer()(list(probe.texts), tower.context_length)
    seen, text = tower.images(probe.images.to(device)), tower.texts(tokens.to(device))
    found = {"image": seen.pooled, "text": text}
    if model.region_head is not None:
        asked = text.expand(len(probe.images), *text.shape) if model.box_head else None
        boxes = probe.boxes.to(device)
        region, grounded = model.region_head(
            seen.tokens, boxes, asked, grid=tower.grid_at(probe.images)
        )
        found["region"] = F.normalize(region.float(), dim=-1)
        if model.box_head is not None:
            found["box"] = model.box_head(grounded)
    model.train(training)
    return {name: value.float().cpu() for name, value in found.items()}


def write_parity(
    folder: Path,
    ours: Mapping[str, Tensor],
    theirs: Mapping[str, Tensor],
    *,
    tolerance: float,
    loader: str,
    probe: Probe,
) -> None:
    """`parity.json`: the largest and mean absolute error of every output that `theirs` has.

    `loader` names the library that loaded the export, with its version. Raises `UserError` where an
    error is above `tolerance` or not a number, and writes nothing then.
    """
    outputs = {}
    for name, value in theirs.items():
        error = (ours[name].double() - value.double().cpu()).abs()
        worst = float(error.max())
        if not worst <= tolerance:
            raise UserError(
                f"the exported {name} differs by {worst:.1e} from the model's (at most "
                f"{tolerance:.0e} is right) through {loader}; nothing was exported"
            )
        outputs[name] = {"max_error": worst, "mean_error": float(error.mean())}
    found = {
        "loader": loader,
        "tolerance": tolerance,
        "images": f"{len(probe.images)} of {probe.source}",
        "outputs": outputs,
    }
    (folder / "parity.json").write_text(json.dumps(found, indent=2) + "\n")
