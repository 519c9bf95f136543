"""Finding shards: a folder, a glob, a list file, a URL; how many samples each one holds.

No torch here: data preparation and the loader both stand on this file.
"""

import hashlib
import os
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from braceexpand import braceexpand

from cloc.data.samples.tar_cures import refuse_name
from cloc.data.samples.text import decode, lines
from cloc.data.shards.index_places import Indexes
from cloc.data.shards.manifest import MANIFEST, parse_manifest, read_bytes
from cloc.data.shards.packed_names import Names
from cloc.data.shards.patterns import find
from cloc.data.shards.plain_folder import tars_in
from cloc.data.shards.remote import check_url, fetch, is_remote
from cloc.data.shards.skip_lists import SHARDS, Gaps, Listed, ShardNames, whole_list
from cloc.errors import UserError

NO_SHARDS = ShardNames()
NO_GAPS = Gaps(NO_SHARDS, ())


@dataclass(frozen=True, slots=True)
class ShardSet:
    """Shards in the order of the setting that named them."""

    paths: Names
    counts: np.ndarray  # int64 [n], samples of each; 0 is allowed
    digest: str  # of what the shards are, not of where they lie: a set that was moved is the same
    index_folder: str | None = None  # of shards without an index beside them
    skipped: frozenset[int] = frozenset()  # numbers of those that are never opened

    @property
    def total(self) -> int:
        """Samples of all shards."""
        return int(self.counts.sum())


Record = list[list[Listed]]  # of each part of a set; of a part with a manifest nothing


def open_shards(
    spec: str | Path | Sequence[str], *, key: str, index_folder: str | None = None
) -> ShardSet:
    """The shards that `expand_shards` finds, with their counts: of the manifest where a folder is
    named, else of each shard's index. The digest is of the manifest, else of file names, counts
    and sizes. An index that is missing is made and kept in `index_folder`. A set without any sample
    raises `UserError`."""
    return open_recorded(spec, key=key, index_folder=index_folder)[0]


def open_recorded(
    spec: str | Path | Sequence[str],
    *,
    key: str,
    index_folder: str | None = None,
    skip: ShardNames = NO_SHARDS,
    before: Record | None = None,
) -> tuple[ShardSet, Record]:
    """`open_shards` of a set of which some shards are skipped, and what of it stands in no
    manifest. With that as `before` a skipped shard that was deleted or broken since still has its
    places, and the set its digest; see `whole_list`."""
    names, counts, digest, record = Names(), array("q"), hashlib.sha256(), Record()
    indexes = Indexes(index_folder, key)
    for number, (text, base) in enumerate(_parts(spec, key)):
        old = before[number] if before and number < len(before) else []
        paths, samples, said = _found(text, base, key, Gaps(skip, old))
        listed: list[Listed] = []
        if samples is None:
            indexes.make(path for path in paths if not skip(path))
            listed = whole_list(paths, skip, old, indexes.measured)
            paths, samples, sizes = map(list, zip(*listed, strict=True))
            files = [path.rpartition("/")[2] for path in paths]
            said = repr((files, tuple(samples), tuple(sizes))).encode("utf-8", "backslashreplace")
        names.add(paths)
        counts.extend(samples)
        digest.update(hashlib.sha256(said).digest())
        record.append(listed)
    skipped = (i for i in range(len(names) if skip.by_name else 0) if skip(names[i]))
    held = np.array(counts, np.int64)
    shards = ShardSet(names, held, digest.hexdigest(), index_folder, frozenset(skipped))
    if shards.total == sum(held[i] for i in shards.skipped):
        but = f" but those of {SHARDS}" if shards.skipped else "; write the shards again"
        raise UserError(f"{key}={spec}: no samples in {len(names)} shards{but}")
    return shards, record


def expand_shards(spec: str | Path | Sequence[str], *, key: str) -> list[str]:
    """Paths of existing tars, in order, from a setting named `key` (for messages).

    A folder stands for the shards of its manifest, or without one for its tars; `*`, `?`, `[..]`
    and `{000..009}` are patterns; a `.txt` file lists folders and patterns, one per line, relative
    to its own folder; a list is one after another. All of it may be behind an fsspec URL, with
    braces as the only pattern. What is missing or finds nothing raises `UserError`, as does
    `pipe:`.
    """
    return [path for part in _parts(spec, key) for path in _found(*part, key, NO_GAPS).paths]


class _Part(NamedTuple):
    """Some shards; what their manifest says of them where they have one."""

    paths: list[str]
    samples: Sequence[int] | None = None
    manifest: bytes = b""


