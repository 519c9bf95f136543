"""Small annotated pictures whose things are told by their colours."""

import numpy as np

from cloc.data.samples.record import Record, Region
from data_prep.masks import run_lengths
from tests.helpers.shards import encode

GREY = (128, 128, 128)


def disc(size, centre, radius):
    y, x = np.mgrid[: size[1], : size[0]]
    return (x - centre[0]) ** 2 + (y - centre[1]) ** 2 <= radius**2


def scrap(key, things, *, size=(120, 90), meta=None, boxes=None):
    """Of `things`, (label, mask, colour) each; a box that is not the mask's stands in `boxes`."""
    pixels = np.full((size[1], size[0], 3), GREY, np.uint8)
    regions, masks = [], []
    for i, (label, mask, colour) in enumerate(things):
        if mask is not None:
            pixels[mask] = colour
            ys, xs = np.nonzero(mask)
            box = (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
        given = (boxes or {}).get(i, None if mask is None else box)
        regions.append(Region(tuple(map(float, given)), f"some {label}", label=label))
        masks.append(None if mask is None else run_lengths(mask))
    return Record(
        key,
        encode(pixels),
        "png",
        *size,
        regions=tuple(regions),
        meta={"masks": masks, **(meta or {})},
    )


def two_discs(key, *labels):
    """Far from each other, red and blue."""
    masks = disc((120, 90), (30, 40), 18), disc((120, 90), (85, 45), 22)
    return scrap(key, list(zip(labels, masks, ((200, 0, 0), (0, 0, 200)), strict=True)))
