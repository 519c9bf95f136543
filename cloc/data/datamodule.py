"""The training data of a run as Lightning asks for it."""

from collections.abc import Sequence

import lightning as L

from cloc import dist
from cloc.data.collate import ModelInput
from cloc.data.order import SHARDS_KEY, Plan
from cloc.data.pipeline import TrainLoader
from cloc.data.read import Parse
from cloc.data.shards import expand_shards
from cloc.data.view import View
from cloc.errors import UserError


class RegionData(L.LightningDataModule):
    """Batches of annotated shards, `batch_size` images per rank, for exactly `steps` steps.

    `train` is a folder of shards, a glob, a list file or a list. A resumed run gives the number of
    batches it has consumed as `skip_batches`, and the same numbers of ranks and workers as before.
    """

    def __init__(
        self,
        train: str | Sequence[str],
        *,
        parse: Parse,
        wants: ModelInput,
        batch_size: int,
        steps: int,
        view: View | None = None,
        shuffle_buffer: int = 2048,
        num_workers: int = 0,
        seed: int = 0,
        skip_batches: int = 0,
    ) -> None:
        super().__init__()
        self.train, self.parse, self.wants = train, parse, wants
        self.view = view or View()
        self.view.frame(wants.image_size)  # a wrong setting raises here, not in a worker
        self.batch_size, self.steps, self.skip_batches = batch_size, steps, skip_batches
        self.shuffle_buffer, self.num_workers, self.seed = shuffle_buffer, num_workers, seed
        if batch_size < 1 or steps < 1:
            raise UserError(f"data.batch_size {batch_size} and steps {steps} must be 1 or more")
        if not 0 <= skip_batches <= steps:
            raise UserError(f"skip_batches is {skip_batches}, the run has {steps} steps")

    def train_dataloader(self) -> TrainLoader:
        """This rank's loader. Ranks are counted here: workers belong to no process group."""
        plan = Plan(
            shards=tuple(expand_shards(self.train, key=SHARDS_KEY)),
            batch_size=self.batch_size,
            steps=self.steps,
            seed=self.seed,
            shuffle_buffer=self.shuffle_buffer,
            skip_batches=self.skip_batches,
            rank=dist.rank(),
            ranks=dist.world_size(),
        )
        return TrainLoader(
            plan, parse=self.parse, view=self.view, wants=self.wants, num_workers=self.num_workers
        )
