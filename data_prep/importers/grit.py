"""GRIT (Kosmos-2): phrases of the caption with boxes, downloaded by img2dataset -> records."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from cloc.data.samples import validate
from cloc.data.samples.record import Record, Region
from cloc.data.samples.text import clean_spans
from cloc.errors import BadSample, UserError
from data_prep.importers.shared.captioned import (
    Fields,
    IsOurs,
    at_most,
    attempts,
    box_of_fractions,
    captions_of,
    check_choice,
    held_out,
    phrase_of,
    picture_named,
    sample_key,
)
from data_prep.importers.shared.frames import STORED, Frame, check_frame, frame_of
from data_prep.importers.shared.parquet import parquet_files, parquet_rows
from data_prep.importers.shared.tars import check_status, ours, read_details, read_member, tar_paths
from data_prep.importers.shared.values import number_of, unsaid, whole_of
from data_prep.importing import Picture, write_splits

COLUMNS = ("noun_chunks", "ref_exps")
ADDED = "download GRIT with img2dataset's save_additional_columns, which GRIT's own page shows"
FOLDER_CURE = "download it again, or allow for it with budget="


class Wanted(NamedTuple):
    """What of a sample becomes its record."""

    spans: Sequence[str]
    kept: Fields
    boxes_in: str


def write_grit(
    out: Path,
    *,
    shards: str | None = None,
    parquet: str | None = None,
    images: str | Path | None = None,
    spans: Sequence[str] = COLUMNS,
    keep: Sequence[str] = (),
    boxes_in: str = STORED,
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
    wanted = Wanted(spans, kept, check_frame(boxes_in))
    if shards is not None and parquet is None and images is None:
        read = partial(_from_tars, tar_paths(shards, key="shards"), wanted)
    elif shards is None and parquet is not None and images is not None:
        files = parquet_files(parquet, key="parquet")
        read = partial(_from_parquet, files, Path(images), wanted)
    else:
        raise UserError("give shards=TARS, or parquet=FILES and images=DIR")
    splits = held_out(read, val=val, budget=budget)
    manifests = write_splits(out, splits, name="grit", samples_per_shard=samples_per_shard)
    kept.check()
    return manifests


def _from_tars(
    paths: list[Path], wanted: Wanted, is_ours: IsOurs, drops: Counter[str]
) -> Iterator[Record | BadSample]:
    def record(sample: Mapping[str, Any]) -> Record:
        data = read_details(sample)
        where = f"{sample['__url__']}::{sample['__key__']}"
        picture = read_member(sample)
        return _record(sample["__key__"], data, picture, wanted, where, drops)

    return attempts(ours(paths, is_ours), record)


def _from_parquet(
    files: list[Path],
    images: Path,
    wanted: Wanted,
    is_ours: IsOurs,
    drops: Counter[str],
) -> Iterator[Record | BadSample]:
    def record(row: Mapping[str, Any]) -> Record:
        where = f"{row['__file__']}::{row['key']}"
        check_status(row, where)
        key = str(row["key"])
        names = [key, f"{row['__file__'].stem}/{key}"]
        picture = picture_named(images, names, cure=FOLDER_CURE)
        return _record(sample_key(f"{row['key']}.jpg"), row, picture, wanted, where, drops)

    # `status` tells img2dataset's files from GRIT's own, whose keys are those of another download.
    needed = ("key", "status", "caption", *wanted.spans)
    rows = parquet_rows(files, needed=needed, wanted=("error_message", *SIZES, *wanted.kept.names))
    return attempts((row for row in rows if is_ours(str(row["key"]))), record)


SIZES = ("original_width", "original_height")


def _record(
    key: str,
    data: Mapping[str, Any],
    picture: Picture,
    wanted: Wanted,
    where: str,
    drops: Counter[str],
) -> Record:
    caption = data.get("caption")
    # null is what pandas writes where nothing was found
    missing = [n for n in wanted.spans if n not in data or not isinstance(data[n], list | None)]
    if missing or not isinstance(caption, str):
        what = (*missing, "caption")[0]
        raise BadSample("annotation", f"{where}: there is no {what}; {ADDED}")
    has_boxes = any(data[name] for name in wanted.spans)
    frame = frame_of(picture, wanted.boxes_in, where, has_boxes=has_boxes)
    _check_shape(data, frame, where)
    regions, places = _regions(caption, data, frame, wanted.spans, where, drops)
    captions = captions_of(caption, "grit", drops)
    meta = wanted.kept.of(data, drops)
    if captions:
        meta["spans"] = places
    return Record(
        key, *picture, captions=captions, regions=regions, meta=meta, orientation=frame.code
    )


def _check_shape(data: Mapping[str, Any], frame: Frame, where: str) -> None:
    """Fractions of the original are fractions of a scaled copy, not of a padded or cropped one."""
    given = [data.get(name) for name in SIZES]
    if any(map(unsaid, given)):  # null, blank or NaN: not said
        return
    width, height = map(whole_of, given)
    if width is None or height is None:
        line = f"{where}: the original was {validate.shown(given)}, expected whole numbers; {ADDED}"
        raise BadSample("annotation", line)
    # img2dataset cuts both sides to whole pixels: each is less than 1 off.
    wide, high = frame.size
    if abs(wide * height - high * width) > width + height:
        size = f"{wide}x{high}, the original was {width}x{height}"
        cure = "download with resize_mode keep_ratio or no: borders and crops move the boxes"
        raise BadSample("aspect", f"{where}: the picture is {size}; {cure}")


def _regions(
    caption: str,
    data: Mapping[str, Any],
    frame: Frame,
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
        elif span and (box := box_of_fractions(entry[2:6], frame, where, drops)):
            score = float(number_of(entry[6]) or 0.0)
            region = Region(box, text, score=score, source="grit")
            found.setdefault((span, box), (region, span))
    kept = at_most(list(found.values()), validate.MAX_REGIONS, "region", drops)
    return tuple(region for region, _ in kept), [span for _, span in kept]


def _span(entry: Any, caption: str) -> tuple[int, int] | None:
    """Where in the caption the phrase is; None for an entry that is not of GRIT's form."""
    if not isinstance(entry, list) or len(entry) != 7:
        return None
    start, end, score = whole_of(entry[0]), whole_of(entry[1]), number_of(entry[6])
    if start is None or end is None or not validate.is_finite(score):
        return None
    return (start, end) if 0 <= start < end <= len(caption) else None
