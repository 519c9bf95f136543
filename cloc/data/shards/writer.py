"""Writing shard sets of schema `cloc-regions/1`: tars, an index each, and the manifest.

No torch here: data preparation and the loader both stand on this file.
"""

import hashlib
import io
import json
import shutil
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from cloc.data.samples.record import SCHEMA, Record, to_bytes
from cloc.data.shards.manifest import MANIFEST
from cloc.errors import UserError


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
    counts: Counter[str] = Counter(regions=0, captions=0)
    shards = [
        write_shard(chunk, partial / f"{name}-{number:06d}.tar")
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
        counts["captions"] += len(record.captions)
        yield record


def write_shard(records: Iterable[Record], path: Path) -> dict[str, Any]:
    """One tar and its index, in place; returns its entry of the manifest."""
    offsets, seen = [], set[str]()
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for record in records:
            _check_key(record.key, seen)
            offsets.append(tar.offset)
            _add(tar, f"{record.key}.{record.extension}", record.image)
            _add(tar, f"{record.key}.json", to_bytes(record, f"sample {record.key!r}"))
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
    if any(letter < " " or letter == "\x7f" for letter in key):
        raise UserError(f"sample key {key!r} holds a control character; rename the sample")
    if key in seen:
        raise UserError(f"sample key {key!r} occurs twice in one shard; make the keys unique")
    seen.add(key)


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)  # time, owner and group stay 0: equal content gives equal bytes
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))
