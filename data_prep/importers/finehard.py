"""FineHARD (FG-CLIP): GRIT's pictures with long captions, boxes and hard negatives -> records."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from cloc.data.samples import validate
from cloc.data.samples.record import Record, Region
from cloc.errors import BadSample, UserError
from data_prep.importers.shared.captioned import (
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
from data_prep.importers.shared.frames import STORED, Frame, check_frame, frame_of
from data_prep.importers.shared.json_rows import rows
from data_prep.importers.shared.values import flag_of, number_of, unsaid
from data_prep.importing import words, write_splits

# The beginning of `f_path` in the released files; FG-CLIP's own reader takes it away, too.
PREFIX = "grit-20m/data-12m/"
EXPRESSIONS = ("short_expr", "long_expr")
CURE = "download it and give it FineHARD's name (url2key_jsons), or allow for it with budget="


def write_finehard(
    out: Path,
    *,
    annotations: str | Path,
    images: str | Path,
    expressions: Sequence[str] = ("short_expr",),
    boxes_in: str = STORED,
    val: float = 0.0,
    budget: float = 0.5,
    samples_per_shard: int = 1000,
) -> dict[str, dict[str, Any]]:
    """Writes `out/train`, and `out/val` if `val` > 0; returns their manifests.

    `annotations` is one of FineHARD's `jsonfiles` or their folder, read object by object; pictures
    are `images/F_PATH`. Captions are `caption` (source "finehard_long") and `short_caption`
    ("finehard_short"). Every box of `bbox_info` is a region for each of `expressions`; the
    negatives are those of `short_expr`, and go with it.
    """
    check_choice(expressions, EXPRESSIONS, key="expressions")
    files, frame = find_files(Path(annotations)), check_frame(boxes_in)
    read = partial(_records, files, Path(images), expressions, frame)
    splits = held_out(read, val=val, budget=budget)
    return write_splits(out, splits, name="finehard", samples_per_shard=samples_per_shard)


def find_files(place: Path) -> list[Path]:
    if not place.is_dir():
        return [place]
    found = sorted(p for p in place.rglob("*") if p.suffix.lower() in (".json", ".jsonl"))
    if not found:
        raise UserError(f"{place} holds no .json; give FineHARD's jsonfiles with annotations=DIR")
    return found


def _records(
    files: list[Path],
    images: Path,
    expressions: Sequence[str],
    boxes_in: str,
    is_ours: IsOurs,
    drops: Counter[str],
) -> Iterator[Record | BadSample]:
    def record(item: tuple[str, str, Mapping[str, Any]]) -> Record:
        key, name, row = item
        where = f"image {name}"
        picture = picture_below(images, name, cure=CURE)
        captions = captions_of(row["caption"], "finehard_long", drops)
        captions += captions_of(row.get("short_caption"), "finehard_short", drops)
        given = _checked_list(row["bbox_info"], where)
        frame = frame_of(picture, boxes_in, where, has_boxes=bool(given))
        regions = [r for info in given for r in _regions(info, expressions, frame, where, drops)]
        kept = at_most(regions, validate.MAX_REGIONS, "region", drops)
        return Record(key, *picture, captions=captions, regions=kept, orientation=frame.code)

    return attempts(_keyed(files, is_ours), record)


def _keyed(
    files: list[Path], is_ours: IsOurs
) -> Iterator[tuple[str, str, Mapping[str, Any]] | BadSample]:
    for path in files:
        for row in rows(path, key="annotations"):
            missing = [n for n in ("f_path", "caption", "bbox_info") if n not in row]
            if missing or not isinstance(row["f_path"], str):
                what = f"an object has no {missing[0]!r}" if missing else ""
                what = what or f"f_path is {validate.shown(row['f_path'])}, expected a text"
                raise UserError(f"{path}: {what}; give FineHARD's jsonfiles with annotations=DIR")
            name = row["f_path"].removeprefix(PREFIX)
            try:
                key = sample_key(name)
            except BadSample as error:
                yield error
                continue
            if is_ours(key):
                yield key, name, row


def _checked_list(given: Any, where: str) -> list[Any]:
    if not isinstance(given, list):
        raise BadSample("annotation", f"{where}: bbox_info is no list; drop the image")
    return given


def _regions(
    info: Any,
    expressions: Sequence[str],
    frame: Frame,
    where: str,
    drops: Counter[str],
) -> Iterator[Region]:
    """`bbox` is x0, y0, x1, y1 in fractions, and the detector's score."""
    given = info.get("bbox") if isinstance(info, dict) else None
    corners = given[:4] if isinstance(given, list) else None
    box = box_of_fractions(corners, frame, where, drops)
    if box is None or not isinstance(given, list):
        return
    score = 1.0 if len(given) < 5 or unsaid(given[4]) else number_of(given[4])
    if score is None or not validate.is_finite(score):
        drops["score"] += 1
        return
    for name in expressions:
        if text := phrase_of(info.get(name), drops):
            wrong = negatives_of(info, text, drops) if name == "short_expr" else ()
            yield Region(box, text, score=float(score), source="finehard", negatives=wrong)


def negatives_of(info: Mapping[str, Any], text: str, drops: Counter[str]) -> tuple[str, ...]:
    """Of `short_expr_negs`, where `flag_short_neg` says that there are any; each once.

    One that says the same as `text`, or that no shard takes, is counted as "negatives".
    """
    given = info.get("short_expr_negs")
    given = list(given.values()) if isinstance(given, dict) else given
    is_there = flag_of(info.get("flag_short_neg"))
    if is_there is None:  # neither yes nor no
        drops["negatives"] += len(given) if isinstance(given, list) else 1
    elif is_there and not isinstance(given, list) and not unsaid(given):
        drops["negatives"] += 1
    if not is_there or not isinstance(given, list):
        return ()
    found = dict.fromkeys(map(words, given))
    same = {phrase for phrase in found if phrase.casefold() == text.casefold()}
    good = [p for p in found if validate.is_phrase(p) and p not in same]
    if lost := len(given) - len(good):
        drops["negatives"] += lost
    return at_most(good, validate.MAX_NEGATIVES, "negatives", drops)
