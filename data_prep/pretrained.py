"""Models of transformers for stages: loading one by name or folder, and what tells it apart.

Weights are safetensors, or a checkpoint that holds nothing but tensors (OWLv2 as the paper uses it
has no other on the hub); no code that comes with a model is ever run.
"""

import hashlib
import pickle
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import torch

from cloc.errors import UserError, one_line
from cloc.foreign_code import described, unasked

DTYPES = ("float32", "bfloat16", "float16")
DESCRIBED = (".json", ".jinja", ".txt", ".model", ".safetensors", ".bin")
EDGE_BYTES = 1 << 20  # of each end of a file that goes into a digest


class Pretrained(NamedTuple):
    """A model in eval mode on its device, and the processor that comes with it."""

    model: Any
    processor: Any
    name: str
    device: torch.device
    dtype: torch.dtype

    @property
    def short_name(self) -> str:
        """The last part of the name: the `source` of what the model makes."""
        return Path(self.name).name

    @property
    def kind(self) -> str:
        """`model_type` of its configuration, such as "owlv2"."""
        return str(self.model.config.model_type)

    def describe(self) -> Mapping[str, Any]:
        """As JSON; a folder by a digest of its files, a model of the hub by its commit."""
        import transformers

        where = Path(self.name)
        return {
            "model": self.short_name if where.is_dir() else self.name,
            "digest": folder_digest(where)
            if where.is_dir()
            else getattr(self.model.config, "_commit_hash", None),
            "transformers": transformers.__version__,
            "dtype": str(self.dtype).removeprefix("torch."),
        }


def load_pretrained(
    auto_class: str, name: str, *, revision: str | None, device: str, dtype: str
) -> Pretrained:
    """The model of a hub name or a local folder, through the class `auto_class` of transformers.

    Whatever keeps it from being loaded is a `UserError`: transformers that is missing, a name that
    is not found, a model of another kind, one that needs code of its own.
    """
    if dtype not in DTYPES:
        raise UserError(f"dtype={dtype} is not known; give one of {', '.join(DTYPES)}")
    place = known_device(device)
    try:
        transformers = import_module("transformers")
    except ImportError:
        raise UserError(
            f"{name} is a model of transformers, which is not installed; "
            "pip install 'cloc-pretrain[hf]'"
        ) from None
    options: dict[str, Any] = {"revision": revision or "main", "trust_remote_code": False}
    number = getattr(torch, dtype)
    try:
        found = described(name, revision=revision)
        if not Path(name).is_dir():  # what was looked at is what is loaded: its commit
            options["revision"] = found.name
        with unasked():
            config = transformers.AutoConfig.from_pretrained(name, **options)
            processor = transformers.AutoProcessor.from_pretrained(name, **options)
            model = getattr(transformers, auto_class).from_pretrained(
                name, config=config, dtype=number, weights_only=True, **options
            )
    except UserError as error:
        raise UserError(f"model={name}: {error}") from None
    except (OSError, ValueError, KeyError, ImportError, pickle.UnpicklingError) as error:
        raise _refusal(auto_class, name, error) from None
    return Pretrained(model.eval().requires_grad_(False).to(place), processor, name, place, number)


def known_device(name: str) -> torch.device:
    """`UserError` where there is no such device here."""
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda", "mps"):
        raise UserError(f"device={name} is no device here; give device=cpu or device=cuda")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UserError(f"device={name}, but there is no such GPU here; give device=cpu")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"device={name}, but there is no GPU here; give device=cpu")
    return device


def _refusal(auto_class: str, name: str, error: Exception) -> UserError:
    if "trust_remote_code" in str(error):
        return UserError(
            f"model={name} needs code of its own from the hub, which is never run here; choose one "
            "that transformers has a class for, such as florence-community/Florence-2-base"
        )
    what = auto_class.removeprefix("AutoModelFor")
    return UserError(
        f"model={name} cannot be loaded ({one_line(error)}); give the hub name or the folder of a "
        f"model for {what} with its processor and weights"
    )


def folder_digest(folder: Path) -> str:
    """Of names, sizes and both ends of all files that make a model; cheap also for large weights.

    A file up to 2 MiB counts whole. Of larger ones the middle is not read.
    """
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.iterdir() if p.suffix in DESCRIBED):
        size = path.stat().st_size
        digest.update(f"{path.name}\n{size}\n".encode())
        with path.open("rb") as file:
            digest.update(file.read(EDGE_BYTES))
            file.seek(max(EDGE_BYTES, size - EDGE_BYTES))
            digest.update(file.read())
    return digest.hexdigest()
