"""Where configurations lie: ours, and beside them a person's own folder, `--config-dir DIR`."""

import os
from collections.abc import Sequence
from pathlib import Path

import cloc
from cloc.cli.config.quoting import in_quotes
from cloc.errors import UserError

CONFIGS = Path(cloc.__file__).resolve().parent / "configs"  # of a checkout, a link to configs/
FLAG = "--config-dir"
OWN = "CLOC_CONFIG_DIR"  # tells it to the processes that a command starts


def take_config_dir(arguments: Sequence[str]) -> list[str]:
    """The arguments without the flag, whose folder holds from here on; `UserError` for one that is
    none, or that holds a file of a name of ours: which of both is meant nobody could say."""
    others, given = [], None
    waiting = iter(arguments)
    for word in waiting:
        flag, equals, value = word.partition("=")
        if flag != FLAG:
            others.append(word)
            continue
        given = Path(value if equals else next(waiting, ""))
        if not str(given).strip(".") or not given.is_dir():
            raise UserError(f"{FLAG} {given}: no such folder; it holds files as configs/ does")
    if given is not None:
        for path in sorted(given.rglob("*.yaml")):
            name = path.relative_to(given)
            if (CONFIGS / name).is_file():
                raise UserError(f"{path}: {name} is one of ours too; give yours another name")
        os.environ[OWN] = str(given.resolve())
    return others


def folders() -> list[Path]:
    """In the order in which they are searched."""
    own = os.environ.get(OWN)
    return [CONFIGS, *([Path(own)] if own else [])]


def search_path() -> list[str]:
    """What Hydra is told of the other folders."""
    return [f"hydra.searchpath=[{in_quotes(str(path))}]" for path in folders()[1:]]


def config_file(name: str) -> Path | None:
    """Of `experiment/demo`, the file; None where no folder holds it."""
    paths = (folder / f"{name}.yaml" for folder in folders())
    return next((path for path in paths if path.is_file()), None)


def is_group(name: str) -> bool:
    """Whether files can be chosen of it."""
    return any((folder / name).is_dir() for folder in folders())


def options(group: str) -> list[str]:
    """The files of a group."""
    return sorted(path.stem for folder in folders() for path in (folder / group).glob("*.yaml"))
