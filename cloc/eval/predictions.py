"""One example through a model: what it takes each box for, where it sees each phrase."""

from collections.abc import Sequence

import numpy as np
import PIL.Image

from cloc.drawing import colour, contact_sheet, draw_boxes, heatmap
from cloc.eval.encode import same_texts
from cloc.interfaces import Embedder, Example
from cloc.models.show import CELLS, found_boxes, heat_maps
from cloc.report.gallery import GalleryItem


def look(
    embedder: Embedder, example: Example, *, heatmaps: int = 2, cells: int = CELLS
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
    found = found_boxes(embedder, example.image, phrases)
    shown = phrases[:heatmaps]
    return GalleryItem(
        image=example.image,
        phrases=example.phrases,
        boxes=example.boxes,
        predicted=None if found is None else found[rows],
        guesses=[phrases[i] for i in nearest],
        correct=[a == b for a, b in zip(nearest, rows, strict=True)],
        heatmaps=list(zip(shown, heat_maps(embedder, example.image, shown, cells), strict=True)),
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
