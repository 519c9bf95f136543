"""The training stream on one page: places of the run to batches, each made from its own samples."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

import numpy as np
from torch.utils.data import IterableDataset, get_worker_info

from cloc.data.collate import Collate, ModelInput
from cloc.data.samples.decode import origin
from cloc.data.samples.record import Record
from cloc.data.samples.training_view import View, blank, look
from cloc.data.samples.transforms import Sample
from cloc.data.samples.validate import REASONS
from cloc.data.shards.reader import Reader
from cloc.data.shards.remote import Cache
from cloc.data.shards.shard_set import ShardSet
from cloc.data.shards.skip_lists import Skips
from cloc.data.stream.mixture import Mixed, Mixture, Source, locate
from cloc.data.stream.order import Order, Shuffle, seeded
from cloc.data.stream.tally import Dropped, Seen
from cloc.errors import BadSample
from cloc.interfaces import RegionBatch


@dataclass(frozen=True, slots=True)
class Plan:
    """One rank's part of a run: rows `rank * batch_size` and on of each of `steps` batches."""

    sources: Mapping[str, Source]
    shards: Mapping[str, ShardSet]  # of each source
    batch_size: int  # of this rank; all ranks have the same
    steps: int
    seed: int
    shuffle: Shuffle
    cache: Cache
    skips: Skips = field(default_factory=Skips)
    skip_batches: int = 0
    rank: int = 0
    ranks: int = 1

    def batches(self, worker: int, workers: int) -> range:
        """The batches that one of the loader's processes makes; it asks them in turn."""
        return range(self.skip_batches + worker, self.steps, workers)

    def places(self, batch: int) -> np.ndarray:
        """Where in the run's order the samples of a batch stand, int64 [batch_size]."""
        first = (batch * self.ranks + self.rank) * self.batch_size
        return np.arange(first, first + self.batch_size)

    def find(self) -> Callable[[np.ndarray], Mixed]:
        """The run's order: the samples at given places, the same on every rank."""
        size = self.batch_size * self.ranks
        mixture = Mixture({n: s.weight for n, s in self.sources.items()}, batch_size=size)
        orders = [
            Order(
                self.shards[name].counts,
                seed=f"{self.seed}/{name}",
                batch_size=max(round(size * mixture.highest[name]), 1),
                shuffle=self.shuffle,
            )
            for name in self.sources
        ]
        return partial(locate, mixture, orders)


class Loaded(NamedTuple):
    """A batch and what it took to make it."""

    batch: RegionBatch
    seen: Seen


class Row(NamedTuple):
    """One sample of a batch, and how much was annotated."""

    sample: Sample
    boxes: int
    captions: int
    dropped: tuple[Dropped, ...]
    source: str
    shard: str
    skipped: str | None = None  # what asked for it; then the sample is blank
    origin: str = ""  # SHARD::KEY of one that is not


class TrainStream(IterableDataset[Loaded]):
    """The batches that one process of a rank's loader makes.

    A sample that cannot be used, or is skipped, leaves a blank row: no caption, no region, nothing
    a loss looks at. So the next sample is the same one with it and without it.
    """

    def __init__(self, plan: Plan, *, wants: ModelInput) -> None:
        self.plan, self.wants = plan, wants
        self.names = list(plan.sources)

    def __iter__(self) -> Iterator[Loaded]:
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        find = self.plan.find()
        read = [
            Reader(
                key=shards_key(name),
                cache=self.plan.cache,
                index_folder=self.plan.shards[name].index_folder,
            )
            for name in self.names
        ]
        views = [source.view for source in self.plan.sources.values()]
        collate = Collate(
            self.wants,
            max_regions=max(view.max_regions for view in views),
            max_negatives=max(view.max_negatives for view in views),
        )
        for batch in self.plan.batches(worker, workers):
            found = zip(*find(self.plan.places(batch)), strict=True)
            made = [self._make(read[row[0]], *map(int, row)) for row in found]
            samples = [row.sample for row in made]
            origins = tuple(row.origin for row in made)
            whole = collate(samples)._replace(origins=origins)
            yield Loaded(whole, _seen(made, collate.cut(samples)))

    def _make(self, read: Reader, number: int, epoch: int, shard: int, index: int) -> Row:
        """What is drawn depends on (seed, source, epoch, shard, index), never on the process."""
        name = self.names[number]
        source, shards = self.plan.sources[name], self.plan.shards[name]
        size, path = self.wants.image_size, shards.paths[shard]
        if shard in shards.skipped:
            return Row(blank(size), 0, 0, (), name, path, skipped=path)
        try:
            if entry := self.plan.skips.at(path, index):
                return Row(blank(size), 0, 0, (), name, path, skipped=entry)
            raw = read(path, index, count=int(shards.counts[shard]))
            if entry := self.plan.skips.entry(path, raw["__key__"]):
                return Row(blank(size), 0, 0, (), name, path, skipped=entry)
            record = source.parse(raw)
            sample = self._look(record, origin(raw), source.view, name, (epoch, shard, index))
        except BadSample as error:
            whole = Dropped("samples", error.reason, name, str(error))
            return Row(blank(size), 0, 0, (whole,), name, path)
        dropped = tuple(Dropped(_kind(problem.reason), *problem) for problem in record.problems)
        lost = Counter(kind for kind, *_ in dropped)
        return Row(
            sample,
            len(record.regions) + lost["boxes"],
            len(record.captions) + lost["captions"],
            dropped,
            name,
            path,
            origin=origin(raw),
        )

    def _look(
        self, record: Record, where: str, view: View, name: str, place: tuple[int, int, int]
    ) -> Sample:
        """The record as it is shown, with questions where the model wants some."""
        wants, seed = self.wants, self.plan.seed
        sample = look(
            record,
            seeded(seed, name, "view", *place),
            view=view,
            image_size=wants.image_size,
            where=where,
            background=wants.background,
        )
        if wants.ask is None:
            return sample
        asked = wants.ask(sample, seeded(seed, name, "question", *place))
        return replace(sample, asked=asked)


def _kind(reason: str) -> str:
    """What an annotation lost; a reason this project does not know is a source's own, of a box."""
    if REASONS.get(reason, "the region") == "the region":
        return "boxes"
    return "captions" if reason == "caption" else "details"


def _seen(made: Sequence[Row], cut: Sequence[tuple[str, str]]) -> Seen:
    """Of a text that was cut, its end was dropped; `cut` is what `Collate.cut` gives."""
    ends = tuple(Dropped("ends", f"long_{kind}", "", message) for kind, message in cut)
    dropped = (*(dropped for row in made for dropped in row.dropped), *ends)
    return Seen(
        whole=[_is_whole(row) for row in made],
        boxes=sum(row.boxes for row in made),
        captions=sum(row.captions for row in made),
        dropped=dropped,
        shards=tuple(row.shard for row in made if _is_whole(row) is False),
        skipped=tuple(row.skipped for row in made if row.skipped),
        sources=tuple({row.source for row in made}),
        useful=tuple({row.source for row in made if row.boxes or row.captions}),
    )


def _is_whole(row: Row) -> bool | None:
    """None of what is skipped."""
    if row.skipped is not None:
        return None
    return all(dropped.what != "samples" for dropped in row.dropped)


def shards_key(source: str) -> str:
    """The config key that names the shards of a source: the usual single one is `train`."""
    return "data.train" if source == "train" else f"data.sources.{source}.shards"
