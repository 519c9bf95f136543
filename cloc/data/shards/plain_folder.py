"""A folder of tars without a manifest, such as somebody else wrote: its shards by name.

No torch here: data preparation and the loader both stand on this file.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from cloc.data.samples.tar_cures import refuse_name
from cloc.errors import UserError

_SHOWN = 5  # folders that a message names
_PARTIAL = ".partial"  # what an import is called until it is whole
_UNFINISHED = "job.json"  # what `prepare pipeline=` keeps; it writes the manifest last


def tars_in(folder: Path, key: str) -> list[str]:
    """Paths of the tars of `folder`, by name; hidden files are none.

    A folder without one, one that is being written, and one in which not every shard can be read
    raise `UserError`, which names `key` and what would work.
    """
    _refuse_unfinished(folder, key)
    names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    tars = [name for name in names if name.lower().endswith(".tar")]
    for name in names:
        why = refuse_name(f"{folder}/{name}")
        if why and "compressed" in why and f"{name.partition('.tar')[0]}.tar" not in tars:
            raise UserError(f"{key}={folder}: {why}")
    if not tars:
        raise UserError(f"{key}={folder}: {_instead(folder, names)}")
    for name in tars:
        if not (folder / name).is_file():
            what = "a folder" if (folder / name).is_dir() else "no file that is there"
            raise UserError(f"{key}={folder}: {name} is {what}; move it away, or name the tars")
    inner = _inner(folder, names)
    if inner:
        raise UserError(
            f"{key}={folder}: there are tars, and folders of more ({', '.join(inner[:_SHOWN])}), "
            f"which would be left out; name what is meant: '{folder}/*.tar' or '{folder}/*/*.tar'"
        )
    return [f"{folder}/{name}" for name in tars]


def _refuse_unfinished(folder: Path, key: str) -> None:
    if folder.absolute().name.endswith(_PARTIAL) or (folder / _UNFINISHED).is_file():
        raise UserError(
            f"{key}={folder}: cloc-pretrain prepare has not finished it (no manifest.json); "
            "give the same command again"
        )


def _instead(folder: Path, names: list[str]) -> str:
    """What there is, where there are no tars."""
    inner = _inner(folder, names)
    if inner:
        shown = ", ".join(inner[:_SHOWN]) + (", .." if len(inner) > _SHOWN else "")
        return (
            f"no tars, but folders of them ({shown}); name one, such as {folder}/{inner[0]}, or "
            f"all of them, '{folder}/*/*.tar'"
        )
    if not names:
        return "the folder is empty; name one that holds tars"
    shown = ", ".join(names[:_SHOWN]) + (", .." if len(names) > _SHOWN else "")
    return f"no tar and no manifest.json, but {shown}; name a folder that holds tars"


def _inner(folder: Path, names: Sequence[str]) -> list[str]:
    return [n for n in names if not n.endswith(_PARTIAL) and _holds_shards(folder / n)]


def _holds_shards(folder: Path) -> bool:
    try:
        return any(n.endswith(".tar") or n == "manifest.json" for n in os.listdir(folder))
    except OSError:  # a file, or a folder of somebody else's
        return False
