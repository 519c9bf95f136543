"""What training sees of one annotated image: a caption, some of its regions, one frame."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from cloc.data.samples.decode import record_header
from cloc.data.samples.orientation import to_upright
from cloc.data.samples.raster import from_header, from_pixels
from cloc.data.samples.record import Record
from cloc.data.samples.transforms import PadResize, Sample, Transform
from cloc.errors import UserError
from cloc.frame import WHITE, Colour, ImageSize, height_and_width


@dataclass(frozen=True, slots=True)
class View:
    """At most `max_regions` random regions of an image, each with `max_negatives` of its negatives.

    `augment` runs on the image as stored, before it is decoded; `frame(size)` makes the transform
    that brings it into the frame the model sees. Of several captions one is shown, its chance in
    proportion to the weight of its source in `caption_weights`: 1 for those not named there, and at
    0 never, so that an image may show none.
    """

    max_regions: int = 4
    max_negatives: int = 0
    caption_weights: Mapping[str, float] = field(default_factory=dict)
    augment: Sequence[Transform] = ()
    frame: Callable[[ImageSize], Transform] = PadResize

    def __post_init__(self) -> None:
        if self.max_regions < 1:
            raise UserError(f"max_regions is {self.max_regions}, expected 1 or more")
        if self.max_negatives < 0:
            raise UserError(f"max_negatives is {self.max_negatives}, expected 0 or more")
        if any(not 0 <= weight < math.inf for weight in self.caption_weights.values()):
            weights = dict(self.caption_weights)
            raise UserError(f"caption_weights is {weights}, expected numbers of 0 or more")


def look(
    record: Record,
    rng: np.random.Generator,
    *,
    view: View,
    image_size: ImageSize,
    where: str,
    background: Colour = WHITE,
) -> Sample:
    """The record as `view` shows it: the image decoded, over `background` where it is transparent,
    framed, one caption, the drawn regions.

    Regions are drawn after the transforms, so a crop that hides some leaves more of the others. A
    file that is not what its annotation says, or no picture, raises `BadSample` naming `where`.
    """
    sample = _whole(record, rng, view, where, background)
    for transform in (*view.augment, view.frame(image_size)):
        sample = transform(sample, rng)
    height, width = height_and_width(image_size)
    if sample.image.size != (width, height):
        raise UserError(
            f"{where}: the transforms end at {sample.image.width}x{sample.image.height} but the "
            f"model sees {width}x{height}; set +data.view.frame to one that ends there"
        )
    rows = _draw(len(sample.boxes), view.max_regions, rng)
    sample = sample.keep(rows)
    negatives = tuple(
        tuple(texts[i] for i in _draw(len(texts), view.max_negatives, rng))
        for texts in sample.negatives
    )
    return replace(sample, image=sample.image.drawn(), negatives=negatives)


def blank(image_size: ImageSize) -> Sample:
    """What stands in the place of a dropped sample: black, without caption or regions."""
    image = from_pixels(np.zeros((*height_and_width(image_size), 3), np.uint8))
    return Sample("", image, None, np.zeros((0, 4), np.float32), (), ())


def _whole(
    record: Record, rng: np.random.Generator, view: View, where: str, background: Colour
) -> Sample:
    """All regions, and one of the captions."""
    boxes = np.array([r.box for r in record.regions], np.float64).reshape(-1, 4)
    code = record.orientation
    return Sample(
        key=record.key,
        image=from_header(record_header(record, where), where, background, code),
        caption=_caption(record, rng, view.caption_weights),
        boxes=to_upright(boxes, record.width, record.height, code).astype(np.float32),
        phrases=tuple(r.text for r in record.regions),
        negatives=tuple(r.negatives for r in record.regions),
    )


def _caption(record: Record, rng: np.random.Generator, weights: Mapping[str, float]) -> str | None:
    """None where there is none to show."""
    shares = np.array([weights.get(caption.source, 1.0) for caption in record.captions])
    if not shares.any():
        return None
    chosen = np.searchsorted(np.cumsum(shares), rng.random() * shares.sum(), side="right")
    return record.captions[min(int(chosen), len(shares) - 1)].text


def _draw(count: int, at_most: int, rng: np.random.Generator) -> np.ndarray:
    """Indices in ascending order, each as likely as the others; all where there are few."""
    if count <= at_most:
        return np.arange(count)
    return np.sort(rng.permutation(count)[:at_most])
