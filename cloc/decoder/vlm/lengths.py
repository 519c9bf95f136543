"""How long the tokens of pictures are beside the words of a model: where they are far longer, what
positions add is hardly heard (arXiv 2503.17349)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from cloc.decoder.vlm.asked import Asked
from cloc.decoder.vlm.entering import EMBEDDINGS, entering
from cloc.decoder.vlm.vlm import VLM
from cloc.eval.diagnosis.norms import Norms

AT_ONCE = 4096  # words of the vocabulary


@contextmanager
def measuring(vlm: VLM, asked: Asked, norms: Norms) -> Iterator[None]:
    """While it lasts, `norms` is given the tokens of the pictures as they go in, behind the
    projector."""

    def add(given: Mapping[str, Any]) -> Mapping[str, Any]:
        norms.add(given[EMBEDDINGS][asked.picture])
        return {}

    with entering(vlm, add):
        yield


@torch.no_grad()
def of_words(table: Any) -> Norms:
    """Of all words of a vocabulary as they go in, which `table` makes of their numbers, those too
    that nothing is said with: what the norm `rms_clip` of a connector (`cloc.decoder.connector`)
    would bring pictures to."""
    weight, found = table.weight, Norms()
    for ids in torch.arange(len(weight), device=weight.device).split(AT_ONCE):
        found.add(table(ids))
    return found
