"""What things are pasted onto: crops of other pictures, or textures that are drawn."""

import math
from collections.abc import Collection, Sequence
from random import Random
from typing import NamedTuple, Protocol

import numpy as np
import PIL.Image

from cloc.data.samples.decode import EIGHTHS, SMALLEST_SCALED, decode_at, record_header
from cloc.data.samples.orientation import turned
from cloc.data.samples.record import Record
from cloc.data.shards.reader import Reader
from cloc.data.shards.shard_set import open_shards
from cloc.errors import UserError
from data_prep.articles import without_article
from data_prep.lost_parts import licence_of
from data_prep.pasting.pool import SPLITS, read_records, record_of, split_of

SHORTEST_CROP = 0.5  # of the shorter side of the picture
OCTAVES = (2, 4, 8, 16, 32)  # cells of noise along a side
AMPLITUDE = 48.0  # of the first octave, in levels of 255; each next one has 0.6 of it
DRAWN = "noise"  # the key of a ground that is no picture


class Ground(NamedTuple):
    """An RGB square, and what is known of it."""

    image: PIL.Image.Image
    key: str
    labels: frozenset[str] = frozenset()  # what its regions show, and so is not to be pasted on it
    licences: tuple[str, ...] = ()


class Grounds(Protocol):
    """Draws one of `size` pixels a side; the same one for the same state of `rng`."""

    def __call__(self, rng: Random, size: int) -> Ground: ...


def noise(rng: Random, size: int) -> Ground:
    """Smooth noise of several octaves around one colour, of a strength of its own."""
    draw = np.random.default_rng(rng.getrandbits(64))
    pixels = np.broadcast_to(draw.uniform(40, 215, 3), (size, size, 3)).copy()
    strength = AMPLITUDE * draw.uniform()
    for octave, cells in enumerate(OCTAVES):
        for channel in range(3):
            small = draw.standard_normal((cells + 1, cells + 1)).astype(np.float32)
            large = PIL.Image.fromarray(small).resize((size, size), PIL.Image.Resampling.BICUBIC)
            pixels[..., channel] += strength * 0.6**octave * np.asarray(large)
    image = PIL.Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))
    return Ground(image, DRAWN)


class Pictures:
    """Square crops of the pictures of a split, at least half as long as the shorter side."""

    def __init__(self, places: Sequence[tuple[str, int, int]]) -> None:
        self.places = places  # path, place in the shard, samples of the shard
        self.read = Reader(key="backgrounds")

    def __call__(self, rng: Random, size: int) -> Ground:
        path, index, count = rng.choice(self.places)
        record = record_of(self.read(path, index, count=count))
        labels = (" ".join(region.label.lower().split()) for region in record.regions)
        shown = frozenset(without_article(label) for label in labels if label)
        return Ground(_crop(rng, record, size), record.key, shown, tuple(licence_of(record)))


def read_pictures(spec: str, splits: Collection[str], *, val: float) -> dict[str, Pictures]:
    """Of each of `splits` those whose key falls to it."""
    shards = open_shards(spec, key="backgrounds")
    places: dict[str, list[tuple[str, int, int]]] = {split: [] for split in SPLITS}
    records = read_records(spec, key="backgrounds")
    for number, count in enumerate(shards.counts.tolist()):
        for index in range(count):
            split = split_of(next(records).key, val=val)
            places[split].append((shards.paths[number], index, count))
    for split in splits:
        if not places[split]:
            raise UserError(
                f"backgrounds={spec}: {split} has none of {shards.total} pictures; give more, or "
                "change val"
            )
    return {split: Pictures(places[split]) for split in splits}


def _crop(rng: Random, record: Record, size: int) -> PIL.Image.Image:
    """Decoded no larger than it is needed."""
    header = record_header(record, record.key)
    shorter = min(record.width, record.height)
    side = rng.uniform(SHORTEST_CROP, 1) * shorter
    eighths = min(EIGHTHS, math.ceil(EIGHTHS * size / side))
    if not header.scales or max(record.width, record.height) < SMALLEST_SCALED:
        eighths = EIGHTHS
    pixels = np.asarray(decode_at(header, eighths, record.key))
    pixels = np.ascontiguousarray(turned(pixels, record.orientation))
    height, width = pixels.shape[:2]
    side *= min(width, height) / shorter
    x, y = rng.uniform(0, width - side), rng.uniform(0, height - side)
    image = PIL.Image.fromarray(pixels)
    box = (x, y, min(x + side, width), min(y + side, height))
    return image.resize((size, size), PIL.Image.Resampling.BICUBIC, box=box)
