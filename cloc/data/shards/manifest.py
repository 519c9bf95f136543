"""The manifest of a shard folder: `manifest.json`, a line for each shard.

No torch here: data preparation and the loader both stand on this file.
"""

import gc
import json
from pathlib import Path
from typing import Any

from cloc.data.samples.record import SCHEMA
from cloc.errors import UserError

MANIFEST = "manifest.json"
CURE = "write the shards again, or name the tars alone (FOLDER/*.tar), without it"


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a shard folder; `UserError` where there is none or it is another schema."""
    return parse_manifest(read_bytes(folder), str(folder / MANIFEST))


def read_bytes(folder: Path) -> bytes:
    """Of the manifest of a folder, unread."""
    try:
        return (folder / MANIFEST).read_bytes()
    except OSError:
        raise UserError(f"{folder / MANIFEST} cannot be read; {CURE}") from None


def parse_manifest(data: bytes, path: str) -> dict[str, Any]:
    """The content of a manifest; `UserError` names `path`."""
    was_on = gc.isenabled()
    gc.disable()  # it would look through a million new entries again and again: a third of the time
    try:
        manifest = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON ({error}); {CURE}") from None
    finally:
        if was_on:
            gc.enable()
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        given = manifest.get("schema") if isinstance(manifest, dict) else type(manifest).__name__
        raise UserError(f"{path}: schema {given!r}, expected {SCHEMA!r}; {CURE}")
    if not _names_shards(manifest.get("shards")):
        raise UserError(f"{path} names no shards; {CURE}")
    return manifest


def _names_shards(entries: Any) -> bool:
    """A list of shards: each a file name without a folder, and its number of samples.

    By columns, because there may be a million of them.
    """
    try:
        names = [entry["name"] for entry in entries]
        samples = [entry["samples"] for entry in entries]
    except (TypeError, KeyError):
        return False
    if set(map(type, names)) != {str} or set(map(type, samples)) != {int}:
        return False
    return "/" not in "".join(names) and not {"", ".", ".."} & set(names) and min(samples) >= 0