def _parts(spec: str | Path | Sequence[str], key: str) -> Iterator[tuple[str, Path]]:
    """Folders and patterns, and what they are relative to."""
    if not isinstance(spec, str | Path):
        if not spec:
            raise UserError(f"{key} is an empty list; name a shard folder, a glob or a list file")
        for part in spec:
            yield from _parts(part, key)
    elif str(spec).endswith(".txt") and not Path(spec).is_dir():
        path = Path(spec)
        yield from ((line, path.parent) for line in _lines(path, key))
    else:
        yield str(spec), Path()


def _lines(path: Path, key: str) -> list[str]:
    if not path.is_file():
        raise UserError(f"{key}={path}: there is no such list file; set {key} to one that exists")
    try:
        given = [line.strip(" \t") for line in lines(decode(path.read_bytes()))]
    except ValueError as error:
        raise UserError(f"{key}={path} is not text in UTF-8 ({error}); save it as UTF-8") from None
    specs = [line for line in given if line and not line.startswith("#")]
    if not specs:
        raise UserError(f"{key}={path}: the list file is empty; write one shard or folder per line")
    return specs


def _found(text: str, base: Path, key: str, gaps: Gaps) -> _Part:
    if is_remote(text):
        check_url(text, key)
        return _behind_url(text, key)
    if text.startswith("pipe:") or "::" in text:
        raise UserError(f"{key}: {text} is not a file; name the shards themselves")
    place = base / text
    if place.is_dir():
        return _in_folder(place, key, gaps)
    found = [str(place)] if place.is_file() else _in_pattern(str(place), key, gaps)
    return _Part(_checked(found, key))


def _in_folder(folder: Path, key: str, gaps: Gaps) -> _Part:
    if not os.path.lexists(folder / MANIFEST):
        return _Part(_tars_in(folder, key, gaps))
    part, names = _of_manifest(read_bytes(folder), str(folder))
    present = set(os.listdir(folder))
    missing = [n for n in names if n not in present and not gaps.skip(f"{folder}/{n}")]
    if missing:
        raise UserError(
            f"{folder / missing[0]} is in the manifest but not on disk ({len(missing)} of "
            f"{len(names)} missing); write the shards again or set {key} to a complete folder"
            f"{gaps.cure(f'{folder / missing[0]}', key)}"
        )
    return part


def _tars_in(folder: Path, key: str, gaps: Gaps) -> list[str]:
    """Without a manifest."""
    is_bare = not any(name.lower().endswith(".tar") for name in os.listdir(folder))
    if is_bare and gaps.hold(f"{folder}/*"):
        return []
    try:
        return tars_in(folder, key)
    except UserError as error:
        if not is_bare:
            raise
        raise UserError(f"{error}{gaps.cure(str(folder), key)}") from None


def _of_manifest(data: bytes, folder: str) -> tuple[_Part, list[str]]:
    """The shards of the manifest of a folder, and their names."""
    entries = parse_manifest(data, f"{folder}/{MANIFEST}")["shards"]
    names = [entry["name"] for entry in entries]
    samples = [entry["samples"] for entry in entries]
    return _Part([f"{folder}/{name}" for name in names], samples, data), names


def _behind_url(text: str, key: str) -> _Part:
    """A folder's manifest, or tars; only braces are a pattern: not every store can list files."""
    _checked([text], key)
    if not text.endswith(".tar"):
        folder = text.rstrip("/")
        try:
            manifest = fetch(f"{folder}/{MANIFEST}")
        except UserError as error:
            cure = f"name the tars of a set without a manifest: {folder}/{{00000..00099}}.tar"
            raise UserError(f"{error}, or {cure}") from None
        return _of_manifest(manifest, folder)[0]
    return _Part(_expanded(text, key))


def _checked(paths: list[str], key: str) -> list[str]:
    """Those that no manifest names; `UserError` for what its name gives away."""
    for why in filter(None, map(refuse_name, paths)):
        raise UserError(f"{key}: {why}")
    return paths


def _in_pattern(text: str, key: str, gaps: Gaps) -> list[str]:
    found: list[str] = []
    for pattern in _expanded(text, key):
        matches = find(pattern)
        if not matches and gaps.skip(pattern):
            matches = [pattern]
        elif not matches and gaps.hold(pattern):
            continue
        elif not matches or not all(Path(match).is_file() for match in matches):
            raise UserError(
                f"{key}={text}: no shard at {pattern}; set {key} to a shard folder, a glob or a "
                f"list file that exists{gaps.cure(pattern, key)}"
            )
        found += matches
    return found


def _expanded(text: str, key: str) -> list[str]:
    try:
        return list(braceexpand(text))
    except ValueError:  # unbalanced braces
        raise UserError(f"{key}={text}: braces do not match; write it as {{000..009}}") from None
