"""Region embeddings of any encoder with a grid of patches: the mean patch under each region's mask
(mask pooling, by which CLIPSelf, arXiv 2310.01403, measures things and stuff).

The patches are the tokens that `roi` pools, which the last attention mixes. CLIPSelf's own script
takes the unit vectors of its unmixed values, those of `roi_value`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import PIL.Image
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from cloc.data.samples.orientation import upright
from cloc.errors import UserError
from cloc.eval.extractors.roi import look_at_patches
from cloc.interfaces import Embedder, Prepared, tokens_of

NO_MASKS = (
    "mask_pool needs a mask for each box; measure a benchmark with masks, such as clipself_macc, "
    "or take extractors=[roi]"
)


def extractor(embedder: Embedder) -> "MaskPoolEmbedder":
    """`UserError` for an encoder whose single patches have no embedding."""
    return MaskPoolEmbedder(embedder)


class MaskPoolEmbedder:
    """`inner` with regions as the mean of its patches, each weighted by the share of it that the
    region's mask covers; texts and whole images pass through, and it cannot ground.

    `takes_masks` says that `prepare_masked` is to be called instead of `prepare`. Prepared images
    are bytes, [b, n]: of each picture `inner`'s pixels, then in float32 the share of every patch
    under each mask. What `inner`'s frame cuts off a mask is left out; where nothing of it is inside
    the embedding is zero, which ties with every text.
    """

    takes_masks = True

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.blank, self.grid = look_at_patches(inner, "mask_pool")

    def prepare(self, images: Sequence[PIL.Image.Image], boxes: Sequence[np.ndarray]) -> Prepared:
        """Of pictures without regions; `UserError` for others, whose masks are not known here."""
        return self.prepare_masked(images, boxes, [None] * len(images))

    def prepare_masked(
        self,
        images: Sequence[PIL.Image.Image],
        boxes: Sequence[np.ndarray],
        masks: Sequence[np.ndarray | None],
    ) -> Prepared:
        """`masks` of each picture: bool [n, height, width] of its upright pixels, one per box; None
        for a picture without boxes."""
        seen = list(map(upright, images))
        for i, (image, own, its) in enumerate(zip(seen, boxes, masks, strict=True)):
            _check(i, image, len(own), its)
        # Where a known box lands says how any pixel of the picture gets into the frame.
        probes = [_middle(image.size) for image in seen]
        given = [np.vstack([p, np.reshape(b, (-1, 4))]) for p, b in zip(probes, boxes, strict=True)]
        x, framed, valid = self.inner.prepare(seen, given)
        shares = torch.zeros(*valid[:, 1:].shape, self.grid[0] * self.grid[1])
        for row, probe, where, its in zip(shares, probes, framed[:, :1], masks, strict=True):
            if its is not None and len(its):
                row[: len(its)] = torch.from_numpy(covered(its, probe, where[0].numpy(), self.grid))
        packed = torch.cat([_bytes(x), _bytes(shares).to(x.device)], 1)
        return Prepared(packed, framed[:, 1:], valid[:, 1:])

    def images(self, x: Tensor) -> Float[Tensor, "b d"]:
        vectors: Tensor = self.inner.images(self._pixels(x))
        return vectors

    def texts(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        vectors: Tensor = self.inner.texts(texts)
        return vectors

    def tokens(self, texts: Sequence[str]) -> list[bytes]:
        return tokens_of(self.inner, texts)

    @torch.no_grad()
    def regions(
        self, x: Tensor, boxes: Float[Tensor, "b r 4"], valid: Bool[Tensor, "b r"]
    ) -> Float[Tensor, "b r d"]:
        """`boxes` do not matter: the masks came with `prepare_masked`. Padded slots are zero."""
        tokens, _ = self.inner.patches(self._pixels(x), values=False)
        shares = x[:, self._size :].contiguous().view(torch.float32)
        weights = shares.view(*valid.shape, tokens.shape[1]) * valid[..., None].to(x.device)
        return F.normalize(weights.to(tokens.device) @ tokens.float(), dim=-1).cpu()

    def ground(
        self, x: Tensor, phrases: Sequence[Sequence[str]]
    ) -> list[Float[Tensor, "n 4"]] | None:
        return None

    @property
    def _size(self) -> int:
        return self.blank.numel() * self.blank.element_size()

    def _pixels(self, x: Tensor) -> Tensor:
        pixels = x[:, : self._size].contiguous().view(self.blank.dtype)
        return pixels.view(len(x), *self.blank.shape)


def covered(
    masks: Bool[np.ndarray, "n h w"], probe: np.ndarray, where: np.ndarray, grid: tuple[int, int]
) -> Float[np.ndarray, "n p"]:
    """The share of each patch, row by row, that each mask covers, in [0, 1] and exact: of a pixel
    that two patches share each has its part. The box `probe` in pixels of the masks lies at `where`
    in fractions of the frame, which `grid` divides into rows and columns."""
    rows = _overlaps(masks.shape[1], probe[1::2], where[1::2], grid[0])
    columns = _overlaps(masks.shape[2], probe[0::2], where[0::2], grid[1])
    shares = [rows @ mask.astype(np.float32) @ columns.T for mask in masks]  # one at a time: memory
    return np.stack(shares).reshape(len(masks), -1)


def _overlaps(
    pixels: int, probe: np.ndarray, where: np.ndarray, patches: int
) -> Float[np.ndarray, "p n"]:
    """Of one axis, the share of each patch that each pixel takes up."""
    probe, where = probe.astype(np.float64), where.astype(np.float64)
    scale = (where[1] - where[0]) / (probe[1] - probe[0]) * patches
    edges = where[0] * patches + (np.arange(pixels + 1) - probe[0]) * scale
    first = np.arange(patches)[:, None]
    low, high = np.maximum(edges[:-1], first), np.minimum(edges[1:], first + 1)
    return np.clip(high - low, 0, None).astype(np.float32)


def _middle(size: tuple[int, int]) -> np.ndarray:
    """A box around the middle of a picture, which every frame shows whole."""
    width, height = size
    half = min(width, height) / 16
    return np.array([width / 2 - half, height / 2 - half, width / 2 + half, height / 2 + half])


def _check(i: int, image: PIL.Image.Image, num_boxes: int, masks: np.ndarray | None) -> None:
    if masks is None:
        if num_boxes:
            raise UserError(
                f"picture {i} of the batch has {num_boxes} boxes and no mask; {NO_MASKS}"
            )
        return
    wanted = (num_boxes, image.height, image.width)
    if masks.dtype != bool or masks.shape != wanted:
        raise UserError(
            f"the masks of picture {i} of the batch are {masks.dtype} {list(masks.shape)}, not "
            f"bool {list(wanted)}: one per box, of the picture's upright height and width"
        )
    if not masks.any((1, 2)).all():
        empty = int((~masks.any((1, 2))).argmax())
        raise UserError(f"mask {empty} of picture {i} of the batch is empty; leave the region out")


def _bytes(x: Tensor) -> Tensor:
    return x.flatten(1).contiguous().view(torch.uint8)
