"""The page of an evaluation: of each way to embed a region the boxes it gets right and wrong, and
the classes it finds hardest."""

from collections import defaultdict
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


def write_cases(
    out: Path,
    results: Mapping[str, Mapping[str, float]],
    splits: Sequence[Split],
    *,
    shown: int,
    title: str,
) -> bool:
    """`shown` pictures of each figure, half of them wrong where there are so many; False where no
    figure is one of boxes, and no page is written."""
    of_split = {split.name: split for split in splits}
    parts = []
    for key, values in results.items():
        split = of_split.get(key.partition("/")[2] or "val")
        if split is None or not isinstance(values, Measured):
            continue
        boxes = {name: (e, i) for e in split.examples for i, name in enumerate(case_names(e))}
        metric = next((m for m, c in values.figures.cases.items() if _are_of(c, boxes)), None)
        if metric is not None:
            parts.append(_part(key, metric, values, boxes, shown))
    if not parts or not shown:
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
    wrong = [name for name, is_right in right.items() if not is_right]
    good = [name for name, is_right in right.items() if is_right]
    chosen = wrong[: max(shown // 2, shown - len(good))]
    chosen += good[: shown - len(chosen)]
    return {
        "key": key,
        "metric": metric,
        "value": f"{values[metric]:.3f}",
        "hardest": _hardest(right, boxes),
        "shots": [_shot(name, right[name], *boxes[name]) for name in chosen],
    }


def _hardest(
    right: Mapping[str, bool], boxes: Mapping[str, tuple[Example, int]]
) -> list[tuple[str, int, int]]:
    """Class, boxes that are right, boxes: the lowest shares first."""
    found: dict[str, list[bool]] = defaultdict(list)
    for name, is_right in right.items():
        example, box = boxes[name]
        if example.labels[box]:
            found[example.labels[box]].append(is_right)
    counts = [(label, sum(own), len(own)) for label, own in found.items() if len(own) >= LEAST]
    return sorted(counts, key=lambda row: (row[1] / row[2], -row[2]))[:HARDEST]


def _shot(name: str, right: bool, example: Example, box: int) -> dict[str, Any]:
    phrase = example.labels[box] or example.phrases[box]
    drawn = draw_boxes(example.image, example.boxes[box : box + 1], [phrase], [colour(box)])
    return {"name": name, "right": right, "phrase": phrase, "picture": to_data_uri(drawn)}
