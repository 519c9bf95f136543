"""Small input sets and workers for the engine of data preparation."""

import hashlib
import io
from functools import partial
from pathlib import Path

import PIL.Image

from cloc.data.samples.record import Caption, Record, Region
from cloc.data.shards.shard_set import open_shards
from cloc.data.shards.writer import write_shards
from cloc.data.sources.cloc_regions import parse
from data_prep.job import manifest_digests, open_job, plan_units
from data_prep.work_unit import Work
from tests.helpers.stages import Fails, Waits, Words

KINDS = {"words": Words, "fails": Fails, "waits": Waits}


def write_input(folder: Path, *, shards=4, each=3) -> Path:
    """Records `s0i1` and so on: shard 0, image 1; two words of caption, one of them a region."""
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (20, 10), (200, 30, 30)).save(buffer, "PNG")
    records = [
        Record(
            f"s{shard}i{i}",
            buffer.getvalue(),
            "png",
            20,
            10,
            captions=(Caption(f"word{shard} {'x' * (1 + i)}", "alt"),),
            regions=(Region((1.0, 2.0, 9.0, 8.0), f"word{shard}"),),
        )
        for shard in range(shards)
        for i in range(each)
    ]
    write_shards(records, folder, samples_per_shard=each)
    return folder


def make(settings, name):
    """A stage of `settings`, name -> arguments; in whatever process."""
    return KINDS[name](**settings[name])


def begin(folder: Path, out: Path, settings=None, **more):
    """(job, work) of an output folder over the input `folder`."""
    settings = settings or {"words": {}}
    shards = open_shards(str(folder), key="input")
    units = plan_units(shards, sha256=manifest_digests(str(folder)))
    job = open_job(out, units, settings)
    work = Work(
        make=partial(make, settings),
        stages=tuple(settings),
        parse=parse,
        out=str(out),
        job=job.digest,
        **{"max_unreadable": 0.1, "begun_with": {}, **more},
    )
    return job, work


def digests(out: Path) -> dict[str, str]:
    """Of all tars and indexes of an output folder, by name."""
    files = sorted([*out.glob("*.tar"), *out.glob("*.idx")])
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
