"""Captions, regions and masks that are left out of records that stay: how many are no accident."""

import math
from collections import Counter
from collections.abc import Mapping

from cloc.data.samples import validate
from cloc.data.samples.aligned import MASKS
from cloc.data.samples.record import Record
from cloc.data.samples.text import flat
from cloc.errors import UserError

SHARE = 0.1  # of all captions, and of all regions: no public set loses so many
AT_LEAST = 10  # fewer say little of a set, unless they are all it has
REASONS = {  # what goes -> why
    "captions": ("caption",),
    "regions": (
        *(reason for reason, what in validate.REASONS.items() if what == "the region"),
        *("box_fraction", "span"),
    ),
    "masks": ("mask", "mask_large"),
}
HINTS = {  # the cause that is most likely
    "caption": "texts are read as UTF-8",
    "box_fraction": "boxes as fractions of their pictures: they are read in pixels",
    "box_small": "boxes thinner than 1 px: are they in pixels?",
    "box_outside": "boxes outside their pictures: are the pictures of another size?",
    "mask": "masks without a pixel of their pictures: are polygons in pixels?",
    "mask_large": "masks of pictures with more of them than a record holds",
    "box_reversed": "boxes whose corners are reversed: are they x, y, width, height?",
}


class Parts:
    """Compares what importers count as left out (`drops`) with what the records hold.

    What is left out on purpose (crowds, classes that were not asked for) has other reasons.
    """

    def __init__(self, drops: Counter[str], *, budget: float) -> None:
        self.drops, self.share = drops, max(budget, SHARE)
        self.kept = Counter[str]()
        self.samples = Counter[str]()  # whole ones, by the reasons under which `drops` has them too

    def add(self, record: Record) -> None:
        """A record that stays."""
        self.kept["captions"] += len(record.captions)
        self.kept["regions"] += len(record.regions)
        masks = record.meta.get(MASKS)
        self.kept["masks"] += sum(m is not None for m in masks) if isinstance(masks, list) else 0

    def add_sample(self, reason: str) -> None:
        """A whole sample that goes."""
        self.drops[reason] += 1
        self.samples[reason] += 1

    def check(self) -> None:
        """`UserError` where more than a tenth of the captions, regions or masks were left out, or
        more than the budget where that is more; of a small set, where all were."""
        lost = Counter(self.drops)
        lost.subtract(self.samples)
        check_parts(lost, self.kept, share=self.share, key="budget")


def check_parts(
    lost: Mapping[str, int], kept: Mapping[str, int], *, share: float, key: str, where: str = ""
) -> None:
    """`lost` by reason, `kept` by what (a key of `REASONS`); `key` is what sets `share`."""
    for what, reasons in REASONS.items():
        found = Counter({reason: lost[reason] for reason in reasons if lost.get(reason, 0) > 0})
        count, total = found.total(), found.total() + kept.get(what, 0)
        if count > share * total and (count >= AT_LEAST or not kept.get(what)):
            told = ", ".join(f"{n} {reason}" for reason, n in found.most_common(3))
            hint = HINTS.get(found.most_common(1)[0][0])
            raise UserError(
                f"{where}{count} of {total} {what} cannot be used ({told}"
                f"{f'; {hint}' if hint else ''}); mend them, or allow for it with {key}="
                f"{math.ceil(100 * count / total) / 100:g}"
            )


def licence_of(record: Record) -> list[str]:
    """Its licence, where its `meta` says one in words."""
    licence = flat(record.meta.get("license"))
    return [licence] if licence else []
