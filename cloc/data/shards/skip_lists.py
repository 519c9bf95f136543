"""What a run leaves out although its shards hold it: two list files, one of shards, one of keys.

No torch here: data preparation and the loader both stand on this file.
"""

import glob
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from cloc.data.samples.text import decode, lines
from cloc.data.shards.remote import is_remote
from cloc.errors import UserError

SHARDS, KEYS = "data.skip_shards", "data.skip_keys"  # the config keys
BEHIND = "::"  # stands between a shard and a key, as in our messages
PLACE = "#"  # SHARD::#3 is the sample at place 3 of those of the shard, the first being 0


class Listed(NamedTuple):
    """A shard of a set without a manifest, as it was found when the run began."""

    path: str
    samples: int
    bytes: int


class ShardNames:
    """Shards by their paths or the ends of these: `shard-000012.tar`, `val/shard-000012.tar`."""

    def __init__(self, entries: Iterable[str] = ()) -> None:
        self.by_name: dict[str, list[str]] = {}
        for entry in entries:
            self.by_name.setdefault(_name(entry), []).append(entry)

    def __call__(self, path: str) -> list[str]:
        """The entries that name the shard at `path`."""
        found = self.by_name.get(_name(path), ())
        return [entry for entry in found if _is_end(entry, path)] if found else []


def _is_end(entry: str, path: str) -> bool:
    """Folder by folder; a path that begins at the root or with `..` is the whole one."""
    if is_remote(entry) or is_remote(path):
        ours, theirs = entry, path
    else:
        theirs = os.path.abspath(path)
        ours = os.path.abspath(entry) if entry.startswith("..") else os.path.normpath(entry)
    return f"/{theirs}".endswith(f"/{ours}")


class Skips:
    """Entries of the list files that `data.skip_shards` and `data.skip_keys` name; None: no list.

    A line is an entry; blank lines and those that begin with `#` are none. A key may stand alone or
    behind its shard, `SHARD::KEY`, as messages have it. `SHARD::#3` is the sample at that place,
    also where its key cannot be read.
    """

    def __init__(self, shards: Any = None, keys: Any = None) -> None:
        self.files = {SHARDS: shards, KEYS: keys}
        self.shards = ShardNames(read_list(shards, key=SHARDS))
        self.entries = frozenset(read_list(keys, key=KEYS))
        self.of_shards: dict[str, set[str]] = {}  # shard as written -> keys
        self.keys: set[str] = set()
        for entry in self.entries:
            shard, found, key = entry.partition(f".tar{BEHIND}")
            if found:
                self.of_shards.setdefault(f"{shard}.tar", set()).add(key)
            else:
                self.keys.add(entry)
        self.names = ShardNames(self.of_shards)

    def entry(self, path: str, key: str) -> str | None:
        """The entry that takes the sample out by its key; None where it stays."""
        if key in self.keys:
            return key
        return None if _is_place(key) else self._behind(path, key)

    def at(self, path: str, index: int) -> str | None:
        """The same by its place in the shard."""
        return self._behind(path, f"{PLACE}{index}")

    def _behind(self, path: str, key: str) -> str | None:
        for shard in self.names(path) if self.of_shards else ():
            if key in self.of_shards[shard]:
                return f"{shard}{BEHIND}{key}"
        return None

    def check(self, paths: Iterable[str]) -> list[str]:
        """A line for each list whose entries name no shard of all those at `paths`. One that names
        several raises `UserError`: which of them was meant?"""
        both = ((SHARDS, self.shards), (KEYS, self.names))
        lists = [(key, names) for key, names in both if names.by_name]
        met: dict[str, dict[str, str]] = {key: {} for key, _ in lists}  # entry -> the shard
        for path in paths if lists else ():
            for key, names in lists:
                for entry in names(path):
                    other = met[key].setdefault(entry, path)
                    if other != path:
                        raise UserError(
                            f"{key}={self.files[key]}: {entry} names {other} and {path}; write "
                            "more of the path"
                        )
        told = []
        for key, names in lists:
            unmet = {e for entries in names.by_name.values() for e in entries} - met[key].keys()
            if unmet:
                told.append(f"{key}={self.files[key]}: no shard is {_some(unmet)}")
        return told

    def unmet(self, met: Collection[str]) -> str:
        """A line about keys that no sample had, where `met` are the entries that one had; ""."""
        left = self.entries - set(met)
        return f"{KEYS}={self.files[KEYS]}: no sample is {_some(left)}" if left else ""


