"""What a run leaves for everybody else: `model.safetensors` and a plain `cloc_config.json`."""

import json
import os
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.utilities import rank_zero_only
from safetensors.torch import save_file
from torch import nn


class Weights(L.Callback):
    """Writes the model's weights, and the mapping it is built from, next to the trainer's state.

    Every `every_n_steps` and at the end; staged beside the target, flushed and renamed, so the file
    under the final name is whole at any moment.
    """

    def __init__(self, folder: str | Path, *, every_n_steps: int = 1000) -> None:
        self.folder = Path(folder)
        self.every_n_steps = every_n_steps

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Every so many steps."""
        if trainer.global_step % self.every_n_steps == 0:
            self.write(pl_module.model, trainer.global_step)  # type: ignore[arg-type]

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The final weights."""
        self.write(pl_module.model, trainer.global_step)  # type: ignore[arg-type]

    @rank_zero_only
    def write(self, model: nn.Module, step: int) -> None:
        """`model.description` is the plain mapping `cloc.models.build.build_model` takes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        state = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
        staged = self.folder / "model.safetensors.partial"
        save_file(state, staged, metadata={"step": str(step)})
        with staged.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(staged, self.folder / "model.safetensors")
        text = json.dumps(model.description, indent=2) + "\n"
        (self.folder / "cloc_config.json").write_text(text)
