"""Which sample stands where in a run: a pure function of the seed, the epoch and the place."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from cloc.errors import UserError

# Blocks and epochs that are kept: a batch draws on one or two of each slot.
KEPT_PER_SLOT = 4


@dataclass(frozen=True, slots=True)
class Shuffle:
    """The shape of an order: see `Order`. Larger values mix better, smaller ones read nearer."""

    slots: int = 64
    block: int = 1024  # samples, of one slot

    def __post_init__(self) -> None:
        if self.slots < 1 or self.block < 1:
            raise UserError(
                f"data.shuffle.slots {self.slots} and data.shuffle.block {self.block} must be 1 or "
                "more"
            )


class Found(NamedTuple):
    """Where some samples lie; row i of all three is one of them."""

    epoch: np.ndarray  # int64 [n], from 0
    shard: np.ndarray  # int64 [n], its number in the shard set
    sample: np.ndarray  # int64 [n], its number in the shard


class Order:
    """An endless stream of places 0, 1, .. over shards of `counts` samples, epoch after epoch.

    Every epoch lays the shards one behind another in a new permutation and cuts that line into
    `slots` ranges of equal length. A run of `batch_size` places takes equally many samples from
    every slot, and each slot is read in blocks of `block` samples that are shuffled within. So a
    batch mixes distant shards while each slot reads forward; any place is found by computing one
    block; and nothing depends on who reads: ranks and workers only divide the places among them.

    Within an epoch every sample has exactly one place. With fewer samples than `slots` asks for,
    an epoch is one block.
    """

    def __init__(
        self, counts: np.ndarray, *, seed: int | str, batch_size: int, shuffle: Shuffle
    ) -> None:
        self.counts, self.seed, self.block = counts, seed, shuffle.block
        self.total = int(counts.sum())
        self.slots = min(shuffle.slots, batch_size)
        self.chunk = batch_size // self.slots  # samples of a slot that stand side by side
        self.length = self.total // (self.slots * self.chunk) * self.chunk  # of a slot
        self.tail = self.slots * self.length  # from here on, an epoch is the rest that does not fit
        self._blocks = lru_cache(KEPT_PER_SLOT * self.slots)(self._shuffled_block)
        self._epochs = lru_cache(2)(self._epoch)

    def __call__(self, places: np.ndarray) -> Found:
        """The samples at `places`, int64 [n], each 0 or more."""
        epochs, spots = np.divmod(places, self.total)
        shard, index = np.empty_like(places), np.empty_like(places)
        for epoch in map(int, np.unique(epochs)):
            rows = epochs == epoch
            permutation, ends = self._epochs(epoch)
            line = self._on_the_line(epoch, spots[rows])
            which = np.searchsorted(ends, line, side="right")  # passes over empty shards
            shard[rows] = permutation[which]
            index[rows] = line - (ends[which] - self.counts[permutation[which]])
        return Found(epochs, shard, index)

    def _epoch(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """The shards' permutation, and where on the line of samples each of them ends."""
        permutation = seeded(self.seed, "shards", epoch).permutation(len(self.counts))
        return permutation, np.cumsum(self.counts[permutation])

    def _on_the_line(self, epoch: int, spots: np.ndarray) -> np.ndarray:
        """Places of one epoch as positions on its line of samples: a permutation of them."""
        turn, row = np.divmod(spots, self.slots * self.chunk)
        slot, within = np.divmod(row, self.chunk)
        number, offset = np.divmod(turn * self.chunk + within, self.block)
        is_tail = spots >= self.tail
        slot[is_tail], number[is_tail] = self.slots, 0
        offset[is_tail] = spots[is_tail] - self.tail
        line = np.empty_like(spots)
        group = slot * (self.length // self.block + 1) + number
        for value in np.unique(group):
            rows = np.flatnonzero(group == value)
            start, shuffled = self._blocks(epoch, int(slot[rows[0]]), int(number[rows[0]]))
            line[rows] = start + shuffled[offset[rows]]
        return line

    def _shuffled_block(self, epoch: int, slot: int, number: int) -> tuple[int, np.ndarray]:
        """Where the block begins on the line, and the order of its samples. The slot behind the
        last is the tail, one block."""
        rng = seeded(self.seed, "block", epoch, slot, number)
        if slot == self.slots:
            return self.tail, rng.permutation(self.total - self.tail)
        start = number * self.block
        return slot * self.length + start, rng.permutation(min(self.block, self.length - start))


def seeded(*parts: int | str) -> np.random.Generator:
    """A generator that depends on `parts` alone, alike in every process and on every machine."""
    text = "/".join(map(str, parts)).encode("utf-8", "surrogatepass")
    return np.random.default_rng(int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()))