def _is_place(key: str) -> bool:
    return key.startswith(PLACE) and key[1:].isdecimal()


def read_list(path: Any, *, key: str) -> list[str]:
    """The entries of a list file, in order and once each; `path` is what `key` is set to."""
    if path is None:
        return []
    if not isinstance(path, str | Path):
        raise UserError(f"{key}={path}: give the name of a file with one entry per line")
    try:
        entries = [line.strip(" \t") for line in lines(decode(Path(path).read_bytes()))]
    except OSError as error:
        raise UserError(f"{key}={path} cannot be read ({error.strerror}); name a file") from None
    except ValueError as error:
        raise UserError(f"{key}={path} is not text in UTF-8 ({error}); write it again") from None
    return list(dict.fromkeys(entry for entry in entries if entry and not entry.startswith("#")))


def _some(entries: Collection[str]) -> str:
    """The first three in order, and how many more."""
    more = f" and {len(entries) - 3} more" if len(entries) > 3 else ""
    return f"{', '.join(sorted(entries)[:3])}{more}"


class Gaps(NamedTuple):
    """What need not be there of a part of a set."""

    skip: ShardNames
    before: Sequence[Listed]  # its shards when the run began, where that is known

    def hold(self, pattern: str) -> bool:
        """Whether all that `pattern` found then is skipped."""
        paths = [path for path, *_ in self.before]
        found = [path for path in paths if PurePath(path).match(pattern)] or paths
        return bool(found) and all(map(self.skip, found))

    def cure(self, pattern: str, key: str) -> str:
        """Ends the message that nothing is at `pattern`; "" where no list would help."""
        is_shard = pattern.endswith(".tar") and not glob.has_magic(pattern)
        helps = key.startswith("data.") and (is_shard or self.before)
        return f", or list in {SHARDS}=FILE what to go on without" if helps else ""


def whole_list(
    paths: Sequence[str],
    skipped: ShardNames,
    before: Sequence[Listed],
    measure: Callable[[str], tuple[int, int]],
) -> list[Listed]:
    """Every shard of a part of a set that has no manifest, with its samples and bytes.

    What is skipped need not be whole or there at all: it counts, in its old place, as it did in
    `before`, when the run began, so that the places of all others stay what they were. Where that
    is not known it counts as its index says, or else as empty. Shards of one name are told apart by
    their folders; those above all of them may be others than before, where the set was moved.
    """
    places = _places(paths, before)
    known, found, left = set(places), [], list(reversed(paths))
    for old, place in zip(before, places, strict=True):
        following = left[-1] if left else ""
        is_there = following == place or (
            following not in known and _name(following) == _name(old.path)
        )
        path = left.pop() if is_there else old.path if skipped(old.path) else place
        if skipped(path):
            found.append(old._replace(path=path))
        elif is_there:
            found.append(Listed(path, *measure(path)))
    return found + [_measured(path, skipped, measure) for path in reversed(left)]


def _places(paths: Sequence[str], before: Sequence[Listed]) -> list[str]:
    """Where the shards of `before` lie now, if the folder that holds them all was moved: of every
    one of `paths` the longest end that a single one of `before` has too says from where to where,
    and most of them are right."""
    ends: dict[str, str] = {}  # an end of a path -> the path, "" where several end so
    for path, *_ in before:
        for end in _ends(path):
            ends[end] = "" if ends.get(end, path) != path else path
    moves: Counter[tuple[str, str]] = Counter()
    for path in paths:
        end = next((end for end in _ends(path) if end in ends), "")
        if old := ends.get(end):
            moves[old.removesuffix(end), path.removesuffix(end)] += 1
    source, target = max(moves, key=moves.__getitem__) if moves else ("", "")
    return [
        target + path.removeprefix(source) if path.startswith(source) else path
        for path, *_ in before
    ]


def _ends(path: str) -> Iterator[str]:
    """`/a/b.tar`, `a/b.tar` and `b.tar` of the first; the whole path is one."""
    yield path
    at = path.find("/")
    while at >= 0:
        yield path[at + 1 :]
        at = path.find("/", at + 1)


def _measured(path: str, skipped: ShardNames, measure: Callable[[str], tuple[int, int]]) -> Listed:
    try:
        return Listed(path, *measure(path))
    except (UserError, OSError):
        if not skipped(path):
            raise
        return Listed(path, 0, 0)


def _name(path: str) -> str:
    return path.rpartition("/")[2]
