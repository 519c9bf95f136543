"""The answer in words: what each suspect moves, and nothing beyond its interval."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from cloc.cli.matrix.summary import WHAT, WHERE, Figure, Found, Mean, apart

REFERENCE = "learned"  # what other encodings are compared with
BALANCED = "_balanced"  # ends the name of an encoding with norm balance


class Contrast(NamedTuple):
    """One suspect's change, from `other` to `one`."""

    suspect: str
    key: str  # of a cell: arm or encoding
    one: str
    other: str
    within: str | None = None  # the arm that encodings are compared in; None: all encodings

    @property
    def label(self) -> str:
        where = f", {self.within}" if self.within else ""
        return f"{self.one} against {self.other}{where}"


class Change(NamedTuple):
    """What it does to a figure."""

    contrast: Contrast
    figure: Figure
    by: Mean


def contrasts(arms: Mapping[str, str], encodings: Sequence[str]) -> list[Contrast]:
    """Each arm against the one before it, under the suspect it is of; in each arm that learns from
    regions, each encoding against learned positions, and what has norm balance against the same
    without it."""
    found = [Contrast(arms[one], "arm", one, other) for other, one in pairwise(arms)]
    for arm in list(arms)[1:] or arms:
        for one in encodings:
            plain = one.removesuffix(BALANCED)
            if plain != one and plain in encodings:
                found.append(Contrast("loudness", "encoding", one, plain, arm))
            elif one != REFERENCE and REFERENCE in encodings:
                found.append(Contrast("position encoding", "encoding", one, REFERENCE, arm))
    return sorted(found, key=lambda c: [x.suspect for x in found].index(c.suspect))


def changes(
    found: Found,
    asked: Sequence[Contrast],
    *,
    size: str,
    figures: Sequence[Figure] = (*WHERE, *WHAT),
) -> list[Change]:
    """Of every figure, those of which there are pairs."""
    told = []
    for contrast in asked:
        for figure in figures:
            by = apart(
                *(found, figure),
                size=size,
                key=contrast.key,
                one=contrast.one,
                other=contrast.other,
                within=[contrast.within] if contrast.within else None,
            )
            if by is not None:
                told.append(Change(contrast, figure, by))
    return told


def verdict(told: Sequence[Change]) -> list[str]:
    """Sentences: of each suspect its largest clear change of a figure of where, then which of them
    is guilty."""
    if not told:
        return ["There are no two cells to compare yet."]
    if all(change.by.half is None for change in told):
        return ["One seed: there are no intervals, so nothing is said of what is guilty."]
    sentences, largest = [], dict[str, float]()
    for suspect in dict.fromkeys(change.contrast.suspect for change in told):
        of = [c for c in told if c.contrast.suspect == suspect and c.figure in WHERE]
        clear = sorted((c for c in of if c.by.is_clear), key=lambda c: -abs(c.by.mean))
        largest[suspect] = abs(clear[0].by.mean) if clear else 0.0
        sentences.append(_largest(suspect, clear))
    ranked = sorted(largest, key=lambda suspect: -largest[suspect])
    if largest[ranked[0]] == 0:
        return [*sentences, "No suspect is guilty beyond its interval on this data."]
    others = [f"the {name} ({largest[name]:.2f})" for name in ranked[1:]]
    beside = f"; then {', '.join(others)}" if others else ""
    count = sum(change.figure in WHERE for change in told)
    return [
        *sentences,
        f"Guilty on this data: the {ranked[0]}, whose largest clear change is "
        f"{largest[ranked[0]]:.2f}{beside}.",
        f"Of {count} comparisons of where, {count / 20:.0f} would be clear by chance alone.",
    ]


def _largest(suspect: str, clear: Sequence[Change]) -> str:
    name = suspect.capitalize()
    if not clear:
        return f"{name}: no change of where is clear of its interval."
    change = clear[0]
    return (
        f"{name}: {change.contrast.label} changes {change.figure.label} by "
        f"{change.by.mean:+.3f} ({interval(change.by)})."
    )


def interval(by: Mean) -> str:
    assert by.half is not None
    return f"95 %: {by.mean - by.half:+.3f} to {by.mean + by.half:+.3f}"


def costs(told: Sequence[Change]) -> list[str]:
    """One sentence for each contrast that clearly costs something of what."""
    found = []
    for change in told:
        if change.figure in WHAT and change.by.is_clear and change.by.mean < 0:
            found.append(
                f"{change.contrast.label} costs {change.figure.label} {change.by.mean:+.3f} "
                f"({interval(change.by)})."
            )
    return found or ["Nothing clearly costs names of regions or retrieval."]
