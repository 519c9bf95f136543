"""What is pasted, and onto what: things and pictures of shards, each of them in one split only."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import PIL.Image

from cloc.data.samples.decode import image_member, origin
from cloc.data.samples.record import Record, from_json
from cloc.data.samples.tar_cures import missing_member
from cloc.data.shards.reader import read_samples
from cloc.data.shards.shard_set import open_shards
from cloc.errors import BadSample, UserError
from cloc.terminal import shows_bars, track
from data_prep.importing import is_held_out
from data_prep.pasting.cutouts import Cutout, cut_out, seen_masks
from data_prep.pasting.raster import Raster

SPLITS = ("train", "val")


class Fitting(NamedTuple):
    """A thing and the (wide, high) in cells that it may have."""

    thing: Cutout
    shapes: list[tuple[int, int]]


@dataclass
class Pool:
    """The things of one split."""

    things: dict[str, list[Cutout]] = field(default_factory=dict)  # label -> at most `per_label`
    drops: Counter[str] = field(default_factory=Counter)

    def fitting(self, raster: Raster, count: int) -> dict[str, list[Fitting]]:
        """By label, in order of the alphabet, those that can be one of `count` in a picture."""
        found = {}
        for label in sorted(self.things):
            shaped = [Fitting(x, raster.shapes(*x.size, count=count)) for x in self.things[label]]
            if able := [fitting for fitting in shaped if fitting.shapes]:
                found[label] = able
        return found


def read_pools(
    objects: str, raster: Raster, *, val: float, at_least: int, per_label: int
) -> dict[str, Pool]:
    """The things of the shards, of `at_least` pixels each; all of one picture are in the split that
    its key falls to, and the first `per_label` of a label stay."""
    pools = {split: Pool() for split in SPLITS}
    samples = masks = 0
    for record in read_records(objects, key="objects"):
        samples += 1
        masks += any(mask is not None for mask in seen_masks(record))
        pool = pools[split_of(record.key, val=val)]
        for found in cut_out(record, pool.drops, pixels_at_least=at_least):
            of_label = pool.things.setdefault(found.label, [])
            if len(of_label) < per_label:
                of_label.append(_stored(found, raster.size))
            else:
                pool.drops["per_label"] += 1
    if not masks:
        raise UserError(
            f"objects={objects}: no region of {samples} samples has a mask; write the shards with "
            "import=coco or lvis and masks=true, or with import=scenes_depth"
        )
    return pools


def split_of(key: str, *, val: float) -> str:
    """The one that pictures of this key, and all that is cut out of them, belong to."""
    return "val" if is_held_out(key, share=val) else "train"


def read_records(spec: str, *, key: str) -> Iterator[Record]:
    """All of the shards that the setting `key` names; what cannot be used is a `UserError`."""
    shards = open_shards(spec, key=key)
    samples = read_samples(shards, key=key)
    for sample in track(samples, key, total=shards.total, hidden=not shows_bars()):
        yield record_of(sample)


def record_of(sample: Mapping[str, bytes | str]) -> Record:
    """Of a raw sample with a `json` member."""
    image, extension = image_member(sample)
    if "json" not in sample:
        cure = missing_member(sample, ["json"])
        raise BadSample("members", f"{origin(sample)}: no json member; {cure}")
    return from_json(str(sample["__key__"]), image, extension, sample["json"], origin(sample))


def _stored(thing: Cutout, size: int) -> Cutout:
    """At most as large as it can be asked for: many photographs' things would fill the memory."""
    if max(thing.size) <= size:
        return thing
    image = PIL.Image.fromarray(thing.pixels)
    image.thumbnail((size, size), PIL.Image.Resampling.BOX)
    return thing._replace(pixels=np.asarray(image))


def check_enough(pools: Mapping[str, Pool], raster: Raster, *, objects: str) -> None:
    """`UserError` where a split could not fill its pictures with things of different labels."""
    for split, pool in pools.items():
        for count in raster.num_objects:
            labels = pool.fitting(raster, count)
            if len(labels) < count:
                left = ", ".join(f"{n} {reason}" for reason, n in pool.drops.most_common())
                raise UserError(
                    f"objects={objects}: {split} has things of {len(labels)} labels that fit among "
                    f"{count}, {count} are needed (left out: {left or 'none'}); give more shards, "
                    "a lower pixels_at_least, smaller sizes or another val"
                )
