"""Which samples in which order: a pure function of the seed, the epoch and who reads."""

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from cloc.data.read import read_samples
from cloc.errors import UserError

SHARDS_KEY = "data.train"


@dataclass(frozen=True, slots=True)
class Share:
    """The part of one process: reader `index` of `count`, and the batches it makes."""

    index: int
    count: int
    first_batch: int  # of its own: earlier ones are skipped
    last_batch: int  # exclusive


@dataclass(frozen=True, slots=True)
class Plan:
    """One rank's stream: batches `skip_batches` to `steps` of a run over these shards."""

    shards: tuple[str, ...]
    batch_size: int  # per rank
    steps: int
    seed: int
    shuffle_buffer: int  # samples that are read, then shuffled, together; below 2 is file order
    skip_batches: int = 0
    rank: int = 0
    ranks: int = 1

    def share(self, worker: int, workers: int) -> Share:
        """The part of process `worker`; batch j of the rank is made by part j mod `workers`.

        A loader always asks worker 0 first, so after a resume worker 0 plays the part that the next
        batch belongs to. The order depends on the number of workers; a resumed run keeps it.
        """
        part = (worker + self.skip_batches) % workers
        first, last = (-(-(n - part) // workers) for n in (self.skip_batches, self.steps))
        return Share(self.rank * workers + part, self.ranks * workers, first, last)


def seeded(*parts: int | str) -> np.random.Generator:
    """A generator that depends on `parts` alone, alike in every process and on every machine."""
    text = "/".join(map(str, parts)).encode("utf-8", "surrogatepass")
    return np.random.default_rng(int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()))


def require_enough_shards(num_shards: int, *, ranks: int, workers: int) -> None:
    """Every reader needs a shard of its own, because shards are split over readers."""
    readers = ranks * workers
    if num_shards >= readers:
        return
    cure = "write at least as many shards as ranks (a smaller samples_per_shard)"
    if num_shards >= ranks:
        cure = f"set data.num_workers to at most {num_shards // ranks}, or write more shards"
    raise UserError(
        f"{num_shards} shards cannot feed {readers} readers ({ranks} ranks x {workers} workers); "
        f"{readers - num_shards} would see no data; {cure}"
    )


def endless(plan: Plan, share: Share) -> Iterator[dict[str, Any]]:
    """Raw samples of one reader, epoch after epoch; `__epoch__` says which.

    In each epoch the readers split a new permutation of the shards, so together they see every
    sample once.
    """
    for epoch in itertools.count():
        shards = shards_of_epoch(plan, share, epoch)
        is_empty = True
        for sample in _shuffled(shards, plan, epoch, share.index):
            is_empty = False
            yield {**sample, "__epoch__": epoch}
        if is_empty:
            raise UserError(
                f"no samples in {', '.join(shards[:3])}; write the shards again or change "
                f"{SHARDS_KEY}"
            )


def shards_of_epoch(plan: Plan, share: Share, epoch: int) -> list[str]:
    """The shards of one reader, in reading order; the readers of an epoch share none."""
    order = seeded(plan.seed, "shards", epoch).permutation(len(plan.shards))
    return [plan.shards[i] for i in order[share.index :: share.count]]


def _shuffled(shards: list[str], plan: Plan, epoch: int, reader: int) -> Iterator[dict[str, Any]]:
    """Blocks, not a reservoir: what a place in the stream holds depends on one block alone."""
    samples = read_samples(shards, key=SHARDS_KEY)
    for number in itertools.count():
        block = list(itertools.islice(samples, max(plan.shuffle_buffer, 1)))
        if not block:
            return
        rng = seeded(plan.seed, "block", epoch, reader, number)
        for i in rng.permutation(len(block)):
            yield block[i]
