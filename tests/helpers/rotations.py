"""Angles of a rotary encoding on a grid, and what they must be whatever the encoding."""

import torch

from cloc.models.positions.place import Place
from cloc.models.positions.rotary.rotate import rotate

CPU = torch.device("cpu")


def on(rows, columns, kept=None):
    return Place(rows, columns, 1, kept)


def angles(encoding, rows, columns):
    """[heads or 1, rows * columns, pairs]"""
    return encoding(on(rows, columns), CPU)[0].detach()


def logits(encoding, rows, columns, width, *, heads=1, seed=0):
    """Of one query and one key, the same at every place: [heads, p, p]."""
    generator = torch.Generator().manual_seed(seed)
    q, k = torch.randn(2, 1, heads, 1, width, generator=generator)
    turned = angles(encoding, rows, columns)[None]
    count = rows * columns
    q, k = (rotate(x.expand(1, heads, count, width), turned) for x in (q, k))
    return (q @ k.mT)[0]


def offsets(rows, columns):
    """(down, right) of the key from the query, for every pair."""
    where = [(i // columns, i % columns) for i in range(rows * columns)]
    return [[(c - a, d - b) for c, d in where] for a, b in where]


def by_offset(values, rows, columns):
    """Offset -> all the logits [heads] that pairs of it have."""
    found = {}
    for i, line in enumerate(offsets(rows, columns)):
        for j, offset in enumerate(line):
            found.setdefault(offset, []).append(values[:, i, j])
    return {offset: torch.stack(own) for offset, own in found.items()}
