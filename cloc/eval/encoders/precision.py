"""An encoder in half precision: its own answers, computed under autocast."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import PIL.Image
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from cloc.errors import UserError
from cloc.eval.encoders.encoder import Encoder
from cloc.interfaces import Prepared, tokens_of

FULL = "32-true"
HALF = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
PRECISIONS = (FULL, *HALF)


def in_precision(encoder: Encoder, precision: str, *, device: torch.device) -> Encoder:
    """`encoder` as it is for `32-true`; under autocast for `bf16-mixed` and `16-mixed`, which then
    stands behind its name, and its vectors are kept apart. `UserError` for another word, and for an
    encoder that torch does not run."""
    if precision == FULL:
        return encoder
    if precision not in HALF:
        raise UserError(f"precision={precision}; choose {', '.join(PRECISIONS)}")
    if not encoder.runs_in_torch:
        raise UserError(
            f"precision={precision}: {encoder.name} is run by onnxruntime, in the precision it was "
            f"exported in; leave precision={FULL}"
        )
    return encoder._replace(
        embedder=Autocast(encoder.embedder, HALF[precision], device),
        name=f"{encoder.name} {precision}",
        digest=encoder.digest and f"{encoder.digest}-{precision}",
    )


class Autocast:
    """`inner` under autocast to `dtype`; what comes back is float32, and vectors are of unit length
    again, which half precision leaves them short of by a thousandth."""

    def __init__(self, inner: Any, dtype: torch.dtype, device: torch.device) -> None:
        self.inner, self.dtype, self.device = inner, dtype, device
        if hasattr(inner, "patches"):
            self.patches = self._patches

    def prepare(self, images: Sequence[PIL.Image.Image], boxes: Sequence[np.ndarray]) -> Prepared:
        prepared: Prepared = self.inner.prepare(images, boxes)
        return prepared

    def images(self, x: Tensor) -> Float[Tensor, "b d"]:
        with self._half():
            return _unit(self.inner.images(x))

    def texts(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        with self._half():
            return _unit(self.inner.texts(texts))

    def tokens(self, texts: Sequence[str]) -> list[bytes]:
        return tokens_of(self.inner, texts)

    def regions(
        self, x: Tensor, boxes: Float[Tensor, "b r 4"], valid: Bool[Tensor, "b r"]
    ) -> Float[Tensor, "b r d"]:
        with self._half():
            return _unit(self.inner.regions(x, boxes, valid))

    def ground(
        self, x: Tensor, phrases: Sequence[Sequence[str]]
    ) -> list[Float[Tensor, "n 4"]] | None:
        with self._half():
            found = self.inner.ground(x, phrases)
        return None if found is None else [boxes.float() for boxes in found]

    def _patches(self, x: Tensor, *, values: bool = False) -> tuple[Tensor, tuple[int, int]]:
        with self._half():
            tokens, grid = self.inner.patches(x, values=values)
        return tokens.float(), grid

    def _half(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, dtype=self.dtype)


def _unit(vectors: Tensor) -> Tensor:
    """Outside of autocast's reach; what is zero, as padded rows are, stays so."""
    return F.normalize(vectors.float(), dim=-1)
