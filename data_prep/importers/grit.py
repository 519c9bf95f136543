"""GRIT (Kosmos-2): phrases of the caption with boxes, downloaded by img2dataset -> records."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from cloc.data import validate
from cloc.data.record import Record, Region
from cloc.errors import BadSample, UserError
from cloc.text import clean_spans
from data_prep.importers.captioned import (
    Fields,
    IsOurs,
    at_most,
    attempts,
    box_of_fractions,
    captions_of,
    check_choice,
    held_out,
    phrase_of,
    picture_below,
    sample_key,
)
from data_prep.importers.parquet import parquet_files, parquet_rows
from data_prep.importers.tars import check_status, ours, read_details, read_member, tar_paths
from data_prep.importing import Picture, write_splits

COLUMNS = ("noun_chunks", "ref_exps")
ADDED = "download GRIT with img2dataset's save_additional_columns, which GRIT's own page shows"
FOLDER_CURE = "download it again, or allow for it with budget="
EXTENSIONS = ("jpg", "png", "webp", "jpeg")


def write_grit(
    out: Path,
    *,
    shards: str | None = None,
    parquet: str | None = None,
    images: str | Path | None = None,
    spans: Sequence[str] = COLUMNS,
    keep: Sequence[str] = (),
    val: float = 0.0,
    budget: float = 0.5,
    samples_per_shard: int = 1000,
) -> dict[str, dict[str, Any]]:
    """Writes `out/train`, and `out/val` if `val` > 0; returns their manifests.

    Read are either img2dataset's tars (`shards`), whose json members hold the columns, or its
    parquet files with the pictures `images/KEY.jpg` or `images/NAME_OF_PARQUET/KEY.jpg`. Every
    entry `[start, end, x0, y0, x1, y1, score]` of the columns `spans` is a region whose text is
    `caption[start:end]`; equal entries of two columns are one. `meta` holds the fields `keep` and
    the `spans` in the order of the regions, as places in the caption as it is stored (clean). The
    picture's own size counts: boxes are fractions.
    """
    check_choice(spans, COLUMNS, key="spans")
    kept = Fields(keep, key="keep")
    if shards is not None and parquet is None and images is None:
        read = partial(_from_tars, tar_paths(shards, key="shards"), spans, kept)
    elif shards is None and parquet is not None and images is not None:
        files = parquet_files(parquet, key="parquet")
        read = partial(_from_parquet, files, Path(images), spans, kept)
    else:
        raise UserError("give shards=TARS, or parquet=FILES and images=DIR")
    splits = held_out(read, val=val, budget=budget)
    manifests = write_splits(out, splits, name="grit", samples_per_shard=samples_per_shard)
    kept.check()
    return manifests


def _from_tars(
    paths: list[Path], spans: Sequence[str], kept: Fields, is_ours: IsOurs, drops: Counter[str]
) -> Iterator[Record | BadSample]:
    def record(sample: Mapping[str, Any]) -> Record:
        data = read_details(sample)
        where = f"{sample['__url__']}::{sample['__key__']}"
        picture = read_member(sample)
        return _record(sample["__key__"], data, picture, spans, kept, where, drops)

    return attempts(ours(paths, is_ours), record)


def _from_parquet(
    files: list[Path],
    images: Path,
    spans: Sequence[str],
    kept: Fields,
    is_ours: IsOurs,
    drops: Counter[str],
) -> Iterator[Record | BadSample]:
    def record(row: Mapping[str, Any]) -> Record:
        where = f"{row['__file__']}::{row['key']}"
        check_status(row, where)
        names = [f"{row['key']}.{e}" for e in EXTENSIONS]
        names += [f"{row['__file__'].stem}/{name}" for name in names]
        name = next((n for n in names if (images / n).is_file()), names[0])
        picture = picture_below(images, name, cure=FOLDER_CURE)
        return _record(sample_key(f"{row['key']}.jpg"), row, picture, spans, kept, where, drops)

    # `status` tells img2dataset's files from GRIT's own, whose keys are those of another download.
    needed = ("key", "status", "caption", *spans)
    rows = parquet_rows(files, needed=needed, wanted=("error_message", *SIZES, *kept.names))
    return attempts((row for row in rows if is_ours(str(row["key"]))), record)


SIZES = ("original_width", "original_height")


def _record(
    key: str,
    data: Mapping[str, Any],
    picture: Picture,
    spans: Sequence[str],
    kept: Fields,
    where: str,
    drops: Counter[str],
) -> Record:
    caption = data.get("caption")
    # null is what pandas writes where nothing was found
    missing = [n for n in spans if n not in data or not isinstance(data[n], list | None)]
    if missing or not isinstance(caption, str):
        what = (*missing, "caption")[0]
        raise BadSample("annotation", f"{where}: there is no {what}; {ADDED}")
    _check_shape(data, picture, where)
    regions, places = _regions(caption, data, picture, spans, where, drops)
    captions = captions_of(caption, "grit", drops)
    meta = kept.of(data, drops)
    if captions:
        meta["spans"] = places
    return Record(key, *picture, captions=captions, regions=regions, meta=meta)


def _check_shape(data: Mapping[str, Any], picture: Picture, where: str) -> None:
    """Fractions of the original are fractions of a scaled copy, not of a padded or cropped one."""
    width, height = (data.get(name) for name in SIZES)
    if width is None or height is None:
        return
    # img2dataset cuts both sides to whole pixels: each is less than 1 off.
    if abs(picture.width * height - picture.height * width) > width + height:
        size = f"{picture.width}x{picture.height}, the original was {width}x{height}"
        cure = "download with resize_mode keep_ratio or no: borders and crops move the boxes"
        raise BadSample("aspect", f"{where}: the picture is {size}; {cure}")


def _regions(
    caption: str,
    data: Mapping[str, Any],
    picture: Picture,
    spans: Sequence[str],
    where: str,
    drops: Counter[str],
) -> tuple[tuple[Region, ...], list[tuple[int, int]]]:
    """And where each one's phrase stands in the clean caption."""
    found: dict[tuple[Any, ...], tuple[Region, tuple[int, int]]] = {}
    entries = [entry for column in spans for entry in data[column] or ()]
    given = [_span(entry, caption) for entry in entries]
    moved = dict(zip(given, clean_spans(caption, [s or (0, 0) for s in given]), strict=True))
    for entry, place in zip(entries, given, strict=True):
        text = phrase_of(caption[slice(*place)], drops) if place else ""
        span = moved[place]
        if not place or (text and span is None):
            drops["span"] += 1
        elif span and (box := box_of_fractions(entry[2:6], picture, where, drops)):
            region = Region(box, text, score=float(entry[6]), source="grit")
            found.setdefault((span, box), (region, span))
    kept = at_most(list(found.values()), validate.MAX_REGIONS, "region", drops)
    return tuple(region for region, _ in kept), [span for _, span in kept]


def _span(entry: Any, caption: str) -> tuple[int, int] | None:
    """Where in the caption the phrase is; None for an entry that is not of GRIT's form."""
    if not isinstance(entry, list) or len(entry) != 7:
        return None
    numbers = [entry[0], entry[1], entry[6]]
    if not all(map(validate.is_finite, numbers)):
        return None
    start, end = int(entry[0]), int(entry[1])
    return (start, end) if 0 <= start < end <= len(caption) else None
