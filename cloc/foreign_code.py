"""Folders and repositories of other people are data: nothing in them may bring code of its own."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from cloc.errors import UserError

# of a repository; neither weights nor code: every file that a tokenizer of transformers' reads
DESCRIBING = ("*.json", "*.jinja", "*.txt", "*.model", "*.spm", "*.codes", "*.tokenizer")
VOCABULARIES = ("tokenizer.json", "vocab.json")  # their keys are words
ASKS = ("auto_map", "trust_remote_code")  # transformers' keys for Python that lies beside


def refuse_code(folder: Path) -> None:
    """`UserError` where a JSON file that transformers or open_clip may read from `folder` (those of
    its own folders too) asks for Python of its own, however deep inside."""
    for path in sorted((*folder.glob("*.json"), *folder.glob("*/*.json"))):
        if path.name in VOCABULARIES:
            continue
        try:
            found = json.loads(path.read_bytes())
        except (ValueError, OSError):  # who reads it says so
            continue
        except RecursionError:
            raise UserError(f"{path} is nested too deep to be a configuration") from None
        check_plain(found, str(path))


def check_plain(description: Any, where: str) -> None:
    """`refuse_code` for what was read of the file `where`."""
    for key in ASKS:
        if any(mapping.get(key) for mapping in _mappings(description)):
            raise UserError(
                f"{where}: it asks for code of its own ({key}), which is never run here; take a "
                "model that transformers has a class for, or save its tokenizer as tokenizer.json"
            )


def _mappings(value: Any) -> Iterator[dict[str, Any]]:
    waiting = [value]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, dict):
            yield inner
            waiting += inner.values()
        elif isinstance(inner, list):
            waiting += inner


def described(name: str, *, revision: str | None = None) -> Path:
    """The folder `name`, or that of a repository of the hub in the hub's cache, fetched but for its
    weights, checked by `refuse_code`. `OSError` or `ValueError` where there is neither."""
    folder = Path(name)
    if not folder.is_dir():
        folder = _fetched(name, revision)
    refuse_code(folder)
    return folder


def _fetched(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(DESCRIBING)))
    except LocalEntryNotFoundError as error:  # no network: what the cache has of it is what is read
        there = getattr(error, "snapshot_path", None)
        if there is None:
            raise
        return Path(there)


@contextmanager
def unasked() -> Iterator[None]:
    """Around loaders that pass no `trust_remote_code` on, such as open_clip's of a text tower or
    transformers' of a backbone inside a model: there transformers asks on the terminal whether to
    run what it found, and here nobody is asked and the answer is no."""
    try:
        module: Any = import_module("transformers.dynamic_module_utils")
    except ImportError:  # not installed: there is nobody to ask
        yield
        return
    seconds, module.TIME_OUT_REMOTE_CODE = module.TIME_OUT_REMOTE_CODE, 0
    try:
        yield
    finally:
        module.TIME_OUT_REMOTE_CODE = seconds
