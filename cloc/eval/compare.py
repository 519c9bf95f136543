"""Results of several encoders side by side: one protocol on the same data, or another column."""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cloc.data.samples.json_files import read_mapping
from cloc.errors import UserError
from cloc.eval.detail import DETAIL, METRICS, read_cases
from cloc.eval.intervals import Interval, difference
from cloc.eval.measured import Cases

OPTIONS = ("templates", "negatives", "heat_map", "pairs", "size")  # of `about`: what was asked
SHORT = 40  # characters of an option


class Result(NamedTuple):
    """What one evaluation left in its folder."""

    name: str
    details: Mapping[str, Mapping[str, Any]]  # `metrics_detail.json`
    cases: Mapping[tuple[str, str], Cases]


class Column(NamedTuple):
    """One figure of one protocol: only what is equal in all of these may stand side by side."""

    key: str  # benchmark[@extractor][/split]
    metric: str
    data: str  # what they are called
    partial: str
    protocol: str  # options of the benchmark that change what is measured

    @property
    def more(self) -> str:
        """What tells it from another column of the same name."""
        return ", ".join(text for text in (self.protocol, self.data, self.partial) if text)


class Cell(NamedTuple):
    """A figure, and how far it is from the first result's on the cases that both have."""

    value: float
    interval: Interval | None
    chance: float | None
    frame: str
    apart: float | None = None  # None: nothing to compare with
    apart_interval: Interval | None = None

    @property
    def is_clear(self) -> bool:
        """Whether 0 lies outside of the interval of the difference."""
        found = self.apart_interval
        return found is not None and not found.low <= 0 <= found.high


def read_result(folder: Path) -> Result:
    """`UserError` where nobody measured, or by a version that kept the figures alone."""
    if not (folder / DETAIL).is_file():
        why = "it is of before these were kept" if (folder / METRICS).is_file() else "not measured"
        raise UserError(
            f"{folder} has no {DETAIL} ({why}); cloc-pretrain evaluate writes it, of a run or with "
            f"out={folder}"
        )
    cure = f"measure {folder} again"
    details = read_mapping(folder / DETAIL, needs=(), cure=cure)
    if wrong := [key for key, detail in details.items() if not _is_whole(detail)]:
        raise UserError(f"{folder / DETAIL}: {wrong[0]} has no figures; {cure}")
    return Result(str(folder), details, read_cases(folder))


def _is_whole(detail: Any) -> bool:
    """As `cloc.eval.detail.detail_of` makes it, as far as it is read here."""
    metrics = detail.get("metrics") if isinstance(detail, dict) else None
    if not isinstance(metrics, dict) or not isinstance(detail.get("about", {}), dict):
        return False
    return all(
        isinstance(figure, dict) and isinstance(figure.get("value"), int | float)
        for figure in metrics.values()
    )


def table_of(results: Sequence[Result]) -> dict[Column, list[Cell | None]]:
    """Column -> a cell for each result; None where it has no such figure. Data are the same where
    their digests are, whatever they are called; of results of before digests were kept, where the
    name is, unless they kept their cases and have none in common."""
    found: dict[Column, list[Cell | None]] = {}
    known: dict[Column, list[tuple[str, _Data]]] = {}
    for place, result in enumerate(results):
        for key, detail in result.details.items():
            about = _column(key, "", detail)
            data = _called(_data_of(result, key), result, known.setdefault(about, []))
            for metric, figure in detail["metrics"].items():
                column = about._replace(metric=metric, data=data)
                cells = found.setdefault(column, [None] * len(results))
                cells[place] = _cell(result, key, metric, detail, figure)
    for column, cells in found.items():
        for place in range(1, len(results)):
            cells[place] = _compared(column, results, cells, place)
    return found


def labels(columns: Iterable[Column]) -> list[str]:
    """`key metric`, and more where two would be alike."""
    every = list(columns)
    names = Counter((column.key, column.metric) for column in every)
    return [
        f"{column.key} {column.metric}"
        + (f" ({column.more})" if names[column.key, column.metric] > 1 else "")
        for column in every
    ]


def _column(key: str, metric: str, detail: Mapping[str, Any]) -> Column:
    about = detail.get("about", {})
    options = [f"{name} {_short(about[name])}" for name in OPTIONS if name in about]
    return Column(
        key,
        metric,
        data="",
        partial=str(detail.get("partial", "")),
        protocol=", ".join([*([str(about["protocol"])] if "protocol" in about else []), *options]),
    )


class _Data(NamedTuple):
    name: str
    digest: str  # "" of before it was kept
    cases: set[str]

    def is_of(self, other: "_Data") -> bool:
        if self.digest and other.digest:
            return self.digest == other.digest
        apart = self.cases and other.cases and self.cases.isdisjoint(other.cases)
        return self.name == other.name and not apart


def _data_of(result: Result, key: str) -> _Data:
    detail = result.details[key]
    cases = {n for (of, _), cases in result.cases.items() if of == key for n in cases.names}
    digest = detail.get("about", {}).get("data_digest", "")
    return _Data(str(detail.get("data") or ""), str(digest), cases)


def _called(data: _Data, result: Result, known: list[tuple[str, _Data]]) -> str:
    """What the data are called: as in `known`, where these are there."""
    for name, other in known:
        if data.is_of(other):
            return name
    name = data.name
    if name in [taken for taken, _ in known]:
        name = f"{name or 'data'} of {result.name}"
    known.append((name, data))
    return name


def _short(option: Any) -> str:
    """Of a long one, such as eighty templates, the beginning and what tells it from any other."""
    text = option if isinstance(option, str) else json.dumps(option)
    told = hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
    return text if len(text) <= SHORT else f"{text[:SHORT]}... ({told})"


def _cell(
    result: Result, key: str, metric: str, detail: Mapping[str, Any], figure: Mapping[str, Any]
) -> Cell:
    ends = (figure.get("low"), figure.get("high"))
    return Cell(
        value=float(figure["value"]),
        interval=None if None in ends else Interval(*ends),  # type: ignore[arg-type]
        chance=figure.get("chance"),
        frame=str(detail.get("frame", "")),
    )


def _compared(
    column: Column, results: Sequence[Result], cells: Sequence[Cell | None], place: int
) -> Cell | None:
    first, own = cells[0], cells[place]
    if first is None or own is None:
        return own
    name = (column.key, column.metric)
    ours, theirs = results[place].cases.get(name), results[0].cases.get(name)
    if ours is None or theirs is None:
        return own._replace(apart=own.value - first.value)
    apart, interval, count = difference(ours, theirs)
    if not count or math.isnan(apart):
        return own._replace(apart=own.value - first.value)
    return own._replace(apart=apart, apart_interval=interval)
