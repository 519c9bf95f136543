"""What `compare-regions` does: recall and precision of boxes and names."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from rich.table import Table

from cloc.boxes import iou
from cloc.data.samples.record import Record, Region
from cloc.data.shards.reader import read_samples
from cloc.data.shards.shard_set import open_shards
from cloc.data.sources.cloc_regions import parse
from cloc.errors import UserError
from cloc.terminal import plain_console

AT_LEAST = 0.5  # IoU of two boxes that count as one


class Counts(NamedTuple):
    """Regions of one set, and those with a partner in the other."""

    all: int
    placed: int  # one that lies there
    named: int  # one that lies there and is named alike


def show(true: str, found: str, *, index_folder: str | None = None) -> None:
    """Prints the table."""
    table = Table(f"IoU >= {AT_LEAST}", "box", "box and name", "regions")
    for name, counts in compare(true, found, index_folder).items():
        of = max(counts.all, 1)
        shares = (counts.placed / of, counts.named / of)
        table.add_row(name, *(f"{share:.3f}" for share in shares), f"{counts.all:,}")
    plain_console().print(table)


def compare(true: str, found: str, index_folder: str | None = None) -> dict[str, Counts]:
    """`recall` counts true regions, `precision` found ones. A found region has the name of a true
    one when its words hold those of the true one's label (of its text, where it has no label).

    Images that only one of the sets holds count with the other's regions empty.
    """
    others = {record.key: record for record in _records(found, "FOUND", index_folder)}
    recall, precision, found_images = [], [], len(others)
    for record in _records(true, "TRUE", index_folder):
        other = others.pop(record.key, None)
        theirs = other.regions if other else ()
        recall.append(_partners(record.regions, theirs, lambda a, b: _holds(b, a)))
        precision.append(_partners(theirs, record.regions, _holds))
    if len(others) == found_images:
        raise UserError(f"{true} and {found} have no image in common")
    precision += [_partners(record.regions, (), _holds) for record in others.values()]
    return {"recall": _sum(recall), "precision": _sum(precision)}


def _records(spec: str, key: str, index_folder: str | None) -> Iterator[Record]:
    shards = open_shards(spec, key=key, index_folder=index_folder)
    return map(parse, read_samples(shards, key=key))


def _partners(
    regions: Sequence[Region], others: Sequence[Region], alike: Callable[[Region, Region], bool]
) -> Counts:
    if not regions or not others:
        return Counts(len(regions), 0, 0)
    ours, theirs = (torch.tensor([region.box for region in side]) for side in (regions, others))
    pairs = (len(regions), len(others), 4)
    near = iou(ours[:, None].expand(pairs), theirs[None].expand(pairs)) >= AT_LEAST
    named = torch.tensor([[alike(a, b) for b in others] for a in regions])
    return Counts(len(regions), int(near.any(1).sum()), int((near & named).any(1).sum()))


def _holds(found: Region, true: Region) -> bool:
    return set((true.label or true.text).lower().split()) <= set(found.text.lower().split())


def _sum(counts: Sequence[Counts]) -> Counts:
    return Counts(*map(sum, zip(*counts, strict=True)))
