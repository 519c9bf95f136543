"""One picture with pasted things, as a record: a function of the seed, the split and its number."""

import io
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

import numpy as np
import PIL.Image

from cloc.data.samples.record import Caption, Record, Region
from cloc.errors import UserError
from data_prep.articles import article
from data_prep.masks import run_lengths
from data_prep.pasting.cutouts import Cutout
from data_prep.pasting.grounds import Ground, Grounds
from data_prep.pasting.pool import SPLITS, Fitting, Pool
from data_prep.pasting.raster import Cells, Raster, overlaps

SOURCE = "pasted"
RETRIES = 10
SEEN = 0.5  # of the pixels of each thing, at least, that no other one covers


class Placed(NamedTuple):
    """A thing in its place."""

    thing: Cutout
    cells: Cells
    layer: PIL.Image.Image  # RGBA, as large as its cells
    seen: np.ndarray  # bool [size, size]: its pixels that nothing covers
    pixels: int  # of it, covered or not


class Painter:
    """Draws the pictures of one split."""

    def __init__(self, split: str, raster: Raster, grounds: Grounds, pool: Pool, seed: int) -> None:
        self.split, self.raster, self.grounds, self.seed = split, raster, grounds, seed
        self.pool = pool
        self.fitting = {count: pool.fitting(raster, count) for count in raster.num_objects}

    def __call__(self, index: int, drops: Counter[str]) -> Record:
        """Number `index`. What finds no place in 1 + RETRIES tries is left out, "no_place"."""
        rng = Random((self.seed * len(SPLITS) + SPLITS.index(self.split)) << 40 | index)
        count = rng.choice(self.raster.num_objects)
        labels = self.fitting[count]
        ground, free = self._ground(rng, labels)
        placed: list[Placed] = []
        for _ in range(count):
            if not free:
                drops["no_label"] += 1
                break
            label = rng.choice(free)
            free = [other for other in free if not alike(label, other)]
            found = _place(rng, rng.choice(labels[label]), placed, self.raster)
            if found is None:
                drops["no_place"] += 1
            placed = found or placed
        return _record(f"{self.split}-{index:08d}", ground, placed, self.raster)

    def _ground(self, rng: Random, labels: dict[str, list[Fitting]]) -> tuple[Ground, list[str]]:
        """One on which something may be pasted, and the labels of what may."""
        for _ in range(1 + RETRIES):
            ground = self.grounds(rng, self.raster.size)
            free = [x for x in labels if not any(alike(x, shown) for shown in ground.labels)]
            if free:
                return ground, free
        raise UserError(
            f"backgrounds show every label of {self.split}'s objects, such as {ground.key}; give "
            "pictures of other things as backgrounds="
        )


def alike(one: str, other: str) -> bool:
    """Whether one name can mean both: a coffee cup is a cup."""
    return one == other or one.endswith(f" {other}") or other.endswith(f" {one}")


def _place(
    rng: Random, fitting: Fitting, placed: Sequence[Placed], raster: Raster
) -> list[Placed] | None:
    """All, with this one in front; None where it found no place."""
    for _ in range(1 + RETRIES):
        wide, high = rng.choice(fitting.shapes)
        x, y = rng.randint(0, raster.grid - wide), rng.randint(0, raster.grid - high)
        cells = (x, y, x + wide, y + high)
        if any(overlaps(cells, other.cells) for other in placed):
            continue
        layer = _resized(fitting.thing, (wide * raster.cell, high * raster.cell))
        own = np.zeros((raster.size, raster.size), bool)
        px, py = x * raster.cell, y * raster.cell
        own[py : py + layer.height, px : px + layer.width] = np.asarray(layer)[..., 3] >= 128
        behind = [other._replace(seen=other.seen & ~own) for other in placed]
        if all(other.seen.sum() >= SEEN * other.pixels for other in behind):
            return [*behind, Placed(fitting.thing, cells, layer, own, int(own.sum()))]
    return None


def _resized(thing: Cutout, size: tuple[int, int]) -> PIL.Image.Image:
    """Edges are as soft as the resizing makes them; Pillow weighs colours by alpha, so that nothing
    of what was around the thing comes along."""
    image = PIL.Image.fromarray(thing.pixels)
    return image.resize(size, PIL.Image.Resampling.BICUBIC)


def _record(key: str, ground: Ground, placed: Sequence[Placed], raster: Raster) -> Record:
    """Regions in the order of painting, masks of what is seen."""
    image = ground.image.copy()
    for one in placed:
        image.paste(one.layer, (one.cells[0] * raster.cell, one.cells[1] * raster.cell), one.layer)
    names = [f"{article(one.thing.label)} {one.thing.label}" for one in placed]
    regions = tuple(
        Region(
            box=tuple(float(x * raster.cell) for x in one.cells),  # type: ignore[arg-type]
            text=name,
            source=SOURCE,
            label=one.thing.label,
        )
        for name, one in zip(names, placed, strict=True)
    )
    licences = sorted({*ground.licences, *(x for one in placed for x in one.thing.licences)})
    meta = {
        "grid": raster.grid,
        "background": ground.key,
        "masks": [run_lengths(one.seen) for one in placed],
        "twins": [],  # and so `things` stay with their regions (cloc.data.samples.aligned)
        "things": [{"from": one.thing.key, "cells": list(one.cells)} for one in placed],
        **({"license": ", ".join(licences)} if licences else {}),
    }
    captions = (Caption(listed(names), SOURCE),)
    return Record(key, png(image), "png", raster.size, raster.size, captions, regions, meta)


def listed(names: Sequence[str]) -> str:
    """ "a cup, a dog and a ball"."""
    *before, last = names
    return f"{', '.join(before)} and {last}" if before else last


def png(image: PIL.Image.Image) -> bytes:
    """Encoded quickly, not tightly."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
