"""What a decoder answers where a picture says less than it could: lines beside its figures."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import UInt8
from torch import Tensor

from cloc.decoder.answerer import Answerer
from cloc.decoder.question_set import Put, figures
from cloc.decoder.steer import AdaptVis
from cloc.decoder.tune import answers
from cloc.models.patch_order import random_order

GREY = 128


def controls(
    answerer: Answerer,
    images: UInt8[Tensor, "n 3 h w"],
    asked: Sequence[Put],
    steer: Mapping[str, AdaptVis],
) -> dict[str, float]:
    """The figures of the same questions again: `_permuted`, with patches in random order before the
    encoder sees them, and `_blind`, about a grey picture in the place of every one."""
    order = random_order(answerer.model.tower.grid_at(images), 0)
    shuffled = answers(answerer, answerer.look(images, order=order), asked, steer)
    grey = answerer.look(torch.full_like(images[:1], GREY))
    blind = answers(answerer, grey, [one._replace(picture=0) for one in asked], steer)
    return beside("permuted", figures(asked, shuffled)) | beside("blind", figures(asked, blind))


def beside(line: str, found: Mapping[str, float]) -> dict[str, float]:
    """As figures of that line, without those of chance, which are the same for all."""
    own = {k: x for k, x in found.items() if not k.endswith(("_chance", "_box"))}
    return {f"{name}_{line}": x for name, x in own.items()}
