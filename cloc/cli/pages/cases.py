"""The page of an evaluation: of each way to embed a region the boxes it gets most wrong, mixes up
most often and gets most right, and the classes it finds hardest."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from cloc.cli.pages.page import write_page
from cloc.drawing import colour, draw_boxes, to_data_uri
from cloc.eval.measured import Cases, Measured
from cloc.eval.pictures import case_names
from cloc.interfaces import Example, Split

HARDEST = 8  # classes of a table
LEAST = 3  # boxes of a class before it is called hard
PAIRS = 5  # of classes that are mixed up


def write_cases(
    out: Path,
    results: Mapping[str, Mapping[str, float]],
    splits: Sequence[Split],
    *,
    shown: int,
    title: str,
) -> bool:
    """`shown` pictures of each figure: a third of them the worst, a third of the classes that are
    mixed up most often, the others the best; False where no figure is one of boxes: no page is
    written, and one of before, whose figures are gone, is removed."""
    of_split = {split.name: split for split in splits}
    parts = []
    for key, values in results.items() if shown else ():
        split = of_split.get(key.partition("/")[2] or "val")
        if split is None or not isinstance(values, Measured):
            continue
        boxes = {name: (e, i) for e in split.examples for i, name in enumerate(case_names(e))}
        metric = next((m for m, c in values.figures.cases.items() if _are_of(c, boxes)), None)
        if metric is not None:
            parts.append(_part(key, metric, values, boxes, shown))
    if not parts:
        out.unlink(missing_ok=True)
        return False
    sections = {str(i): part["key"] for i, part in enumerate(parts, 1)}
    main = files("cloc.report").joinpath("cases.html").read_text("utf-8")
    write_page(out, main, {"title": title, "parts": parts}, kind="cases", sections=sections)
    return True


def _are_of(cases: Cases, boxes: Mapping[str, Any]) -> bool:
    """Right or wrong, a box each."""
    plain = cases.classes is None and len(cases.names) > 0
    return plain and all(name in boxes for name in cases.names)


def _part(
    key: str,
    metric: str,
    values: Measured,
    boxes: Mapping[str, tuple[Example, int]],
    shown: int,
) -> dict[str, Any]:
    cases = values.figures.cases[metric]
    right = dict(zip(cases.names, (cases.values > 0.5).tolist(), strict=True))
    label_of = {name: boxes[name][0].labels[boxes[name][1]] for name in cases.names}
    taken_for = dict(zip(cases.names, cases.nearest_wrong, strict=False))
    confused = _confused(right, label_of, taken_for)
    shots = [
        _shot(name, why, taken_for.get(name, "") if not right[name] else "", *boxes[name])
        for name, why in _chosen(cases, right, label_of, taken_for, confused, shown)
    ]
    return {
        "key": key,
        "metric": metric,
        "value": f"{values[metric]:.3f}",
        "hardest": _hardest(right, label_of),
        "confused": confused[:PAIRS],
        "shots": shots,
    }


def _chosen(
    cases: Cases,
    right: Mapping[str, bool],
    label_of: Mapping[str, str],
    taken_for: Mapping[str, str],
    confused: Sequence[tuple[str, str, int]],
    shown: int,
) -> list[tuple[str, str]]:
    """Case and what it is an example of; the worst have the lowest margin, the best the highest.
    Cases without margins stand in their order, the first wrong ones and the first right ones."""
    margins = cases.margins
    order = range(len(cases.names)) if margins is None else margins.argsort(stable=True).tolist()
    names = [cases.names[i] for i in order]
    wrong = [name for name in names if not right[name]]
    of_pair = defaultdict(list)
    for name in wrong:
        of_pair[label_of[name], taken_for.get(name)].append(name)
    mixed = [name for label, said, _ in confused for name in of_pair[label, said]]
    best = [name for name in (names if margins is None else reversed(names)) if right[name]]
    third = -(-shown // 3)
    worst_of, best_of = ("wrong", "right") if margins is None else ("worst", "best")
    found: dict[str, str] = {}
    for why, group, most in (
        (worst_of, wrong, third if best else shown),
        ("confused", mixed, third),
        (best_of, best, shown),
        ("wrong", wrong, shown),
    ):
        room = min(most, shown - len(found))
        found |= {name: why for name in [name for name in group if name not in found][:room]}
    return list(found.items())


def _confused(
    right: Mapping[str, bool], label_of: Mapping[str, str], taken_for: Mapping[str, str]
) -> list[tuple[str, str, int]]:
    """Class, what its boxes were taken for, how often: the commonest first."""
    found = Counter(
        (label_of[name], said)
        for name, said in taken_for.items()
        if label_of[name] and not right[name]
    )
    pairs = [(label, said, count) for (label, said), count in found.items()]
    return sorted(pairs, key=lambda row: (-row[2], row[:2]))


def _hardest(right: Mapping[str, bool], label_of: Mapping[str, str]) -> list[tuple[str, int, int]]:
    """Class, boxes that are right, boxes: the lowest shares first."""
    found: dict[str, list[bool]] = defaultdict(list)
    for name, is_right in right.items():
        if label_of[name]:
            found[label_of[name]].append(is_right)
    counts = [(label, sum(own), len(own)) for label, own in found.items() if len(own) >= LEAST]
    return sorted(counts, key=lambda row: (row[1] / row[2], -row[2]))[:HARDEST]


def _shot(name: str, why: str, said: str, example: Example, box: int) -> dict[str, Any]:
    phrase = example.labels[box] or example.phrases[box]
    drawn = draw_boxes(example.image, example.boxes[box : box + 1], [phrase], [colour(box)])
    return {
        "name": name,
        "why": why,
        "said": said,
        "phrase": phrase,
        "picture": to_data_uri(drawn),
    }
