"""The training stream on one page: shards to batches, endless, its order known beforehand."""

import time
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from multiprocessing import get_context
from multiprocessing.context import BaseContext
from typing import Any

import torch
import webdataset as wds
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from cloc.data.collate import Collate, ModelInput
from cloc.data.decode import origin
from cloc.data.order import Plan, Share, endless, require_enough_shards, seeded
from cloc.data.read import Parse
from cloc.data.transforms import Sample
from cloc.data.view import View, look
from cloc.errors import UserError
from cloc.interfaces import RegionBatch

TIMEOUT_S = 600  # a worker that hangs ends the run instead of stalling every rank


def train_pipeline(
    plan: Plan, share: Share, *, parse: Parse, view: View, wants: ModelInput
) -> Iterable[RegionBatch]:
    """The batches of one reader; skipped ones are dropped as raw bytes, before any decoding."""
    first, last = share.first_batch * plan.batch_size, share.last_batch * plan.batch_size
    collate = Collate(wants, max_regions=view.max_regions, max_negatives=view.max_negatives)
    see = partial(_see, parse=parse, view=view, seed=plan.seed, image_size=wants.image_size)
    return wds.DataPipeline(
        partial(endless, plan, share),  # tar members, epochs chained
        wds.slice(first, last),
        wds.map(see),  # tar members -> Record -> Sample: one caption, some regions, the frame
        wds.batched(plan.batch_size, collation_fn=collate, partial=False),
    )


def _see(raw: Mapping[str, Any], *, parse: Parse, view: View, seed: int, image_size: int) -> Sample:
    """What is drawn depends on (seed, epoch, key), never on the process that draws it."""
    record = parse(raw)
    rng = seeded(seed, raw["__epoch__"], record.key)
    return look(record, rng, view=view, image_size=image_size, where=origin(raw))


class TrainStream(IterableDataset[RegionBatch]):
    """What one worker of a loader makes: its share of the rank's batches."""

    def __init__(self, plan: Plan, *, parse: Parse, view: View, wants: ModelInput) -> None:
        self.plan, self.parse, self.view, self.wants = plan, parse, view, wants

    def __iter__(self) -> Iterator[RegionBatch]:
        info = get_worker_info()
        share = self.plan.share(info.id, info.num_workers) if info else self.plan.share(0, 1)
        batches = train_pipeline(
            self.plan, share, parse=self.parse, view=self.view, wants=self.wants
        )
        return iter(batches)


class TrainLoader:
    """The batches of one rank; one pass is the whole run, and every rank's pass is equally long.

    It wraps torch's loader instead of being one: Lightning distrusts the length of an iterable
    dataset, and an error of a worker shall arrive as the one line that was raised there.
    """

    def __init__(
        self, plan: Plan, *, parse: Parse, view: View, wants: ModelInput, num_workers: int
    ) -> None:
        require_enough_shards(len(plan.shards), ranks=plan.ranks, workers=max(num_workers, 1))
        self.steps = plan.steps
        self.waited_s = 0.0  # how long training has waited for batches so far
        self.batches: DataLoader[RegionBatch] = DataLoader(
            TrainStream(plan, parse=parse, view=view, wants=wants),
            batch_size=None,
            num_workers=num_workers,
            pin_memory=torch.cuda.is_available(),
            timeout=TIMEOUT_S if num_workers else 0,
            multiprocessing_context=_forkserver() if num_workers else None,
        )

    def __len__(self) -> int:
        """Steps of the whole run, those a resumed run skips included: Lightning counts them."""
        return self.steps

    def __iter__(self) -> Iterator[RegionBatch]:
        try:
            batches = iter(self.batches)
            while True:
                asked = time.perf_counter()
                batch = next(batches, None)
                self.waited_s += time.perf_counter() - asked
                if batch is None:
                    return
                yield batch
        except UserError as error:  # torch puts the worker's whole traceback into the message
            last_line = str(error).strip().splitlines()[-1]
            raise UserError(last_line.removeprefix(f"{UserError.__module__}.UserError: ")) from None


def _forkserver() -> BaseContext:
    """A fork after the process group has started can hang (measured: 3 of 12 runs)."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["__main__", __name__])  # torch is imported once, not by each
    return context
