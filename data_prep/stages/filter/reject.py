"""Reasons to leave out a whole image, for `reject` of the image filter.

Such a hook is called with a record and gives a reason, or None to admit it. What has a `describe`
is named by it in the provenance, anything else by where it is defined.
"""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cloc.data.samples.record import Record
from cloc.data.samples.text import lines
from cloc.data.samples.validate import is_finite
from cloc.errors import UserError

Reject = Callable[[Record], str | None]
PHASH = "phash"  # the key of `Record.meta` that the image filter writes, 16 hexadecimal digits
KINDS = ("key", "host", "phash")


def described(hook: Reject) -> dict[str, Any]:
    """What an answer of the hook depends on, for `Stage.describe`."""
    describe = getattr(hook, "describe", None)
    if describe is not None:
        return dict(describe())
    kind = hook if isinstance(hook, type) or hasattr(hook, "__qualname__") else type(hook)
    return {"hook": f"{kind.__module__}.{kind.__qualname__}"}


class NsfwScore:
    """ "nsfw" where the number `meta[key]` is above `at_most`; "nsfw_missing" where there is none.

    `admit_missing` admits records without a score.
    """

    def __init__(
        self, *, key: str = "nsfw", at_most: float = 0.5, admit_missing: bool = False
    ) -> None:
        self.key = key
        self.at_most = at_most
        self.admit_missing = admit_missing

    def __call__(self, record: Record) -> str | None:
        score = record.meta.get(self.key)
        if not is_finite(score):
            return None if self.admit_missing else "nsfw_missing"
        return "nsfw" if score > self.at_most else None  # type: ignore[operator]

    def describe(self) -> dict[str, Any]:
        return {
            "hook": "nsfw_score",
            "key": self.key,
            "at_most": self.at_most,
            "admit_missing": self.admit_missing,
        }


class BlockList:
    """ "blocked_key", "blocked_host" or "blocked_phash" where `file` lists the record.

    The file has lines `key:KEY`, `host:example.com` (of the URL in `meta[url]`, subdomains too) and
    `phash:16 HEX DIGITS` (within `phash_distance` bits of `meta["phash"]`); "#" begins a comment.
    """

    def __init__(self, file: str | Path, *, url: str = "url", phash_distance: int = 0) -> None:
        self.url = url
        self.phash_distance = phash_distance
        found = _read(Path(file))
        self.keys, self.hosts = found["key"], found["host"]
        self.phashes = [int(digits, 16) for digits in found["phash"]]
        self.digest = hashlib.sha256(Path(file).read_bytes()).hexdigest()

    def __call__(self, record: Record) -> str | None:
        if record.key in self.keys:
            return "blocked_key"
        if self._blocks_host(record.meta.get(self.url)):
            return "blocked_host"
        return "blocked_phash" if self._blocks_phash(record.meta) else None

    def describe(self) -> dict[str, Any]:
        return {
            "hook": "block_list",
            "digest": self.digest,
            "url": self.url,
            "phash_distance": self.phash_distance,
        }

    def _blocks_host(self, url: Any) -> bool:
        if not isinstance(url, str):
            return False
        try:
            host = urlsplit(url if "//" in url else f"//{url}").hostname or ""
        except ValueError:
            return False
        labels = host.rstrip(".").split(".")
        return any(".".join(labels[i:]) in self.hosts for i in range(len(labels)))

    def _blocks_phash(self, meta: Mapping[str, Any]) -> bool:
        if not self.phashes:
            return False
        if PHASH not in meta:
            raise UserError(
                "the block list holds phash: lines, but the records have no phash; set "
                "phash_distance of the image filter"
            )
        own = int(meta[PHASH], 16)
        return any((own ^ other).bit_count() <= self.phash_distance for other in self.phashes)


def _read(file: Path) -> dict[str, set[str]]:
    try:
        given = lines(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: the block list cannot be read ({error})") from None
    found: dict[str, set[str]] = {kind: set() for kind in KINDS}
    for number, line in enumerate(given, 1):
        kind, _, value = line.partition("#")[0].strip().partition(":")
        if not kind and not value:
            continue
        value = value.strip() if kind == "key" else value.strip().lower().rstrip(".")
        if kind not in KINDS or not value or (kind == "phash" and not _is_phash(value)):
            raise UserError(
                f"{file}: line {number} is {line!r}; expected key:KEY, host:example.com or "
                "phash:16 hexadecimal digits"
            )
        found[kind].add(value)
    return found


def _is_phash(value: str) -> bool:
    return len(value) == 16 and set(value) <= set("0123456789abcdef")
