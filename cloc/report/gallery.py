"""The pictures of a report: true and predicted boxes on one image, guesses and heatmaps."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import PIL.Image
import torch

from cloc.boxes import iou
from cloc.drawing import colour, draw_boxes, heatmap, to_data_uri

_LONG_SIDE, _HEAT_SIDE = 560, 280


class GalleryItem(NamedTuple):
    """One picture with what is true of it and what the model says; boxes are its pixels."""

    image: PIL.Image.Image
    phrases: Sequence[str]
    boxes: np.ndarray  # [n 4], (x0, y0, x1, y1), one per phrase
    predicted: np.ndarray | None  # [n 4]; None where the model cannot ground
    guesses: Sequence[str]  # top-1 region text per box; empty where there is none
    correct: Sequence[bool]  # one per guess
    heatmaps: Sequence[tuple[str, np.ndarray]]  # phrase, values [h w] that cover the whole image


class RegionLine(NamedTuple):
    """One region below its picture; `iou` is None where nothing was predicted."""

    number: int
    colour: str
    phrase: str
    guess: str
    correct: bool | None
    iou: float | None


class Figure(NamedTuple):
    """A gallery item as the page shows it."""

    picture: str
    lines: tuple[RegionLine, ...]
    heatmaps: tuple[tuple[str, str], ...]  # phrase, picture
    grounded: bool


def figure(item: GalleryItem) -> Figure:
    """Draws one item: a region has one colour and number, solid where true, dashed where predicted.

    A predicted box that is not finite is not drawn and has an IoU of 0.
    """
    boxes = np.asarray(item.boxes, np.float64).reshape(-1, 4)
    count = len(boxes)
    _check_lengths(item, count)
    colours = [colour(i) for i in range(count)]
    numbers = [str(i + 1) for i in range(count)]
    dashed = [False] * count
    drawn = boxes
    ious: Sequence[float | None] = [None] * count
    if item.predicted is not None:
        predicted = np.asarray(item.predicted, np.float64).reshape(-1, 4)
        # Predictions first: where both lie on each other the true box stays on top.
        drawn, ious = np.concatenate([predicted, boxes]), _ious(boxes, predicted)
        colours, numbers = colours * 2, [""] * count + numbers
        dashed = [True] * count + dashed
    picture = draw_boxes(item.image, drawn, numbers, colours, dashed=dashed, long_side=_LONG_SIDE)
    return Figure(
        picture=to_data_uri(picture),
        lines=tuple(_line(item, i, ious[i]) for i in range(count)),
        heatmaps=tuple((phrase, _heat(item.image, values)) for phrase, values in item.heatmaps),
        grounded=item.predicted is not None,
    )


def _check_lengths(item: GalleryItem, count: int) -> None:
    lengths = {
        "phrases": len(item.phrases),
        "predicted": count if item.predicted is None else len(item.predicted),
        "guesses": len(item.guesses) or count,
        "correct": len(item.correct) or (count if not item.guesses else 0),
    }
    wrong = [f"{length} {name}" for name, length in lengths.items() if length != count]
    if wrong:
        raise ValueError(f"{', '.join(wrong)} for {count} boxes: one per box is needed")


def _line(item: GalleryItem, i: int, iou: float | None) -> RegionLine:
    return RegionLine(
        number=i + 1,
        colour=colour(i),
        phrase=item.phrases[i],
        guess=item.guesses[i] if item.guesses else "",
        correct=bool(item.correct[i]) if item.guesses else None,
        iou=iou,
    )


def _ious(boxes: np.ndarray, predicted: np.ndarray) -> list[float]:
    values = iou(torch.from_numpy(boxes), torch.from_numpy(predicted))
    return [float(value) for value in values.nan_to_num(0, 0, 0)]


def _heat(image: PIL.Image.Image, values: np.ndarray) -> str:
    scale = _HEAT_SIDE / max(image.size)  # heatmaps are many: keep each small
    if scale < 1:
        image = image.resize(
            (max(round(image.width * scale), 1), max(round(image.height * scale), 1))
        )
    return to_data_uri(heatmap(image, values, long_side=_HEAT_SIDE))
