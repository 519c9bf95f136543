"""One example through a model: what it takes each box for, where it sees each phrase."""

from collections.abc import Sequence

import numpy as np
import PIL.Image
import torch

from cloc.drawing import colour, contact_sheet, draw_boxes, heatmap
from cloc.eval.encode import same_texts
from cloc.interfaces import Embedder, Example
from cloc.report.gallery import GalleryItem


def look(
    embedder: Embedder, example: Example, *, heatmaps: int = 2, cells: int = 12
) -> GalleryItem:
    """Guesses are the nearest of the image's own phrases; heatmaps show its first phrases.

    A heatmap is the similarity of the phrase with a box around each of `cells` x `cells` places, so
    it needs nothing but region embeddings.
    """
    rows, first = same_texts(embedder, example.phrases)
    phrases = [example.phrases[i] for i in first]
    texts = embedder.texts(phrases)
    x, boxes, valid = embedder.prepare([example.image], [example.boxes])
    regions = embedder.regions(x, boxes, valid)[0][valid[0]]
    nearest = (regions @ texts.T).argmax(-1).tolist() if phrases else []
    return GalleryItem(
        image=example.image,
        phrases=example.phrases,
        boxes=example.boxes,
        predicted=_predicted(embedder, example, phrases, rows),
        guesses=[phrases[i] for i in nearest],
        correct=[a == b for a, b in zip(nearest, rows, strict=True)],
        heatmaps=_heatmaps(embedder, example, phrases[:heatmaps], cells),
    )


def pictures(items: Sequence[GalleryItem]) -> dict[str, list[PIL.Image.Image]]:
    """For loggers: true boxes solid and predicted ones dashed, and the heatmaps side by side."""
    drawn, heats = [], []
    for item in items:
        colours = [colour(i) for i in range(len(item.boxes))]
        boxes, labels, dashed = item.boxes, list(item.phrases), [False] * len(item.boxes)
        if item.predicted is not None:
            boxes = np.concatenate([item.predicted, boxes])
            labels = [""] * len(item.predicted) + labels
            dashed = [True] * len(item.predicted) + dashed
            colours = colours * 2
        drawn.append(draw_boxes(item.image, boxes, labels, colours, dashed=dashed))
        heats += [heatmap(item.image, values) for _, values in item.heatmaps]
    found = {"pictures/boxes": [contact_sheet(drawn, 2)]} if drawn else {}
    return found | ({"pictures/heatmaps": [contact_sheet(heats, 4)]} if heats else {})


def _predicted(
    embedder: Embedder, example: Example, phrases: list[str], rows: list[int]
) -> np.ndarray | None:
    """The grounded box of every region's phrase, in pixels of the image."""
    width, height = example.image.size
    whole = np.array([[0, 0, width, height]], np.float32)
    x, frame, _ = embedder.prepare([example.image], [whole])
    answer = embedder.ground(x, [phrases])
    if answer is None:
        return None
    low, high = frame[0, 0, :2], frame[0, 0, 2:]  # where the image lies in the frame
    scale = torch.tensor([width, height] * 2) / (high - low).repeat(2)
    boxes = ((answer[0] - low.repeat(2)) * scale).numpy()
    boxes = np.clip(boxes, 0, [width, height] * 2)
    return np.asarray(boxes[rows], np.float32).reshape(-1, 4)


def _heatmaps(
    embedder: Embedder,
    example: Example,
    phrases: Sequence[str],
    cells: int,
) -> list[tuple[str, np.ndarray]]:
    if not phrases:
        return []
    width, height = example.image.size
    y, x = np.meshgrid(*[(np.arange(cells) + 0.5) / cells] * 2, indexing="ij")
    centres = np.stack([x, y], -1).reshape(-1, 2)
    reach = 1.5 / cells  # a box three cells wide
    boxes = np.concatenate([centres - reach, centres + reach], 1).clip(0, 1)
    pixels = (boxes * [width, height, width, height]).astype(np.float32)
    prepared = embedder.prepare([example.image], [pixels])
    regions = embedder.regions(*prepared)[0]
    maps = (embedder.texts(phrases) @ regions.T).reshape(-1, cells, cells).numpy()
    return list(zip(phrases, maps, strict=True))
