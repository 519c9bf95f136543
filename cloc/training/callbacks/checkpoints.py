"""When a run saves: every so many steps or minutes, at its end, and when somebody asks."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Checkpoint

from cloc import dist
from cloc.errors import UserError
from cloc.training.checkpoint_io import CheckpointFolders


class Checkpoints(Checkpoint):
    """Saves every `every_n_steps`, at the end, and `every_n_minutes` after the last save.

    Minutes are rank 0's, asked for every `ask_every_n_steps`: on those steps, and on no others, the
    ranks talk about it. `folders` is the trainer's plugin too. Runs after all other callbacks, as
    Lightning's own does, so that what they did in the step is in the checkpoint.
    """

    def __init__(
        self,
        folders: CheckpointFolders,
        *,
        every_n_steps: int,
        every_n_minutes: float | int,
        ask_every_n_steps: int = 20,
    ) -> None:
        self.folders, self.every_n_steps = folders, every_n_steps
        self.every_n_minutes, self.ask_every_n_steps = every_n_minutes, ask_every_n_steps
        self.saved_step, self.saved_at = 0, 0.0
        self.random: list[dict[str, Any]] = []

    def save(self, trainer: L.Trainer) -> None:
        """A checkpoint of this step, on the disk when this returns; every rank calls it at the same
        step. Nothing is done where there is one, nor before the first step."""
        self._begin(trainer)
        self.folders.finish()
        trainer.strategy.barrier("Checkpoints.save")

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """What killed saves left is removed, and so are steps that come after this one: they were
        found damaged, else the run would go on from them."""
        self.saved_step, self.saved_at = trainer.global_step, time.monotonic()
        steps = dist.gather_objects(trainer.global_step)
        if len(set(steps)) > 1:
            raise UserError(
                f"the ranks go on from different steps {steps}: {self.folders.place} must be one "
                "place for all machines; set checkpoints= to a shared folder or a URL"
            )
        if trainer.is_global_zero:
            place = self.folders.place
            place.clean()
            for step in place.steps():
                if step > trainer.global_step:
                    place.remove(step)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """The random state of a resumed run, as late as this: starting a loader draws from it."""
        if self.random:
            set_random_state(self.random)
            self.random = []

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """The last step is saved here too: after it Lightning's counters are those of an end."""
        self.folders.poll()
        step = trainer.global_step
        if step % self.every_n_steps == 0 or step == trainer.max_steps or self._overdue(step):
            self._begin(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Nobody leaves before it is on the disk."""
        self.save(trainer)

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """What the model is built from (`cloc.models.build`)."""
        checkpoint["cloc_config"] = pl_module.model.description  # type: ignore[union-attr]

    def state_dict(self) -> dict[str, Any]:
        """The random state of every rank."""
        return {"random": dist.gather_objects(random_state())}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Waits for the first step."""
        self.random = state_dict["random"]

    def _begin(self, trainer: L.Trainer) -> None:
        if trainer.global_step == self.saved_step:
            return
        self.saved_step = trainer.global_step
        if torch.cuda.is_available():  # where a process hangs, this name is looked for
            torch.cuda.synchronize()
        trainer.save_checkpoint(self.folders.path(trainer.global_step), weights_only=False)
        self.saved_at = time.monotonic()

    def _overdue(self, step: int) -> bool:
        if step % self.ask_every_n_steps:
            return False
        waited = time.monotonic() - self.saved_at
        return dist.gather_objects(waited >= 60 * self.every_n_minutes)[0]


def random_state() -> dict[str, Any]:
    """Of this rank: what dropout draws from."""
    state = {"cpu": torch.get_rng_state()}
    return state | ({"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {})


def set_random_state(states: Sequence[Mapping[str, Any]]) -> None:
    """This rank's; none where there were other ranks before, or other devices."""
    if len(states) != dist.world_size():
        return
    mine = states[dist.rank()]
    torch.set_rng_state(mine["cpu"])
    if torch.cuda.is_available() and "cuda" in mine:
        torch.cuda.set_rng_state(mine["cuda"])
