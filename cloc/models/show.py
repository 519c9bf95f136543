"""What a model finds in one picture for each phrase: boxes, heat maps, and a drawing of both."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import PIL.Image
import torch

from cloc.drawing import colour, contact_sheet, draw_boxes, heatmap
from cloc.interfaces import Embedder

CELLS = 12  # of a heat map, each way
COLUMNS = 3  # of panels


class Seen(NamedTuple):
    """What a model finds for each of `phrases`."""

    phrases: Sequence[str]
    heat: np.ndarray  # [n cells cells], as `heat_maps` has it
    boxes: np.ndarray | None  # [n 4], as `found_boxes` has it


def see(embedder: Embedder, image: PIL.Image.Image, phrases: Sequence[str]) -> Seen:
    """Boxes and heat maps of every phrase; the embedder needs a region head."""
    heat = heat_maps(embedder, image, phrases)
    return Seen(phrases, heat, found_boxes(embedder, image, phrases) if phrases else None)


def found_boxes(
    embedder: Embedder, image: PIL.Image.Image, phrases: Sequence[str]
) -> np.ndarray | None:
    """The grounded box of each phrase, float32 [n 4] in pixels of `image`, cut at its edges; None
    where the model has no box head."""
    width, height = image.size
    whole = np.array([[0, 0, width, height]], np.float32)
    x, frame, _ = embedder.prepare([image], [whole])
    answer = embedder.ground(x, [list(phrases)])
    if answer is None:
        return None
    low, high = frame[0, 0, :2], frame[0, 0, 2:]  # where the image lies in the frame
    scale = torch.tensor([width, height] * 2) / (high - low).repeat(2)
    boxes = ((answer[0] - low.repeat(2)) * scale).numpy()
    return np.clip(boxes, 0, [width, height] * 2).astype(np.float32).reshape(-1, 4)


def heat_maps(
    embedder: Embedder, image: PIL.Image.Image, phrases: Sequence[str], cells: int = CELLS
) -> np.ndarray:
    """[n cells cells]: the cosine of each phrase with a box around each of `cells` x `cells`
    places of `image`, so that nothing but region embeddings is needed."""
    if not phrases:
        return np.zeros((0, cells, cells), np.float32)
    width, height = image.size
    y, x = np.meshgrid(*[(np.arange(cells) + 0.5) / cells] * 2, indexing="ij")
    centres = np.stack([x, y], -1).reshape(-1, 2)
    reach = 1.5 / cells  # a box three cells wide
    boxes = np.concatenate([centres - reach, centres + reach], 1).clip(0, 1)
    pixels = (boxes * [width, height, width, height]).astype(np.float32)
    regions = embedder.regions(*embedder.prepare([image], [pixels]))[0]
    return np.asarray((embedder.texts(phrases) @ regions.T).reshape(-1, cells, cells))


def draw(
    image: PIL.Image.Image, seen: Seen, boxes: Sequence[Sequence[float]] | np.ndarray = ()
) -> PIL.Image.Image:
    """A panel per phrase, side by side: its heat map over the picture, the box that was found for
    it solid, the given `boxes` (pixels) dashed. Of no phrase at all, the given boxes alone."""
    given = np.asarray(boxes, np.float64).reshape(-1, 4)
    names, none = [f"box {i + 1}" for i in range(len(given))], np.zeros((0, 4))
    if not len(seen.phrases):
        return contact_sheet([_drawn(image, image.size, given, none, names)], COLUMNS)
    panels = []
    for i, phrase in enumerate(seen.phrases):
        found = none if seen.boxes is None else seen.boxes[i : i + 1]
        labels = [*names, *[phrase] * len(found)]
        panels.append(_drawn(heatmap(image, seen.heat[i]), image.size, given, found, labels))
    return contact_sheet(panels, COLUMNS)


def _drawn(
    canvas: PIL.Image.Image,
    size: tuple[int, int],
    given: np.ndarray,
    found: np.ndarray,
    labels: Sequence[str],
) -> PIL.Image.Image:
    """`size` is that of the picture whose pixels the boxes are of."""
    boxes = np.concatenate([given, found])
    boxes = boxes * np.array([canvas.width / size[0], canvas.height / size[1]] * 2)
    dashed = [True] * len(given) + [False] * len(found)
    colours = [colour(1 + i) if is_given else colour(0) for i, is_given in enumerate(dashed)]
    return draw_boxes(canvas, boxes, labels, colours, dashed=dashed)
