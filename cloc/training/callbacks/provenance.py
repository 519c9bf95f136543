"""Where a run came from: `provenance.json`, written before the first step."""

import importlib.metadata
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.utilities import rank_zero_only
from torch import nn

from cloc.data.samples.json_files import read_mapping
from cloc.training.origin import device_name, git_commit

PACKAGES = (
    "torch",
    "torchvision",
    "lightning",
    "open_clip_torch",
    "timm",
    "simplejpeg",
    "opencv-python-headless",
    "hydra-core",
)


SHARDS = "shards.json"  # beside it, where shards are read that no manifest lists


class Provenance(L.Callback):
    """`data` says which shards are read, `shards` which of them no manifest lists (as
    `RegionData.recorded`). What was changed at a resume (`changes`) stays. The configuration stands
    beside it since the launch."""

    def __init__(
        self, folder: str | Path, *, seed: int, data: Mapping[str, Any], shards: Mapping[str, Any]
    ) -> None:
        self.folder, self.seed, self.data, self.shards = Path(folder), seed, data, shards

    @rank_zero_only
    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Once the devices are known."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "provenance.json"
        changes = read_mapping(path).get("changes") if path.is_file() else None
        facts = {
            "git_commit": git_commit(),
            "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
            "python": platform.python_version(),
            "device": device_name(pl_module.device),
            "devices": trainer.world_size,
            "precision": str(trainer.precision),
            "seed": self.seed,
            "parameters": parameter_counts(pl_module),
            "data": dict(self.data),
            **({"changes": changes} if changes else {}),
        }
        write_whole(path, json.dumps(facts, indent=2))
        if self.shards:
            write_whole(self.folder / SHARDS, json.dumps(self.shards))


def write_whole(path: Path, text: str) -> None:
    """The file has the text or what it had: a resume stands on it."""
    staged = path.with_name(f".{path.name}")
    staged.write_text(text + "\n")
    staged.replace(path)


def parameter_counts(module: nn.Module) -> dict[str, int]:
    """Of all weights, and of those that are trained."""
    counts = [(p.numel(), p.requires_grad) for p in module.parameters()]
    return {"total": sum(n for n, _ in counts), "trained": sum(n for n, on in counts if on)}
