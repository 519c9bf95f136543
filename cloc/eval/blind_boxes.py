"""Boxes that are guessed without looking: the lines that grounding has to beat."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def blind_boxes(
    targets: Sequence[Float[Tensor, "_ 4"]], *, seed: int, draws: int
) -> dict[str, list[Float[Tensor, "q 4"]]]:
    """One box per query and draw, in fractions of the frame. `_centre_box`, a single draw, has the
    mean width and height of all targets and the middle of the frame; `_random_box` has those of a
    random target and a random place."""
    boxes, queries = torch.cat(list(targets)), len(targets)
    sizes = boxes[:, 2:] - boxes[:, :2]
    half = sizes.mean(0) / 2
    centre = torch.cat([0.5 - half, 0.5 + half]).expand(queries, 4)
    draw = torch.Generator().manual_seed(seed)
    random = []
    for _ in range(draws):
        size = sizes[torch.randint(len(sizes), (queries,), generator=draw)]
        low = torch.rand(queries, 2, generator=draw) * (1 - size)
        random.append(torch.cat([low, low + size], 1))
    return {"_centre_box": [centre], "_random_box": random}
