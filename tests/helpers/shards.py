"""Real tar shards for tests: odd members by hand, ordinary ones through the shard writer."""

import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import PIL.Image
import torch
from torch import Tensor

from cloc.data.samples.record import Caption, Record, Region
from cloc.data.shards.writer import write_shards


def encode(pixels: np.ndarray, format: str = "PNG") -> bytes:
    """uint8 [h, w, 3] as the bytes of an image file."""
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, format)
    return file.getvalue()


def flat(width: int, height: int, colour: Sequence[int] = (90, 90, 90)) -> np.ndarray:
    """uint8 [h, w, 3] of one colour."""
    return np.full((height, width, 3), colour, np.uint8)


def write_tar(path: Path, members: Mapping[str, bytes]) -> Path:
    """A tar of exactly these members, in this order."""
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def make_record(number: int) -> Record:
    """20 x 10 pixels; `number % 7` regions, so some images have none and some more than 4."""
    regions = tuple(
        Region(
            (float(i), 1.0, i + 3.0, 4.0),
            f"thing {i} of {number}",
            negatives=("no thing", f"not {i}"),
        )
        for i in range(number % 7)
    )
    captions = (Caption(f"picture {number}"), Caption(f"image number {number}"))
    image = encode(flat(20, 10, (number % 256, 60, 90)))
    return Record(f"{number:05d}", image, "png", 20, 10, captions, regions)


def make_shards(folder: Path, *, shards: int, each: int) -> Path:
    """`shards` tars of `each` samples of `make_record` with a manifest, in `folder`."""
    write_shards(map(make_record, range(shards * each)), folder, samples_per_shard=each)
    return folder


def corrupt(path: Path, *, sample: int) -> None:
    """Overwrites the header of a sample's first member."""
    start = int(np.fromfile(path.with_suffix(".idx"), "<u8")[sample])
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"x" * 100)


def spell(texts: list[str], context_length: int) -> Tensor:
    """A tokenizer of letters: start 1, letters as their code, end 2, padding 0; cut keeps end."""
    rows = torch.zeros(len(texts), context_length, dtype=torch.long)
    for row, text in zip(rows, texts, strict=True):
        tokens = [1, *map(ord, text), 2]
        if len(tokens) > context_length:
            tokens[context_length - 1 :] = [2]
        row[: len(tokens)] = torch.tensor(tokens)
    return rows
