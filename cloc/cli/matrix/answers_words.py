"""What the second page says: do repairs in the decoder and a localized encoder add up?"""

from collections.abc import Mapping, Sequence

from cloc.cli.matrix.answers import BASE, BENCHMARK
from cloc.cli.matrix.summary import Figure
from cloc.cli.matrix.words import Change, Contrast, interval

WHAT = Figure(BENCHMARK, "what", "what", "the name of what is at a box, letter for letter")
WHERE = (
    Figure(BENCHMARK, "where_acc@0.5", "where", "the box of a plain name, IoU above 0.5"),
    Figure(BENCHMARK, "look_alike", "look-alikes", "which of two equal things a relation means"),
    Figure(BENCHMARK, "whether", "whether", "is a relation true of the thing at a box?"),
    Figure(BENCHMARK, "left_right", "left or right", "of these, of two equal things"),
)
FIGURES = (*WHERE, WHAT)


def contrasts(arms: Sequence[str], repairs: Mapping[str, str | None]) -> list[Contrast]:
    """Each encoder against the first one, without a repair; each repair against none, behind each
    encoder, and against the one that it goes on from, which `repairs` tells."""
    first, *others = arms
    found = [Contrast("encoder", "arm", one, first, BASE) for one in others]
    for one in repairs:
        if one != BASE:
            found += [Contrast("repair", "encoding", one, BASE, arm) for arm in arms]
    for one, of in repairs.items():
        if of not in (None, BASE):
            found += [Contrast("further", "encoding", one, of, arm) for arm in arms]
    return found


def verdict(told: Sequence[Change], arms: Sequence[str]) -> list[str]:
    """Sentences, none of them beyond its interval."""
    if not told:
        return ["There are no two cells to compare yet."]
    if all(change.by.half is None for change in told):
        return ["One seed: there are no intervals, so nothing is said of repairs."]
    said = [_encoder(told, one) for one in arms[1:]]
    for suspect, one, other in dict.fromkeys(c.contrast[:1] + c.contrast[2:4] for c in told):
        if suspect != "encoder":
            name = one if suspect == "repair" else f"{one} behind {other}"
            said.append(_repair(_clear(told, suspect, one), name))
    return [*said, _together(told, arms)]


def _clear(told: Sequence[Change], suspect: str, one: str) -> list[Change]:
    of = [c for c in told if c.contrast.suspect == suspect and c.contrast.one == one]
    return [c for c in of if c.by.is_clear]


def _encoder(told: Sequence[Change], one: str) -> str:
    clear = _clear(told, "encoder", one)
    if not clear:
        return f"{one} in place of the first encoder changes nothing clearly."
    parts = [f"{c.figure.label} by {c.by.mean:+.3f} ({interval(c.by)})" for c in clear]
    return f"{one} in place of {clear[0].contrast.other}, without a repair, changes " + (
        f"{', '.join(parts)}."
    )


def _repair(clear: Sequence[Change], name: str) -> str:
    if not clear:
        return f"{name} changes nothing clearly, behind any encoder."
    parts = [
        f"{c.figure.label} by {c.by.mean:+.3f} ({interval(c.by)}) behind {c.contrast.within}"
        for c in clear
    ]
    return f"{name} changes {'; '.join(parts)}."


def _together(told: Sequence[Change], arms: Sequence[str]) -> str:
    """Of figures of where: what repairs clearly gain behind the first encoder and the last one."""
    gains = {
        arm: [
            f"{c.contrast.one} ({c.figure.label} {c.by.mean:+.3f})"
            for c in told
            if c.contrast.suspect == "repair" and c.contrast.within == arm
            if c.figure in WHERE and c.by.is_clear and c.by.mean > 0
        ]
        for arm in (arms[0], arms[-1])
    }
    first, last = (f"behind {arm} {', '.join(own) or 'none'}" for arm, own in gains.items())
    if gains[arms[-1]]:
        end = "a localized encoder does not make them unnecessary: they add up"
    elif gains[arms[0]]:
        end = "a localized encoder makes them unnecessary"
    else:
        end = "neither encoder gains from them"
    return f"Repairs that clearly gain something of where: {first}; {last}. On this data {end}."
