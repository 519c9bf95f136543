"""The stages of a training step, each measured alone, in samples per second of one rank."""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from statistics import median
from typing import Any, NamedTuple

import torch
import torch.distributed
from omegaconf import DictConfig

from cloc import dist
from cloc.cli.bench.step import make_step, parts_of
from cloc.cli.config.compose import plain
from cloc.data.collate import Collate
from cloc.data.datamodule import RegionData
from cloc.data.pipeline import Plan, shards_key
from cloc.data.samples.training_view import blank, look
from cloc.data.shards.reader import Reader
from cloc.data.stream.order import seeded
from cloc.errors import BadSample
from cloc.interfaces import RegionBatch
from cloc.models.build import build_model

Place = tuple[int, int, int, int]  # source, epoch, shard, sample


class Stages(NamedTuple):
    """Samples per second of one rank; None where there is no such stage."""

    disk: float  # all readers of the rank together
    decode: float  # one core: parse, decode, transforms, tokens, collate
    workers: float  # the loader as configured, nobody consuming
    host_to_device: float | None
    model: float
    communication: float | None


class Machine(NamedTuple):
    """`cores` are those that a rank may use."""

    workers: int
    cores: int


def measure(
    cfg: DictConfig, device: torch.device, *, images: int, repeat: int
) -> tuple[Stages, Machine]:
    """One stage after the other; of several ranks all do the same at the same time."""
    workers = int(cfg.data.num_workers)
    warm = 2 * workers + 2  # while the workers start, each makes two batches ahead
    sized = cfg.copy()
    sized.batch_size = images * dist.world_size()
    module, data = parts_of(sized, steps=repeat + warm)
    loaded, batch = loader_rate(data, warm=warm, repeat=repeat)
    disk, decode = raw_rates(data, batches=min(repeat, 4), readers=max(workers, 1))
    there = to_device(batch, device)
    step = partial(make_step(sized, module, device=device.type), there)
    copy = partial(to_device, batch, device) if device.type == "cuda" else None
    stages = Stages(
        disk=disk,
        decode=decode,
        workers=loaded,
        host_to_device=None if copy is None else images / seconds(copy, repeat),
        model=images / seconds(step, repeat),
        communication=exchange_rate(cfg, device, images=images, repeat=repeat),
    )
    ranks_here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return stages, Machine(workers, max(num_cores() // ranks_here, 1))


def loader_rate(data: RegionData, *, warm: int, repeat: int) -> tuple[float, RegionBatch]:
    """The loader's samples per second after `warm` batches, all of them together, and a batch."""
    stream: Iterator[RegionBatch] = iter(data.train_dataloader())
    *_, batch = islice(stream, warm)
    began = time.perf_counter()
    images = sum(len(next(stream).images) for _ in range(repeat))
    return images / (time.perf_counter() - began), batch


def raw_rates(data: RegionData, *, batches: int, readers: int) -> tuple[float, float]:
    """Samples per second of reading alone, by this many threads, and of one core's other work.

    What was read a moment ago comes from memory, so the places are the run's own, from its end.
    """
    plan: Plan = data.train_dataloader().stream.plan
    names, find = list(plan.sources), plan.find()
    last = range(plan.steps - batches, plan.steps)
    places = [
        tuple(map(int, place))
        for batch in last
        for place in zip(*find(plan.places(batch)), strict=True)
    ]
    read = {
        name: Reader(
            key=shards_key(name), cache=plan.cache, index_folder=plan.shards[name].index_folder
        )
        for name in names
    }

    def raw(place: Any) -> Any:
        number, _, shard, index = place
        name = names[number]
        shards = plan.shards[name]
        try:
            return read[name](shards.paths[shard], index, count=int(shards.counts[shard]))
        except BadSample:
            return None

    began = time.perf_counter()
    with ThreadPoolExecutor(readers) as pool:
        raws = list(pool.map(raw, places))
    read_all = time.perf_counter()
    make_batches(data, plan, places, raws)
    done = time.perf_counter()
    return len(places) / (read_all - began), len(places) / (done - read_all)


def make_batches(data: RegionData, plan: Plan, places: list[Any], raws: list[Any]) -> None:
    """What a worker does with bytes; blank rows where a sample is unusable, as in training."""
    sources, names, size = plan.sources, list(plan.sources), data.wants.image_size
    views = [source.view for source in sources.values()]
    collate = Collate(
        data.wants,
        max_regions=max(view.max_regions for view in views),
        max_negatives=max(view.max_negatives for view in views),
    )
    samples = []
    for (number, *at), raw in zip(places, raws, strict=True):
        source = sources[names[number]]
        rng = seeded(plan.seed, names[number], "view", *at)
        try:
            if raw is None:
                raise BadSample("shard", "could not be read")
            record = source.parse(raw)
            sample = look(
                record,
                rng,
                view=source.view,
                image_size=size,
                where="",
                background=data.wants.background,
            )
        except BadSample:
            sample = blank(size)
        samples.append(sample)
        if len(samples) == plan.batch_size:
            collate(samples)
            samples.clear()


def exchange_rate(
    cfg: DictConfig, device: torch.device, *, images: int, repeat: int
) -> float | None:
    """If a step were nothing but the all-reduce of its gradients; None for one rank."""
    if dist.world_size() == 1:
        return None
    with torch.device("meta"):
        model = build_model(**plain(cfg.model))
    count = sum(p.numel() for p in model.parameters() if p.requires_grad)
    gradients = torch.zeros(count, device=device)
    return images / seconds(lambda: torch.distributed.all_reduce(gradients), repeat)


def seconds(run: Callable[[], Any], repeat: int) -> float:
    """Median of `repeat` runs after two; a GPU is waited for."""
    taken = []
    for _ in range(repeat + 2):
        began = time.perf_counter()
        run()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - began)
    return median(taken[2:])


def to_device(batch: RegionBatch, device: torch.device) -> RegionBatch:
    """As Lightning moves it."""
    fields: dict[str, Any] = {
        k: v.to(device, non_blocking=True) for k, v in batch._asdict().items() if torch.is_tensor(v)
    }
    return batch._replace(**fields)


def num_cores() -> int:
    """That this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
