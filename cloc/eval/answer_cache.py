"""An embedder that is asked for the same thing once: benchmarks share pictures and phrases."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import PIL.Image
from jaxtyping import Bool, Float
from torch import Tensor

from cloc import dist
from cloc.eval.features import Features
from cloc.eval.watch import Watch
from cloc.interfaces import Embedder, Prepared, tokens_of


def unseen(kind: str, done: int, total: int) -> None:
    """Nobody looks on."""


# What an embedder may offer beside `Embedder`, handed on where it does.
OPTIONAL = ("patches", "prepare_masked", "pictures_per_box")


class Memo:
    """`inner` with its answers kept in `features`, by the digests of what `cloc.eval.encode` asks.

    Only vectors are kept, never pixels. The weights of `inner` must not change while it lives.
    `together` says that all ranks ask the same, so that each may take a share; `watch` is told of
    every batch that was answered. `asked` are digests of the pictures with their boxes and of the
    texts that questions were about, whether the answers were known or not.
    """

    def __init__(
        self,
        inner: Embedder,
        features: Features | None = None,
        *,
        together: bool = False,
        watch: Watch = unseen,
    ) -> None:
        self.inner, self.together, self.watch = inner, together, watch
        self.features = features or Features()
        self.asked: set[bytes] = set()
        self._tokens: dict[str, bytes] = {}
        for name in OPTIONAL:
            if hasattr(inner, name):
                setattr(self, name, getattr(inner, name))

    def prepare(self, images: Sequence[PIL.Image.Image], boxes: Sequence[np.ndarray]) -> Prepared:
        return self.inner.prepare(images, boxes)

    def images(self, x: Tensor) -> Float[Tensor, "b d"]:
        return self.inner.images(x)

    def texts(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        return self.inner.texts(texts)

    def tokens(self, texts: Sequence[str]) -> list[bytes]:
        new = [text for text in dict.fromkeys(texts) if text not in self._tokens]
        self._tokens.update(zip(new, tokens_of(self.inner, new), strict=True))
        return [self._tokens[text] for text in texts]

    def regions(
        self, x: Tensor, boxes: Float[Tensor, "b r 4"], valid: Bool[Tensor, "b r"]
    ) -> Float[Tensor, "b r d"]:
        return self.inner.regions(x, boxes, valid)

    def ground(
        self, x: Tensor, phrases: Sequence[Sequence[str]]
    ) -> list[Float[Tensor, "n 4"]] | None:
        return self.inner.ground(x, phrases)


def features_of(embedder: Any) -> Features:
    """Those that a `Memo` keeps; new ones for any other embedder, which then forgets."""
    return embedder.features if isinstance(embedder, Memo) else Features()


def note(embedder: Any, asked: Iterable[bytes]) -> None:
    """In a `Memo`'s `asked`; what has no digest says nothing."""
    if isinstance(embedder, Memo):
        embedder.asked.update(digest for digest in asked if digest)


def ranks_of(embedder: Any) -> tuple[int, int]:
    """This rank, and how many share the work; one that was not told so works alone."""
    together = isinstance(embedder, Memo) and embedder.together
    return (dist.rank(), dist.world_size()) if together else (0, 1)


def watch_of(embedder: Any) -> Watch:
    """Whom to tell of every batch that was answered."""
    return embedder.watch if isinstance(embedder, Memo) else unseen
