"""What the loaders of all ranks had to leave out: logged, kept over a resume, and bounded."""

import json
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import lightning as L

from cloc import dist
from cloc.interfaces import RegionBatch
from cloc.training.callbacks.nothing_to_learn import ENOUGH


class Drops(L.Callback):
    """Sums the loaders' tallies over ranks every `every_n_steps` and at the end of a run.

    Logs `data/samples`, `data/dropped_samples`, `data/dropped_boxes`, whatever was dropped by its
    reason, `data/skipped_samples` where some are, and writes `FOLDER/drops.json`. Above the budget
    it ends all ranks in the same step; a rank that is above it by itself does not wait for that.
    Counts go on where a run was resumed. `unmet` makes a line about the entries of a list of keys
    from those that were met; it is told at the end. A source of which no sample had a caption or a
    region is told of once: after `ENOUGH` samples, or at the end.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        unmet: Callable[[Collection[str]], str] = lambda met: "",
        every_n_steps: int = 20,
    ) -> None:
        self.path, self.unmet = Path(folder) / "drops.json", unmet
        self.every_n_steps = every_n_steps
        self.before: Mapping[str, Any] | None = None  # of all ranks, when the run was resumed
        self.trainer: L.Trainer | None = None
        self.told: set[str] = set()  # sources

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Remembers whose loader it is: Lightning asks for the state without saying."""
        self.trainer = trainer

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: RegionBatch,
        batch_idx: int,
    ) -> None:
        """Nothing is gathered on the steps between."""
        if trainer.global_step % self.every_n_steps:
            return
        tally = self._tally()
        values = {"data/samples": tally.samples}
        for what in ("samples", "boxes"):
            values[f"data/dropped_{what}"] = tally.dropped(what)
        if tally.skipped:
            values["data/skipped_samples"] = tally.skipped
        for row in tally.rows():
            name = f"data/dropped_{row['what']}.{row['reason']}"
            values[name] = values.get(name, 0) + row["count"]
        pl_module.log_dict(
            {name: float(value) for name, value in values.items()}, batch_size=len(batch.images)
        )
        self._write(tally)
        tally.check()
        if tally.samples >= ENOUGH:
            self._tell_idle(tally)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The last count, whatever the number of steps; and which keys nobody had."""
        tally = self._tally()
        self._write(tally)
        self._tell_idle(tally)
        line = self.unmet(tally.met)
        if line and dist.rank() == 0:
            print(f"{line} among those of this command", file=sys.stderr)

    def state_dict(self) -> dict[str, Any]:
        """Of all ranks: Lightning makes a checkpoint on every rank at once."""
        state: dict[str, Any] = self._tally().state_dict()
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The counts of the run so far."""
        self.before = state_dict

    def _tally(self) -> Any:
        assert self.trainer is not None  # setup comes first
        mine = self.trainer.train_dataloader.tally  # type: ignore[union-attr]
        tallies = dist.gather_objects(mine)
        whole = tallies[0].joined(tallies[1:])
        if self.before is not None:
            whole.load_state_dict(self.before)
        return whole

    def _tell_idle(self, tally: Any) -> None:
        """Where all are so, `Work` ends the run."""
        idle = sorted(tally.sources - tally.useful - self.told)
        self.told |= set(idle)
        for name in idle if dist.rank() == 0 and tally.useful else ():
            print(
                f"data.sources.{name}: no sample so far had a caption or a region, so this source "
                f"trains nothing; look at it by cloc-pretrain check-shards",
                file=sys.stderr,
            )

    def _write(self, tally: Any) -> None:
        if dist.rank() == 0:
            self.path.write_text(
                json.dumps(tally.state_dict(), indent=1, ensure_ascii=False) + "\n"
            )
