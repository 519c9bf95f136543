"""Embedders with known answers: one that reads what is painted, one that says always the same."""

import hashlib
from collections.abc import Sequence

import numpy as np
import PIL.Image
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from cloc.frame import into_frame, pad_resize
from cloc.interfaces import Example, Prepared, Split

SIZE = 32
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "pink": (255, 0, 255)}
NAMES = list(COLOURS)


def painted(*things: tuple[str, tuple[int, int, int, int]]) -> PIL.Image.Image:
    """Filled rectangles (colour name, pixel box) on black, later ones in front."""
    pixels = np.zeros((SIZE, SIZE, 3), np.uint8)
    for name, (x0, y0, x1, y1) in things:
        pixels[y0:y1, x0:x1] = COLOURS[name]
    return PIL.Image.fromarray(pixels)


def example(
    *things: tuple[str, tuple[int, int, int, int]],
    captions: Sequence[str] = (),
    phrases: Sequence[str] | None = None,
    meta: dict | None = None,
) -> Example:
    """Phrases and labels are the colour names unless `phrases` says more."""
    names = tuple(name for name, _ in things)
    boxes = np.array([box for _, box in things], np.float32).reshape(-1, 4)
    words = names if phrases is None else tuple(phrases)
    picture = painted(*things)
    digest = hashlib.blake2b(picture.tobytes() + boxes.tobytes()).digest()
    return Example("key", picture, tuple(captions), boxes, words, names, meta or {}, digest)


def split(*examples: Example, name: str = "val") -> Split:
    return Split(name, examples, {name: [name, f"a {name}"] for name in NAMES})


def prepare(images: Sequence[PIL.Image.Image], boxes: Sequence[np.ndarray]) -> Prepared:
    """Images as uint8 [b, h, w, 3] in a padded frame of SIZE."""
    slots = max((len(own) for own in boxes), default=0)
    framed, valid = torch.zeros(len(images), slots, 4), torch.zeros(len(images), slots) > 0
    pixels = []
    for row, (image, own) in enumerate(zip(images, boxes, strict=True)):
        array, frame = pad_resize(image, SIZE)
        pixels.append(torch.from_numpy(array.copy()))
        framed[row, : len(own)] = torch.from_numpy(into_frame(own, image.size, frame))
        valid[row, : len(own)] = True
    return Prepared(torch.stack(pixels), framed, valid)


