"""The numbers of a report: `metrics.json` of a run and of its twin as cards and tables."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cloc.errors import UserError

Metrics = Mapping[str, Mapping[str, float]]  # benchmark[@extractor][/split] -> metric -> value

REFERENCES = {"_chance": "chance", "_centre_box": "centre box", "_random_box": "random box"}
LOST = {  # of a figure: no share of right answers, so nothing without skill has one
    "_psi_patches": "share lost with patches shuffled",
    "_psi_tokens": "share lost with tokens shuffled",
}
SHUFFLED = {
    "_permuted_patches": "patches shuffled before positions",
    "_permuted_tokens": "tokens shuffled after positions",
    **LOST,
}
CONTROLS = {"_permuted": "patches shuffled", "_blind": "grey image", **SHUFFLED}
# What a card says, most telling first; a report shows the first six that were measured.
HEADLINES = (
    ("region_classification", "top1", "Region top-1"),
    ("grounding", "acc@0.5", "Grounding acc@0.5"),
    ("region_classification", "within_image", "Region top-1 within the image"),
    ("relational_regions", "pick", "Which of two look-alikes"),
    ("image_text_retrieval", "i2t_r@1", "Image to text R@1"),
    ("spatial_relations", "accuracy", "Spatial relation accuracy"),
    ("region_retrieval", "r2t_r@1", "Region to phrase R@1"),
    ("grounding", "miou", "Grounding mean IoU"),
)
EXPLAINED = {
    "region_classification": "Which class is in a given box, among all classes (top1, "
    "class_mean; _synonyms: by the mean of all that a class is called) and among the phrases of "
    "the same image (within_image).",
    "region_retrieval": "Find a region's phrase among all phrases (r2t) and the reverse (t2r).",
    "grounding": "Predict the box of a phrase; a box is right at IoU 0.5.",
    "image_text_retrieval": "Find an image's caption among all captions (i2t) and the reverse.",
    "spatial_relations": "The right caption against the same caption with its relation flipped.",
    "relational_regions": "Which of two equal objects a phrase like “left of the ring” means.",
}


class Key(NamedTuple):
    """A key of `metrics.json`; the split "" is the default one."""

    benchmark: str
    extractor: str
    split: str


class Column(NamedTuple):
    """One embedder in a table; the extractor "" is the model's own region embedding."""

    run: str
    extractor: str

    @property
    def title(self) -> str:
        """What stands over the column below the run's name."""
        return self.extractor or "own"


class Row(NamedTuple):
    """One metric on one split: a value per column (None where it was not measured)."""

    metric: str
    control: str  # what was taken away from the input; "" for an ordinary metric
    split: str
    references: tuple[tuple[str, float], ...]
    values: tuple[float | None, ...]

    @property
    def best(self) -> float | None:
        """The highest value where there is something to compare; a control has no winner."""
        given = [v for v in self.values if v is not None and math.isfinite(v)]
        return max(given) if len(given) > 1 and not self.control and not self.is_count else None

    @property
    def is_count(self) -> bool:
        """A number of things, not a share."""
        return self.metric.startswith("num_") or self.metric.endswith("count")


class Table(NamedTuple):
    """All splits and metrics of one benchmark."""

    title: str
    explained: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Each run with its number of columns; the columns of a run lie together."""
        return list(Counter(column.run for column in self.columns).items())


class Card(NamedTuple):
    """One headline number; `twin` is the twin's best extractor and its value."""

    title: str
    metric: str
    value: float
    extractor: str
    references: tuple[tuple[str, float], ...]
    twin: tuple[str, float] | None
    splits: tuple[tuple[str, float], ...]  # the same number on the other splits


def read_metrics(run: Path) -> dict[str, dict[str, float]]:
    """`metrics.json` of a run folder; empty where the run has not been evaluated."""
    path = run / "metrics.json"
    if not path.is_file():
        return {}
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return {str(k): {m: _number(v) for m, v in group.items()} for k, group in data.items()}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{path}: not {{benchmark: {{metric: number}}}} ({error}); write it again with "
            f"cloc-pretrain evaluate run={run}"
        ) from None


def parse_key(key: str) -> Key:
    """`benchmark[@extractor][/split]` in its three parts, "" where one is absent."""
    name, _, split = key.partition("/")
    benchmark, _, extractor = name.partition("@")
    return Key(benchmark, extractor, split)


