"""Shard sets of schema `cloc-regions/1`: writing tars with index and manifest, and finding them.

No torch here: data preparation and the loader both stand on this file.
"""

import glob
import hashlib
import io
import json
import shutil
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from braceexpand import braceexpand

from cloc.data.record import SCHEMA, Record, to_json
from cloc.errors import UserError

MANIFEST = "manifest.json"


def write_shards(
    records: Iterable[Record],
    folder: Path,
    *,
    samples_per_shard: int,
    name: str = "shard",
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Tars, one index per tar and the manifest, which is returned; `extra` joins the manifest.

    Equal records give equal bytes. Everything is written beside `folder` and renamed at the end, so
    that an interrupted run leaves nothing under the final name. An index `NAME-000000.idx` holds
    little-endian uint64 byte offsets: where each sample begins, and where the last one ends.
    """
    refuse_existing(folder)
    if samples_per_shard < 1:
        raise UserError(f"samples_per_shard={samples_per_shard}: at least 1 is needed")
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)  # what an interrupted run left
    partial.mkdir(parents=True)
    counts: Counter[str] = Counter(regions=0)
    shards = [
        _write_shard(chunk, partial / f"{name}-{number:06d}.tar")
        for number, chunk in enumerate(_chunks(_counted(records, counts), samples_per_shard))
    ]
    if not shards:
        partial.rmdir()
        raise UserError(f"there is no sample to write to {folder}; check the input's settings")
    total = sum(shard["samples"] for shard in shards)
    manifest = {"schema": SCHEMA, "shards": shards, "samples": total, **counts, **(extra or {})}
    text = json.dumps(manifest, ensure_ascii=False, indent=1)
    (partial / MANIFEST).write_text(text + "\n", encoding="utf-8")
    if folder.exists():
        folder.rmdir()  # empty, as checked above
    partial.rename(folder)
    return manifest


def refuse_existing(folder: Path) -> None:
    """A target that holds anything raises `UserError`."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} exists and is not empty; remove it or choose another out=")


def _chunks(records: Iterator[Record], size: int) -> Iterator[Iterator[Record]]:
    """Runs of `size` records, each to be read to its end before the next; none is empty."""
    for first in records:
        yield chain([first], islice(records, size - 1))


def _counted(records: Iterable[Record], counts: Counter[str]) -> Iterator[Record]:
    for record in records:
        counts["regions"] += len(record.regions)
        yield record


def _write_shard(records: Iterable[Record], path: Path) -> dict[str, Any]:
    offsets, seen = [], set[str]()
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for record in records:
            _check_key(record.key, seen)
            offsets.append(tar.offset)
            _add(tar, f"{record.key}.{record.extension}", record.image)
            text = json.dumps(to_json(record), ensure_ascii=False, separators=(",", ":"))
            _add(tar, f"{record.key}.json", text.encode())
        offsets.append(tar.offset)
    np.array(offsets, "<u8").tofile(path.with_suffix(".idx"))
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    size = path.stat().st_size
    return {"name": path.name, "samples": len(offsets) - 1, "bytes": size, "sha256": digest}


def _check_key(key: str, seen: set[str]) -> None:
    if not key or "." in key:
        raise UserError(
            f"sample key {key!r}: a key must not be empty or hold a dot, because a reader cuts "
            "member names at the first dot; rename the sample"
        )
    if key in seen:
        raise UserError(f"sample key {key!r} occurs twice in one shard; make the keys unique")
    seen.add(key)


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)  # time, owner and group stay 0: equal content gives equal bytes
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a shard folder; `UserError` where there is none or it is another schema."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        cure = "write the shards with scripts/prepare.py, or name a folder that holds a manifest"
        raise UserError(f"{path} cannot be read; {cure}") from None
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error}); write the shards again") from None
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        given = manifest.get("schema") if isinstance(manifest, dict) else type(manifest).__name__
        raise UserError(f"{path}: schema {given!r}, expected {SCHEMA!r}; write the shards again")
    shards = manifest.get("shards")
    named = isinstance(shards, list) and all(isinstance(s, dict) and "name" in s for s in shards)
    if not shards or not named:
        raise UserError(f"{path} names no shards; write the shards again")
    return manifest


def expand_shards(spec: str | Path | Sequence[str], *, key: str) -> list[str]:
    """Paths of existing tars, in order, from a setting named `key` (for messages).

    A folder stands for the shards of its manifest; `*`, `?`, `[..]` and `{000..009}` are patterns;
    a `.txt` file lists folders and patterns, one per line, relative to its own folder; a list is
    one after another. What is missing or finds nothing raises `UserError`, as does `pipe:`.
    """
    if not isinstance(spec, (str, Path)):
        if not spec:
            raise UserError(f"{key} is an empty list; name a shard folder, a glob or a list file")
        return [path for part in spec for path in expand_shards(part, key=key)]
    text = str(spec)
    if text.endswith(".txt"):
        return _in_list_file(Path(text), key)
    return _in_folder_or_pattern(text, Path(), key)


def _in_list_file(path: Path, key: str) -> list[str]:
    if not path.is_file():
        raise UserError(f"{key}={path}: there is no such list file; set {key} to one that exists")
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    specs = [line for line in lines if line and not line.startswith("#")]
    if not specs:
        raise UserError(f"{key}={path}: the list file is empty; write one shard or folder per line")
    return [found for line in specs for found in _in_folder_or_pattern(line, path.parent, key)]


def _in_folder_or_pattern(text: str, base: Path, key: str) -> list[str]:
    if text.startswith("pipe:") or "://" in text:
        raise UserError(f"{key}: {text} is not a file; copy or mount the shards and name them")
    place = base / text
    if place.is_dir():
        return _in_manifest(place, key)
    return [str(place)] if place.is_file() else _in_pattern(str(place), key)


def _in_manifest(folder: Path, key: str) -> list[str]:
    paths = [folder / shard["name"] for shard in read_manifest(folder)["shards"]]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise UserError(
            f"{missing[0]} is in the manifest but not on disk ({len(missing)} of {len(paths)} "
            f"missing); write the shards again or set {key} to a complete folder"
        )
    return [str(path) for path in paths]


def _in_pattern(text: str, key: str) -> list[str]:
    try:
        patterns = list(braceexpand(text))
    except ValueError:  # unbalanced braces
        raise UserError(f"{key}={text}: braces do not match; write it as {{000..009}}") from None
    found: list[str] = []
    for pattern in patterns:
        matches = sorted(glob.glob(pattern))  # without magic: itself, if it exists
        if not matches or not all(Path(match).is_file() for match in matches):
            raise UserError(
                f"{key}={text}: no shard at {pattern}; set {key} to a shard folder, a glob or a "
                "list file that exists"
            )
        found += matches
    return found