class Oracle:
    """Reads colours and who stands left of whom, in pictures and in words ("red left of blue").

    A vector holds: one entry per colour, one per ordered pair of colours (+1: left of, -1: right
    of), and a small constant, which is all that a picture without our colours has.
    """

    def prepare(self, images: Sequence[PIL.Image.Image], boxes: Sequence[np.ndarray]) -> Prepared:
        return prepare(images, boxes)

    def images(self, x: Tensor) -> Float[Tensor, "b d"]:
        return torch.stack([self._whole(_middles(pixels)) for pixels in x])

    def texts(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        return torch.stack([self._text(text) for text in texts])

    def regions(
        self, x: Tensor, boxes: Float[Tensor, "b r 4"], valid: Bool[Tensor, "b r"]
    ) -> Float[Tensor, "b r d"]:
        found = [self._region(p, b) for p, own in zip(x, boxes, strict=True) for b in own]
        return torch.stack(found).unflatten(0, boxes.shape[:2]) * valid[..., None]

    def ground(
        self, x: Tensor, phrases: Sequence[Sequence[str]]
    ) -> list[Float[Tensor, "n 4"]] | None:
        return [
            torch.stack([_box_of(pixels, text) for text in own])
            for pixels, own in zip(x, phrases, strict=True)
        ]

    def _whole(self, middles: dict[str, float]) -> Tensor:
        sides = {(a, b): _side(middles[a], middles[b]) for a in middles for b in middles if a < b}
        return _vector(middles, sides)

    def _text(self, text: str) -> Tensor:
        colours = [word for word in text.split() if word in COLOURS]
        if "of" not in text.split():
            return _vector(colours, {})
        first, last = colours
        return _vector(colours, {(first, last): 1.0 if "left" in text else -1.0})

    def _region(self, pixels: Tensor, box: Tensor) -> Tensor:
        x0, y0, x1, y1 = (box * SIZE).round().long().tolist()
        inside = _middles(pixels[y0:y1, x0:x1])
        if not inside:
            return _vector([], {})
        own = max(inside, key=lambda name: _area(pixels[y0:y1, x0:x1], name))
        others = {n: m for n, m in _middles(pixels).items() if n != own}
        sides = {(own, n): _side((x0 + x1) / 2, m) for n, m in others.items()}
        return _vector([own], sides)


class Constant:
    """The same vector for everything; grounds every phrase at the whole frame, or not at all."""

    def __init__(self, *, grounds: bool = True) -> None:
        self.grounds = grounds

    def prepare(self, images: Sequence[PIL.Image.Image], boxes: Sequence[np.ndarray]) -> Prepared:
        return prepare(images, boxes)

    def images(self, x: Tensor) -> Float[Tensor, "b d"]:
        return torch.full((len(x), 16), 0.25)

    def texts(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        return torch.full((len(texts), 16), 0.25)

    def regions(
        self, x: Tensor, boxes: Float[Tensor, "b r 4"], valid: Bool[Tensor, "b r"]
    ) -> Float[Tensor, "b r d"]:
        return torch.full((*valid.shape, 16), 0.25)

    def ground(
        self, x: Tensor, phrases: Sequence[Sequence[str]]
    ) -> list[Float[Tensor, "n 4"]] | None:
        whole = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
        return [whole.expand(len(own), 4) for own in phrases] if self.grounds else None


def _vector(colours: Sequence[str] | dict, sides: dict[tuple[str, str], float]) -> Tensor:
    out = torch.zeros(len(NAMES) + len(NAMES) ** 2 + 1)
    for name in colours:
        out[NAMES.index(name)] = 1
    for (a, b), side in sides.items():
        swap = b < a  # one entry per pair of colours, so both ways of saying it meet
        a, b, side = (b, a, -side) if swap else (a, b, side)
        out[len(NAMES) * (1 + NAMES.index(a)) + NAMES.index(b)] = side
    out[-1] = 1e-2
    return F.normalize(out, dim=0)


def _side(x: float, other: float) -> float:
    return 1.0 if x < other else -1.0


def _mask(pixels: Tensor, name: str) -> Tensor:
    return (pixels == torch.tensor(COLOURS[name], dtype=torch.uint8)).all(-1)


def _area(pixels: Tensor, name: str) -> int:
    return int(_mask(pixels, name).sum())


def _middles(pixels: Tensor) -> dict[str, float]:
    """Mean column of the pixels of each colour that is there."""
    masks = {name: _mask(pixels, name) for name in NAMES}
    return {n: float(m.nonzero()[:, 1].float().mean()) for n, m in masks.items() if m.any()}


def _box_of(pixels: Tensor, text: str) -> Tensor:
    """Where the first colour of `text` lies, on the named side of the last one."""
    first = next(word for word in text.split() if word in COLOURS)
    mask = _mask(pixels, first)
    if "of" in text.split():
        left = torch.arange(SIZE) < _middles(pixels)[text.rsplit(maxsplit=1)[-1]]
        mask = mask & (left if "left" in text else ~left)
    rows, columns = mask.nonzero(as_tuple=True)
    corners = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    return torch.stack(corners).float() / SIZE


class LowerCase(Oracle):
    """The oracle behind a tokenizer that reads no capitals, and of long texts `at_most` words."""

    def __init__(self, at_most: int = 99) -> None:
        self.at_most = at_most

    def read(self, text: str) -> str:
        return " ".join(text.lower().split()[: self.at_most])

    def tokens(self, texts: Sequence[str]) -> list[bytes]:
        return [self.read(text).encode() for text in texts]

    def texts(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        return super().texts([self.read(text) for text in texts])

    def ground(
        self, x: Tensor, phrases: Sequence[Sequence[str]]
    ) -> list[Float[Tensor, "n 4"]] | None:
        return super().ground(x, [[self.read(text) for text in own] for own in phrases])
