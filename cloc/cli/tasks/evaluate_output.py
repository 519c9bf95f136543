"""What `evaluate` leaves in its folder: the figures, what stands beside them, and the vectors."""

import os
from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import torch
from omegaconf import DictConfig

from cloc import dist
from cloc.cli.config.compose import plain
from cloc.errors import UserError
from cloc.eval.detail import Circumstances, detail_of, write
from cloc.eval.encoders.digest import of_code
from cloc.eval.encoders.encoder import Encoder
from cloc.eval.features import Features
from cloc.eval.runner import DEFAULT_SPLIT
from cloc.frame import hidden
from cloc.interfaces import Split
from cloc.training.origin import device_name, git_commit


def refuse_place(folder: Path) -> None:
    """`UserError` where nothing can be written, before hours of work; nothing is made there."""
    place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not place.is_dir() or not os.access(place, os.W_OK):
        kind = "cannot be written to" if place.is_dir() else "is no folder"
        raise UserError(f"out={folder}: {place} {kind}; give another")


def features_at(cfg: DictConfig, encoder: Encoder, folder: Path, extractor: str) -> Features | None:
    """On disk, where it is known which weights these are; the first rank's alone. Of this version
    of the code: vectors of another stay there and are not read."""
    if not cfg.features or not encoder.digest or dist.rank():
        return None
    digest = quote(encoder.digest, safe="")  # a person's own is any text: it may name no folder
    name = f"{digest}-{extractor or 'own'}-{of_code()}.sqlite"
    return Features(folder / "features" / name)


def write_figures(
    cfg: DictConfig,
    encoder: Encoder,
    results: Mapping[str, Mapping[str, float]],
    folder: Path,
    splits: Sequence[Split],
    *,
    own_data: Collection[str],
    seconds: float,
) -> None:
    """`metrics.json`, `metrics_detail.json` and `cases.npz`; of every split also how much of its
    boxes the encoder's frame cuts off. Benchmarks named in `own_data` are of no split."""
    partial = "" if cfg.limit is None else f"limit={cfg.limit}, not all of the data"
    provenance = {
        "cloc": version("cloc-pretrain"),
        "commit": git_commit(),
        "torch": torch.__version__,
        "device": device_name(torch.device(cfg.device)),
        "seconds": round(seconds, 1),
    }
    about = Circumstances(encoder.name, encoder.frame, encoder.digest, partial, provenance)
    given, details = plain(cfg.splits), {}
    cut = {split.name: cut_boxes(encoder, split) for split in splits}
    whole = {s.name for s in splits if cfg.limit is None or len(s.examples) < cfg.limit}
    for key, values in results.items():
        benchmark, _, name = key.partition("/")
        name, of, more = name or DEFAULT_SPLIT, about, {}
        if benchmark.partition("@")[0] not in own_data:
            more = {"data": given.get(name), "boxes": cut[name]}
            of = about._replace(partial="") if name in whole else about
        details[key] = detail_of(key, values, of, more)
    write(folder, results, details)


def cut_boxes(encoder: Encoder, split: Split) -> dict[str, Any]:
    """How many boxes there are, how many the frame cuts, and how many it does not show at all."""
    boxed = [e for e in split.examples if len(e.boxes)]
    if encoder.framing is None or encoder.framing.geometry != "crop":
        return {"count": sum(len(e.boxes) for e in boxed), "cut": 0, "unseen": 0}
    shares = [
        hidden(e.boxes, e.size, encoder.framing.place(*e.size)) for e in boxed if e.size is not None
    ]
    share = np.concatenate([*shares, np.zeros(0)])
    unseen = int((share > 1 - 1e-6).sum())
    return {"count": len(share), "cut": int((share > 1e-6).sum()), "unseen": unseen}
