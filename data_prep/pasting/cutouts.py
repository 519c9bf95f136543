"""Things that are cut out of a picture by their masks: only those that are seen whole."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from cloc.data.samples.decode import decode_record
from cloc.data.samples.orientation import to_upright, turned
from cloc.data.samples.record import Record
from data_prep.articles import without_article
from data_prep.lost_parts import licence_of
from data_prep.masks import masks_of, pixels_of, runs_of

GAP = 0.005  # of the longer side of the picture: what is nearer touches; masks are that rough
SPECKS = 0.05  # of the pixels, at most, outside the largest part; they are left out
RIM = 1 / 32  # of the shorter side of a thing, at most, is painted anew: a larger one would blur it

Window = tuple[slice, slice]


class Cutout(NamedTuple):
    """A thing without what was around it."""

    label: str
    key: str  # of the record it is of
    licences: tuple[str, ...]
    pixels: np.ndarray  # uint8 [h, w, 4], RGBA; each of the four sides has a pixel of it

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]


def cut_out(record: Record, drops: Counter[str], *, pixels_at_least: int) -> Iterator[Cutout]:
    """Of each region with a mask and a label, if all of it is seen and large enough.

    What is not is counted: "label" (none), "small", "edge" (at the picture's), "touched" (by the
    mask or, where it has none, the box of another thing), "parts" (something lies across it).
    """
    masks = seen_masks(record)
    labels = [without_article(" ".join(region.label.lower().split())) for region in record.regions]
    image: np.ndarray | None = None
    for i, mask in enumerate(masks):
        if mask is None:
            continue
        reason, thing = _whole(mask, _others(record, masks, labels, i), pixels_at_least)
        if thing is None or not labels[i]:
            drops["label" if not labels[i] else reason] += 1
            continue
        if image is None:
            shown = np.asarray(decode_record(record, record.key))
            image = turned(shown, record.orientation)
        at = _window(thing)
        rim = min(_gap(mask), int(RIM * min(thing[at].shape)))
        pixels = _without_rim(image[at], thing[at], rim)
        yield Cutout(labels[i], record.key, tuple(licence_of(record)), pixels)


def _without_rim(image: np.ndarray, thing: np.ndarray, rim: int) -> np.ndarray:
    """RGBA. The outermost `rim` pixels have the colours of those inside next to them: their own are
    mixed with what was around. Where nothing is inside, as of a handle, they stay."""
    alpha = np.where(thing, np.uint8(255), np.uint8(0))
    if not rim:
        return np.dstack([image, alpha])
    inside = cv2.erode(np.pad(thing, 1).astype(np.uint8), _square(rim))[1:-1, 1:-1]
    weight = cv2.blur(inside.astype(np.float32), (4 * rim + 1,) * 2)
    mean = cv2.blur(inside[..., None] * image.astype(np.float32), (4 * rim + 1,) * 2)
    changed = thing & (inside == 0) & (weight > 1e-6)
    found = image.copy()
    found[changed] = (mean[changed] / weight[changed, None]).round().clip(0, 255)
    return np.dstack([found, alpha])


def seen_masks(record: Record) -> list[np.ndarray | None]:
    """bool [h, w] for each region: `meta.masks`, else what `meta.things` says is `visible`."""
    masks, things = masks_of(record), record.meta.get("things")
    for i, thing in enumerate(things if isinstance(things, list) else []):
        text = thing.get("visible") if isinstance(thing, dict) else None
        if i < len(masks) and masks[i] is None and isinstance(text, str):
            counts = [int(word) if word.isdecimal() else -1 for word in text.split()[: 1 << 16]]
            given = {"size": [record.height, record.width], "counts": counts}
            size, where = (record.height, record.width), f"record {record.key}: meta.things[{i}]"
            masks[i] = turned(pixels_of(runs_of(given, *size, where), *size), record.orientation)
    return masks


def _others(
    record: Record, masks: Sequence[np.ndarray | None], labels: Sequence[str], place: int
) -> list[np.ndarray]:
    """Boxes of pixels [4], or masks [h, w], of the other things. A region without a mask in the
    same box and of the same label is another name of the same thing."""
    size = (record.width, record.height)
    own, found = record.regions[place], []
    for i, (region, mask) in enumerate(zip(record.regions, masks, strict=True)):
        same = mask is None and region.box == own.box and labels[i] == labels[place]
        if i != place and not same:
            box = to_upright(np.array(region.box), *size, record.orientation)
            found.append(box if mask is None else mask)
    return found


def _whole(
    mask: np.ndarray, others: Sequence[np.ndarray], pixels_at_least: int
) -> tuple[str, np.ndarray | None]:
    """The mask without its specks; or why it shows no whole thing."""
    if mask.sum() < pixels_at_least:
        return "small", None
    height, width = mask.shape
    gap = _gap(mask)
    rows, columns = _window(mask)
    y0, y1, x0, x1 = rows.start, rows.stop, columns.start, columns.stop
    if min(x0, y0, width - x1, height - y1) < gap:
        return "edge", None
    at = (slice(y0 - gap, y1 + gap), slice(x0 - gap, x1 + gap))
    near = cv2.dilate(mask[at].astype(np.uint8), _square(gap)) > 0
    for other in others:
        if other.ndim == 1:
            bx0, by0, bx1, by1 = other
            if bx0 < x1 and x0 < bx1 and by0 < y1 and y0 < by1:
                return "touched", None
        elif (near & other[at]).any():
            return "touched", None
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    areas = stats[1:, cv2.CC_STAT_AREA]
    if count > 2 and areas.max() < (1 - SPECKS) * areas.sum():
        return "parts", None
    return "", parts == 1 + int(areas.argmax())


def _gap(mask: np.ndarray) -> int:
    return max(1, round(GAP * max(mask.shape)))


def _square(radius: int) -> np.ndarray:
    return np.ones((2 * radius + 1,) * 2, np.uint8)


def _window(mask: np.ndarray) -> Window:
    """Around its pixels, of which there are some."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
