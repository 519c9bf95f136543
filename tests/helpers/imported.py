"""What the prepare command wrote, read back as the loader reads it."""

from pathlib import Path
from typing import Any

import PIL.Image

from cloc.cli.prepare import main
from cloc.data.samples.record import Record
from cloc.data.shards.reader import read_samples
from cloc.data.shards.shard_set import open_shards
from cloc.data.sources.cloc_regions import parse


def prepared(name: str, out: Path, **settings: Any) -> None:
    """Runs `prepare.py import=NAME`, all the way through its configuration."""
    main([f"import={name}", f"out={out}", *(f"{k}={v}" for k, v in settings.items())])


def imported(folder: Path) -> dict[str, Record]:
    """Key -> record of one split; the loader must find nothing wrong with any."""
    samples = read_samples(open_shards(folder, key="splits"), key="splits")
    records = {record.key: record for record in map(parse, samples)}
    assert not any(record.problems for record in records.values())
    return records


def draw(path: Path, size: tuple[int, int] = (40, 30), **options: Any) -> Path:
    """A picture, its folders made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new("RGB", size, (len(path.name), 0, 0)).save(path, **options)
    return path
