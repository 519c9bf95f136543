"""Things cut out of annotated shards and pasted onto other grounds -> records.

As in PIN (arXiv 2402.08657), whose module learned places from such pictures: boxes on the lines of
a raster, one to three things of different names.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cloc.errors import UserError
from data_prep.importing import Split, check_share, write_splits
from data_prep.pasting.grounds import Grounds, noise, read_pictures
from data_prep.pasting.picture import Painter
from data_prep.pasting.pool import check_enough, read_pools
from data_prep.pasting.raster import raster


def write_pasted(  # noqa: PLR0913 - a key of configs/import each
    out: Path,
    *,
    objects: str,
    count: int,
    sizes: Sequence[Sequence[float]],
    objects_at_least: int = 1,
    objects_at_most: int = 3,
    backgrounds: str | None = None,
    val: float = 0.05,
    seed: int = 0,
    size: int = 64,
    grid: int = 16,
    pixels_at_least: int = 64,
    per_label: int = 500,
    samples_per_shard: int = 2500,
) -> dict[str, dict[str, Any]]:
    """Writes `out/train`, and `out/val` of the share `val` of `count` pictures, rounded down;
    returns their manifests.

    Things and backgrounds are of one split only: the side of a source picture is a function of its
    key. A picture depends on the shards, the settings, its split and its number alone.
    """
    lines = raster(size, grid, sizes=sizes, at_least=objects_at_least, at_most=objects_at_most)
    _check(count, val, seed=seed, pixels_at_least=pixels_at_least, per_label=per_label)
    given = read_pools(objects, lines, val=val, at_least=pixels_at_least, per_label=per_label)
    counts = {"train": count - int(val * count), "val": int(val * count)}
    pools = {split: pool for split, pool in given.items() if counts[split]}
    check_enough(pools, lines, objects=objects)
    grounds: Mapping[str, Grounds] = dict.fromkeys(pools, noise)
    if backgrounds is not None:
        grounds = read_pictures(backgrounds, pools, val=val)
    splits = {
        split: _split(Painter(split, lines, grounds[split], pool, seed), counts[split])
        for split, pool in pools.items()
    }
    classes = {label: [label] for pool in pools.values() for label in sorted(pool.things)}
    each = samples_per_shard
    return write_splits(out, splits, name="pasted", samples_per_shard=each, classes=classes)


def _split(paint: Painter, count: int) -> Split:
    drops = Counter(paint.pool.drops)
    return Split((paint(index, drops) for index in range(count)), drops, count)


def _check(count: int, val: float, *, seed: int, pixels_at_least: int, per_label: int) -> None:
    check_share(val)
    if type(count) is not int or count < 1:
        raise UserError(f"count={count}: give the number of pictures, 1 or more")
    if type(seed) is not int or seed < 0:
        raise UserError(f"seed={seed}: pictures need a seed of 0 or more")
    for key, given in (("pixels_at_least", pixels_at_least), ("per_label", per_label)):
        if type(given) is not int or given < 1:
            raise UserError(f"{key}={given}: give a number of 1 or more")