def tables(run: str, metrics: Metrics, *, twin: str, twin_metrics: Metrics) -> list[Table]:
    """One table per benchmark, in order of appearance; every metric of both runs is in one row.

    The columns of `run` come first, and of each run its own embedding.
    """
    groups = {(run, parse_key(k)): v for k, v in metrics.items()}
    groups |= {(twin, parse_key(k)): v for k, v in twin_metrics.items()}
    found = []
    for benchmark in dict.fromkeys(key.benchmark for _, key in groups):
        chosen = {k: v for k, v in groups.items() if k[1].benchmark == benchmark and v}
        given = dict.fromkeys(Column(name, key.extractor) for name, key in chosen)
        columns = tuple(sorted(given, key=lambda c: (c.run != run, c.extractor != "")))
        rows = tuple(_rows(benchmark, columns, chosen))
        if rows:
            found.append(Table(benchmark, EXPLAINED.get(benchmark, ""), columns, rows))
    return found


def cards(found: Sequence[Table], *, run: str, twin: str, at_most: int = 6) -> list[Card]:
    """The headline numbers that this run has, on its default split, or its first where it has none.

    A model without an extractor of its own is shown, and a twin always, by its best extractor.
    """
    shown = []
    for benchmark, metric, title in HEADLINES:
        rows = [r for t in found if t.title == benchmark for r in t.rows if r.metric == metric]
        columns = next((t.columns for t in found if t.title == benchmark), ())
        values = [_best_of(run, columns, row) for row in rows]
        measured = [(row, value) for row, value in zip(rows, values, strict=True) if value]
        if not measured:
            continue
        row, (extractor, value) = measured[0]
        card = Card(
            title=title,
            metric=f"{benchmark}.{metric}",
            value=value,
            extractor=extractor,
            references=row.references,
            twin=_best_of(twin, columns, row),
            splits=tuple((other.split, v[1]) for other, v in measured[1:]),
        )
        shown.append(card)
    return shown[:at_most]


def shown_number(value: float | None, *, is_count: bool = False) -> str:
    """Three decimals for a share; a dash where nothing was measured."""
    if value is None:
        return "\N{EN DASH}"
    if not math.isfinite(value):
        return "not finite"
    return f"{value:,.0f}" if is_count else f"{value:.3f}"


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _rows(
    benchmark: str,
    columns: Sequence[Column],
    groups: Mapping[tuple[str, Key], Mapping[str, float]],
) -> list[Row]:
    rows = []
    for split in sorted({key.split for _, key in groups}):  # "" first
        cells = [groups.get((c.run, Key(benchmark, c.extractor, split)), {}) for c in columns]
        for metric in _ordered(dict.fromkeys(name for cell in cells for name in cell)):
            if not metric.endswith(tuple(REFERENCES)):
                rows.append(_row(metric, split, cells))
    return rows


def _ordered(metrics: Iterable[str]) -> list[str]:
    """What shuffling does to a figure stands right below it."""
    names = list(metrics)
    of = {name: [n for n in names if n in {f"{name}{end}" for end in SHUFFLED}] for name in names}
    below = {line for lines in of.values() for line in lines}
    return [n for name in names if name not in below for n in (name, *of[name])]


def _row(metric: str, split: str, cells: Sequence[Mapping[str, float]]) -> Row:
    control = next((text for suffix, text in CONTROLS.items() if metric.endswith(suffix)), "")
    # A control is measured against the chance line of what it controls.
    plain = metric
    for suffix in CONTROLS:
        plain = plain.removesuffix(suffix)
    references = []
    for suffix, text in ({} if metric.endswith(tuple(LOST)) else REFERENCES).items():
        lines = [cell[plain + suffix] for cell in cells if plain + suffix in cell]
        if lines:
            references.append((text, lines[0]))
    if len(references) > 1:  # the chance line is then the best of the named ones
        references = [pair for pair in references if pair[0] != "chance"]
    return Row(metric, control, split, tuple(references), tuple(c.get(metric) for c in cells))


def _best_of(run: str, columns: Sequence[Column], row: Row) -> tuple[str, float] | None:
    """(extractor, value) of a run's own embedding, or of its best where it has no own."""
    given = {
        column.extractor: value
        for column, value in zip(columns, row.values, strict=True)
        if column.run == run and value is not None and math.isfinite(value)
    }
    if not given:
        return None
    extractor = "" if "" in given else max(given, key=lambda name: given[name])
    return extractor, given[extractor]
