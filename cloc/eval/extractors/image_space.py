"""What the extractors share that show an encoder a picture of its own for every region."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
import PIL.Image
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cloc.data.samples.orientation import upright
from cloc.interfaces import Embedder, Prepared, tokens_of

# A picture and its boxes [n, 4] in pixels -> one picture for each box, in their order.
Views = Callable[[PIL.Image.Image, np.ndarray], Iterable[PIL.Image.Image]]
VIEW_BYTES = 32 << 20  # of views that are made, or embedded, at a time; 36 of COCO's size


class ImageSpaceEmbedder:
    """`inner` with each region embedded as a whole picture, the one `views` makes for its box; it
    cannot ground, texts and whole images pass through.

    Prepared images are [b, 1 + r, ...]: the whole image, then its views, black in padded slots.
    Views are made of the upright original and pass `inner`'s own preprocessing, so a box outside of
    its frame has one too. `batch_size` bounds how many are made, prepared and embedded at a time,
    and `VIEW_BYTES` where they are large.
    """

    pictures_per_box = 1

    def __init__(self, inner: Embedder, views: Views, *, batch_size: int = 64) -> None:
        self.inner, self.views, self.batch_size = inner, views, batch_size

    def prepare(self, images: Sequence[PIL.Image.Image], boxes: Sequence[np.ndarray]) -> Prepared:
        images = list(map(upright, images))
        whole = self.inner.prepare(images, boxes)
        black = self._pixels([PIL.Image.new("RGB", (1, 1))])
        valid = torch.zeros_like(whole.valid)
        for row, own in zip(valid, boxes, strict=True):
            row[: len(own)] = True
        slots = 1 + valid.shape[1]
        x = black[:, None].repeat(len(images), slots, *[1] * (black.ndim - 1))
        x[:, 0] = whole.images
        places = iter(valid.nonzero().to(x.device))
        for views in self._few(self._views(images, boxes)):
            rows, columns = torch.stack(list(islice(places, len(views)))).T
            x[rows, 1 + columns] = self._pixels(views)
        return whole._replace(images=x, valid=valid)

    def images(self, x: Tensor) -> Float[Tensor, "b d"]:
        return self.inner.images(x[:, 0])

    def texts(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        return self.inner.texts(texts)

    def tokens(self, texts: Sequence[str]) -> list[bytes]:
        return tokens_of(self.inner, texts)

    def regions(
        self, x: Tensor, boxes: Float[Tensor, "b r 4"], valid: Bool[Tensor, "b r"]
    ) -> Float[Tensor, "b r d"]:
        """Only valid views are encoded; padded slots are zero. `boxes` were seen by `prepare`."""
        places = valid.nonzero().to(x.device)
        at_once = VIEW_BYTES * x.shape[0] * x.shape[1] // max(x.numel() * x.element_size(), 1)
        at_once = min(max(at_once, 1), self.batch_size)
        # Without a view the width of the embedding is learned from a whole image.
        parts = [
            self.inner.images(x[part[:, 0], 1 + part[:, 1]])
            for part in filter(len, places.split(at_once))
        ]
        vectors = torch.cat(parts) if parts else self.images(x[:1])[:0]
        out = vectors.new_zeros(*valid.shape, vectors.shape[1])
        out[valid.to(out.device)] = vectors
        return out

    def ground(
        self, x: Tensor, phrases: Sequence[Sequence[str]]
    ) -> list[Float[Tensor, "n 4"]] | None:
        return None

    def _views(
        self, images: Sequence[PIL.Image.Image], boxes: Sequence[np.ndarray]
    ) -> Iterator[PIL.Image.Image]:
        for image, own in zip(images, boxes, strict=True):
            if len(own):
                yield from self.views(image, np.asarray(own))

    def _few(self, views: Iterable[PIL.Image.Image]) -> Iterator[list[PIL.Image.Image]]:
        """Of small pictures `batch_size`, of large ones fewer."""
        held: list[PIL.Image.Image] = []
        num_bytes = 0
        for view in views:
            held.append(view)
            num_bytes += 3 * view.width * view.height
            if len(held) == self.batch_size or num_bytes >= VIEW_BYTES:
                yield held
                held, num_bytes = [], 0
        if held:
            yield held

    def _pixels(self, images: Sequence[PIL.Image.Image]) -> Tensor:
        no_boxes = np.zeros((0, 4), np.float32)
        return self.inner.prepare(images, [no_boxes] * len(images)).images


def pixels_of(box: np.ndarray, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """`box` (x0, y0, x1, y1) rounded and cut at the border of a picture of `size` (width, height),
    at least one pixel wide and high; the first pixel of each axis, and the one behind the last."""
    low_x, low_y, high_x, high_y = box.tolist()
    x0, x1 = _span(low_x, high_x, size[0])
    y0, y1 = _span(low_y, high_y, size[1])
    return x0, y0, x1, y1


def _span(low: float, high: float, size: int) -> tuple[int, int]:
    first = min(max(round(low), 0), size - 1)
    return first, max(min(round(high), size), first + 1)
