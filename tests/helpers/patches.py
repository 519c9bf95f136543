"""An embedder whose patches are known: the mean colour of each cell of the frame."""

from collections.abc import Sequence

import numpy as np
import PIL.Image
import torch
import torch.nn.functional as F
from torch import Tensor

from cloc.errors import UserError
from cloc.frame import Framing, framed, into_frame
from cloc.interfaces import Prepared

SIDE = 32


class Cells:
    """A frame of 32 x 32 pixels in `grid` cells; a vector is red, green, blue in [0, 1] and 0.1."""

    def __init__(self, grid: tuple[int, int] = (4, 4), geometry: str = "squash") -> None:
        self.grid, self.framing = grid, Framing(geometry, SIDE, interpolation="nearest")

    def prepare(self, images: Sequence[PIL.Image.Image], boxes: Sequence[np.ndarray]) -> Prepared:
        slots = max((len(own) for own in boxes), default=0)
        x = torch.zeros(len(images), SIDE, SIDE, 3, dtype=torch.uint8)
        inside, valid = torch.zeros(len(images), slots, 4), torch.zeros(len(images), slots) > 0
        for row, (image, own) in enumerate(zip(images, boxes, strict=True)):
            pixels, frame = framed(image.convert("RGB"), self.framing)
            x[row] = torch.from_numpy(pixels.copy())
            fractions = into_frame(np.reshape(own, (-1, 4)), image.size, frame)
            inside[row, : len(own)] = torch.from_numpy(fractions).clamp(0, 1)
            valid[row, : len(own)] = True
        return Prepared(x, inside, valid)

    def patches(self, x: Tensor, *, values: bool = False) -> tuple[Tensor, tuple[int, int]]:
        """Red and blue are swapped in `values`."""
        rows, columns = self.grid
        cells = x.float().unflatten(2, (columns, -1)).unflatten(1, (rows, -1)).mean((2, 4)) / 255
        cells = cells.flip(-1) if values else cells
        return F.pad(cells.flatten(1, 2), (0, 1), value=0.1), self.grid

    def images(self, x: Tensor) -> Tensor:
        return F.normalize(self.patches(x)[0].mean(1), dim=-1)

    def texts(self, texts: Sequence[str]) -> Tensor:
        """Of the colours that a text names."""
        words = [[text.split().count(name) for name in ("red", "green", "blue")] for text in texts]
        return F.normalize(F.pad(torch.tensor(words).float(), (0, 1), value=0.1), dim=-1)

    def regions(self, x: Tensor, boxes: Tensor, valid: Tensor) -> Tensor:
        raise UserError("this model has no region head")

    def ground(self, x: Tensor, phrases: Sequence[Sequence[str]]) -> None:
        return None


def coloured(red: np.ndarray) -> PIL.Image.Image:
    """A picture whose red is `red` [height, width] in [0, 1], without green and blue."""
    pixels = np.zeros((*red.shape, 3), np.uint8)
    pixels[..., 0] = np.round(red * 255)
    return PIL.Image.fromarray(pixels)
