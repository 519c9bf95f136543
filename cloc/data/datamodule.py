"""The training data of a run as Lightning asks for it."""

import hashlib
from collections.abc import Mapping
from functools import cached_property

import lightning as L

from cloc import dist
from cloc.data.collate import ModelInput
from cloc.data.loader import TIMEOUT_S, TrainLoader
from cloc.data.pipeline import Plan, shards_key
from cloc.data.shards.remote import Cache
from cloc.data.shards.shard_set import Record, ShardSet, open_recorded
from cloc.data.shards.skip_lists import Skips
from cloc.data.stream.mixture import Mixture, Source
from cloc.data.stream.order import Shuffle
from cloc.data.stream.tally import BUDGET
from cloc.errors import UserError


class RegionData(L.LightningDataModule):
    """Batches of annotated shards, `batch_size` images over all ranks, for exactly `steps` steps.

    A resumed run gives the number of batches it has consumed as `skip_batches`; ranks and workers
    may be others than before, and the batches of all ranks together are the same. `cache`
    holds what is read from URLs, `index_folder` the indexes that do not lie beside their shards.
    More than `drop_budget`, a share, of unusable samples, boxes or captions ends the run. What
    `skips` names leaves blank rows, and need not be there any more. A batch that takes a worker
    longer than `timeout_s` ends it too.
    """

    def __init__(  # noqa: PLR0913 - a setting of the data each
        self,
        sources: Mapping[str, Source],
        *,
        wants: ModelInput,
        batch_size: int,
        steps: int,
        shuffle: Shuffle | None = None,
        cache: Cache | None = None,
        drop_budget: float = BUDGET,
        skips: Skips | None = None,
        num_workers: int = 0,
        seed: int = 0,
        skip_batches: int = 0,
        index_folder: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        super().__init__()
        self.sources, self.wants = dict(sources), wants
        self.batch_size, self.steps, self.skip_batches = batch_size, steps, skip_batches
        self.shuffle, self.cache = shuffle or Shuffle(), cache or Cache()
        self.drop_budget, self.skips = drop_budget, skips or Skips()
        self.before: Mapping[str, Record] = {}  # what `recorded` gave when the run began
        self.num_workers, self.seed = num_workers, seed
        self.index_folder, self.timeout_s = index_folder, timeout_s
        if batch_size < 1 or steps < 1:
            raise UserError(f"batch_size {batch_size} and steps {steps} must be 1 or more")
        if not 0 <= drop_budget <= 1:
            raise UserError(f"data.drop_budget is {drop_budget}, expected a share in [0, 1]")
        if not 0 <= skip_batches <= steps:
            raise UserError(f"skip_batches is {skip_batches}, the run has {steps} steps")
        for source in self.sources.values():  # a wrong setting raises here, not in a worker
            source.view.frame(wants.image_size)
        Mixture({n: s.weight for n, s in self.sources.items()}, batch_size=batch_size)

    @cached_property
    def found(self) -> dict[str, tuple[ShardSet, Record]]:
        """Of every source, looked for once."""
        return {
            name: open_recorded(
                source.shards,
                key=shards_key(name),
                index_folder=self.index_folder,
                skip=self.skips.shards,
                before=self.before.get(name),
            )
            for name, source in self.sources.items()
        }

    @property
    def shards(self) -> dict[str, ShardSet]:
        """Of every source."""
        return {name: shards for name, (shards, _) in self.found.items()}

    def recorded(self) -> dict[str, Record]:
        """What no manifest says of the shards of a source, for the time when some are gone."""
        return {name: record for name, (_, record) in self.found.items() if any(record)}

    def unmet(self) -> list[str]:
        """A line for each list of `skips` that names a shard in vain."""
        sets = [shards.paths for shards in self.shards.values()]
        return self.skips.check(names[i] for names in sets for i in range(len(names)))

    def digest(self) -> str:
        """Of what all sources hold, wherever it lies."""
        parts = [f"{name} {shards.digest}" for name, shards in self.shards.items()]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def train_dataloader(self) -> TrainLoader:
        """This rank's loader. Ranks are counted here: workers belong to no process group."""
        plan = Plan(
            sources=self.sources,
            shards=self.shards,
            batch_size=per_rank(self.batch_size, dist.world_size()),
            steps=self.steps,
            seed=self.seed,
            shuffle=self.shuffle,
            cache=self.cache,
            skips=self.skips,
            skip_batches=self.skip_batches,
            rank=dist.rank(),
            ranks=dist.world_size(),
        )
        return TrainLoader(
            plan,
            wants=self.wants,
            num_workers=self.num_workers,
            budget=self.drop_budget,
            timeout_s=self.timeout_s,
        )


def per_rank(batch_size: int, ranks: int) -> int:
    """Images of one rank's batch, of `batch_size` over all ranks."""
    if batch_size % ranks:
        raise UserError(
            f"batch_size={batch_size} does not divide over {ranks} ranks; set batch_size to a "
            f"multiple of {ranks}, such as {max(batch_size // ranks, 1) * ranks}"
        )
    return batch_size // ranks
