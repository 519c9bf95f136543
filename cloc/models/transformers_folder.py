"""A folder in transformers' layout: which of its files are read, and the same ones fetched from the
hub. None of them is code."""

import json
import pickle
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from cloc.errors import UserError, one_line

CONFIG = "config.json"
PIXELS = "preprocessor_config.json"
PROCESSOR = "processor_config.json"  # transformers 5 may keep the same inside it
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLED, PICKLED_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
# one of them makes a tokenizer
TOKENIZER = (
    *("tokenizer.json", "vocab.json", "vocab.txt"),
    *("spiece.model", "tokenizer.model", "sentencepiece.bpe.model"),
)
BESIDE = (
    *("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "merges.txt"),
    *(CONFIG, PIXELS, PROCESSOR, INDEX, PICKLED_INDEX),
)


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No bars, reports and remarks on a person's stderr for a load they did not ask for."""
    from transformers.utils import logging

    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity(logging.CRITICAL)  # it remarks on ids of its own default configurations
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()


def fetch_description(repository: str) -> Path:
    """What describes the model in `repository` on the hub; in the hub's cache."""
    return _snapshot(repository, None, [*TOKENIZER, *BESIDE])


def fetch_weights(repository: str, folder: Path) -> None:
    """Those that `read_weights` will read, beside the description in `folder`."""
    for names, _ in _forms(folder):
        _snapshot(repository, folder.name, names)
        if any((folder / name).is_file() for name in names):
            return


def _snapshot(repository: str, commit: str | None, names: Sequence[str]) -> Path:
    try:
        return Path(snapshot_download(repository, revision=commit, allow_patterns=list(names)))
    except LocalEntryNotFoundError as error:  # no network: what the cache has of it is what is read
        there = getattr(error, "snapshot_path", None)
        if there is None:
            raise _refused(repository, error) from error
        return Path(there)
    except Exception as error:  # the hub's client has had three HTTP libraries, each with its own
        raise _refused(repository, error) from error


def _refused(repository: str, error: Exception) -> UserError:
    return UserError(
        f"hf:{repository}: there is no such folder, and the hub gives none ({one_line(error)})"
    )


def _forms(folder: Path) -> Iterator[tuple[list[str], bool]]:
    """Names of the weights' files in the order in which they are looked for, safetensors first, and
    whether an index says that they are there."""
    for index, single in ((INDEX, WEIGHTS), (PICKLED_INDEX, PICKLED)):
        if (folder / index).is_file():
            yield _of_index(folder / index), True
        yield [single], False


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Every tensor by its name."""
    for names, promised in _forms(folder):
        if promised or (folder / names[0]).is_file():
            parts = [_tensors(folder / name) for name in names]
            return {key: value for part in parts for key, value in part.items()}
    raise UserError(f"{folder} holds no weights: {WEIGHTS}, {INDEX}, {PICKLED} or {PICKLED_INDEX}")


def _of_index(path: Path) -> list[str]:
    """The files that an index names, all of its folder and of its kind, and no patterns."""
    end = Path(path.name.removesuffix(".index.json")).suffix
    found = read_json(path, "").get("weight_map")
    names = sorted({str(name) for name in found.values()}) if isinstance(found, dict) else []
    strange = [n for n in names if Path(n).name != n or set(n) & set("*?[]") or not n.endswith(end)]
    if strange or not names:
        raise UserError(f"{path} names no file of its folder: {strange}")
    return names


def _tensors(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise UserError(f"{path} is missing: the weights are not whole; download the folder again")
    if path.suffix == ".bin":
        return _unpickled(path)
    try:
        return load_file(path)
    except SafetensorError as error:
        raise UserError(f"{path} is damaged ({error}); download it again") from None


def _unpickled(path: Path) -> dict[str, Tensor]:
    """Tensors only: whatever else a pickle asks for is refused, and nothing of it has run."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        line = " ".join(str(error).split())[:120]
        raise UserError(
            f"{path} holds more than tensors, or is damaged ({line}); it is not loaded. Give the "
            f"folder with {WEIGHTS} instead"
        ) from None
    tensors = isinstance(found, Mapping) and all(isinstance(v, Tensor) for v in found.values())
    if not tensors:
        raise UserError(f"{path} is not a mapping of names to tensors; give {WEIGHTS} instead")
    return dict(found)


def read_json(path: Path, hint: str) -> dict[str, Any]:
    """A mapping; `hint` is what to do where there is no such file."""
    if not path.is_file():
        raise UserError(f"{path} does not exist; {hint}")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error})") from None
    if not isinstance(found, dict):
        raise UserError(f"{path} is not a mapping, but a {type(found).__name__}")
    return found
