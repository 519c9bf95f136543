"""What stands beside every figure: `metrics_detail.json`, and the cases of `cases.npz`."""

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
import torch

from cloc.errors import UserError
from cloc.eval.intervals import interval
from cloc.eval.measured import Cases, Measured

METRICS, DETAIL, CASES = "metrics.json", "metrics_detail.json", "cases.npz"


class Circumstances(NamedTuple):
    """What all figures of an evaluation share."""

    encoder: str
    frame: str  # how the encoder sees a picture
    digest: str  # of its weights and preprocessing; "" where nobody can say
    partial: str  # "" or why the figures are of a part of the data
    provenance: Mapping[str, Any]


def detail_of(
    key: str, values: Mapping[str, float], about: Circumstances, more: Mapping[str, Any]
) -> dict[str, Any]:
    """Of one benchmark on one split through one extractor, as `metrics.json` names it."""
    name, _, split = key.partition("/")
    protocol, _, extractor = name.partition("@")
    figures = values.figures if isinstance(values, Measured) else None
    cases = {} if figures is None else figures.cases
    lines = [metric for metric in values if metric.endswith("_chance")]
    metrics = {}
    for metric, value in values.items():
        if metric in lines:
            continue
        found: dict[str, Any] = {"value": value, "chance": values.get(f"{metric}_chance")}
        if metric in cases and len(cases[metric].values):
            low, high = interval(cases[metric])
            found |= {"cases": len(cases[metric].values), "low": low, "high": high}
        metrics[metric] = found
    return {
        "protocol": protocol,
        "extractor": extractor or "own",
        "split": split,
        "encoder": about.encoder,
        "frame": about.frame,
        "digest": about.digest,
        "partial": about.partial,
        **more,
        **({} if figures is None else {"about": dict(figures.about)}),
        "metrics": metrics,
        "provenance": dict(about.provenance),
    }


def write(
    folder: Path, results: Mapping[str, Mapping[str, float]], details: Mapping[str, Any]
) -> None:
    """All three files, staged before the first is renamed: a reader never meets half of one, nor
    new ones beside old where there was no room. `UserError` where they cannot be written."""
    arrays: dict[str, np.ndarray] = {}
    for key, values in results.items():
        if isinstance(values, Measured):
            for metric, cases in values.figures.cases.items():
                arrays |= _arrays(f"{key}|{metric}", cases)
    staged = {name: folder / f"{name}.partial" for name in (CASES, DETAIL, METRICS)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with staged[CASES].open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
        for name, content in ((DETAIL, details), (METRICS, results)):
            staged[name].write_text(json.dumps(content, indent=2) + "\n")
        for name, path in staged.items():
            path.replace(folder / name)
    except OSError as error:
        for path in staged.values():
            path.unlink(missing_ok=True)
        said = f"{folder}: the figures cannot be written ({error.strerror})"
        raise UserError(f"{said}; make room there, or give another out=") from error


def _arrays(key: str, cases: Cases) -> dict[str, np.ndarray]:
    found = {
        f"{key}|values": cases.values.float().numpy(),
        f"{key}|names": np.array(list(cases.names), dtype=np.str_),
    }
    if cases.classes is not None:
        found[f"{key}|classes"] = cases.classes.numpy()
    return found


def read_cases(folder: Path) -> dict[tuple[str, str], Cases]:
    """(benchmark key, metric) -> cases; {} where an evaluation of before wrote none."""
    path = folder / CASES
    if not path.is_file():
        return {}
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
            arrays = {name: found[name] for name in found.files}
    except (OSError, ValueError, TypeError, KeyError, EOFError, BadZipFile, zlib.error):
        raise UserError(f"{path} is damaged, or no file of cases; measure {folder} again") from None
    cases = {}
    for name, array in arrays.items():
        key, metric, kind = name.rsplit("|", 2)
        if kind == "values":
            classes = arrays.get(f"{key}|{metric}|classes")
            cases[key, metric] = Cases(
                values=torch.from_numpy(array).double(),
                names=arrays[f"{key}|{metric}|names"].tolist(),
                classes=None if classes is None else torch.from_numpy(classes),
            )
    return cases
