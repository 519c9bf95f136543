"""Our training loader against open_clip's own, on the same shards, at the same size, on one core.

Both run in this process, in turns, and CPU time is what counts: others on the machine do not.
"""

import io
import math
import os
import tarfile
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import cv2
import open_clip
import torch
from webdataset.tariterators import tar_file_expander

from cloc.cli.bench import open_clip_trainer
from cloc.data.collate import ModelInput
from cloc.data.datamodule import RegionData
from cloc.data.samples.record import Caption, Record
from cloc.data.samples.training_view import View
from cloc.data.samples.transforms import RandomCrop
from cloc.data.shards.index import write_index
from cloc.data.shards.reader import read_samples
from cloc.data.shards.shard_set import open_shards
from cloc.data.shards.writer import write_shards
from cloc.data.sources import caption_only, cloc_regions
from cloc.data.stream.mixture import Source
from cloc.errors import UserError
from cloc.interfaces import RegionBatch

SIZE = 224
CONTEXT, REGION_CONTEXT = 77, 16
BATCH = 64
TURN = 2  # batches
OPEN_CLIPS_CROP = (0.9, 1.0)  # the default of its training transform


def sides(shards: str, *, repeat: int) -> dict[str, list[float]]:
    """Samples per second of one core in each of `repeat` turns: open_clip, and ours three times.

    `captions` reads the very shards open_clip reads and shows whole images, `crop` cuts as
    open_clip does, `regions` has boxes and phrases too. Each photograph's caption is made unique
    and nothing is read twice, so that no side remembers a caption.
    """
    count = (repeat + 1) * TURN * BATCH
    with one_core(), tempfile.TemporaryDirectory() as folder:
        plain, annotated = Path(folder, "captions.tar"), Path(folder, "regions")
        write_captions(numbered(shards, count), plain)
        write_shards(numbered(shards, count), annotated, samples_per_shard=count)
        crop = View(frame=partial(RandomCrop, scale=OPEN_CLIPS_CROP))
        streams: dict[str, Iterator[Any]] = {
            "open_clip": of_open_clip(plain, count, batch=BATCH),
            "captions": ours(plain, caption_only.parse, View(), count, batch=BATCH),
            "crop": ours(plain, caption_only.parse, crop, count, batch=BATCH),
            "regions": ours(annotated, cloc_regions.parse, View(), count, batch=BATCH),
        }
        found: dict[str, list[float]] = {name: [] for name in streams}
        for turn in range(repeat + 1):
            for name, stream in streams.items():
                started = time.process_time()
                for _ in range(TURN):
                    next(stream)
                if turn:  # the first one fills shuffle buffers
                    found[name].append(TURN * BATCH / (time.process_time() - started))
    return found


@contextmanager
def one_core() -> Iterator[None]:
    """One thread on one core, and as before afterwards."""
    threads = torch.get_num_threads(), cv2.getNumThreads()
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        if cores:
            os.sched_setaffinity(0, {max(cores)})
        yield
    finally:
        torch.set_num_threads(threads[0])
        cv2.setNumThreads(threads[1])
        if cores:
            os.sched_setaffinity(0, cores)


def numbered(shards: str, count: int) -> Iterator[Record]:
    """The captioned records of `shards`, again and again, with keys and captions of their own."""
    found = open_shards(shards, key="shards")
    records = [cloc_regions.parse(raw) for raw in read_samples(found, key="shards")]
    captioned = [r for r in records if r.captions and r.extension == "jpg"]
    if not captioned:
        raise UserError(f"shards={shards}: no photograph (jpg) with a caption in them")
    for i, record in enumerate(islice(cycle(captioned), count)):
        caption = Caption(f"{record.captions[i % len(record.captions)].text} {i}")
        yield replace(record, key=f"{i:06d}", captions=(caption,))


def write_captions(records: Iterator[Record], path: Path) -> None:
    """KEY.jpg beside KEY.txt, as open_clip reads it, and the index that ours reads."""
    with tarfile.open(path, "w") as tar:
        for record in records:
            members = {"jpg": record.image, "txt": record.captions[0].text.encode()}
            for suffix, data in members.items():
                info = tarfile.TarInfo(f"{record.key}.{suffix}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    write_index(path)


def ours(shards: Path, parse: Any, view: View, count: int, *, batch: int) -> Iterator[RegionBatch]:
    """`count` samples in this process."""
    wants = ModelInput(SIZE, open_clip.get_tokenizer("ViT-B-32"), CONTEXT, REGION_CONTEXT)
    data = RegionData(
        {"train": Source(str(shards), parse, view)},
        wants=wants,
        batch_size=batch,
        steps=count // batch,
    )
    return iter(data.train_dataloader())


def of_open_clip(shards: Path, count: int, *, batch: int) -> Iterator[Any]:
    """`get_wds_dataset` with the transform and the tokenizer of a default training run."""
    data: Any = open_clip_trainer.module("data")
    # open_clip 3.3 fails on the marker that webdataset 1.0 puts at the end of a shard.
    data.tar_file_expander = partial(tar_file_expander, eof_value=None)
    data._SAMPLE_SHUFFLE_SIZE = data._SAMPLE_SHUFFLE_INITIAL = TURN * batch  # as ours
    args = Namespace(
        train_data=str(shards),
        train_num_samples=count,
        train_data_upsampling_factors=None,
        dataset_resampled=False,
        batch_size=batch,
        workers=0,
        world_size=1,
        seed=0,
    )
    transform = open_clip.image_transform(SIZE, is_train=True)
    tokenizer = open_clip.get_tokenizer("ViT-B-32")
    return iter(data.get_wds_dataset(args, transform, True, tokenizer=tokenizer).dataloader)


def ratio_of_totals(above: list[float], below: list[float]) -> float:
    """Of the speeds over all turns of equal length."""
    return math.fsum(1 / x for x in below) / math.fsum(1 / x for x in above)
