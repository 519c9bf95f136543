"""What importers share: pictures as they are, splits by key, and shard sets with counted drops.

An importer is one file of `importers/` with a function `write_NAME(out, ...)` that a file of
`configs/import/` names. It reads annotations of one upstream layout and gives records to
`write_splits`. Broken files are a `UserError`; what a large public set always has (pictures that
are gone, boxes without area) is left out and counted.
"""

import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import PIL.Image

from cloc.data.samples import validate
from cloc.data.samples.decode import image_size
from cloc.data.samples.image_header import SCAN
from cloc.data.samples.record import Record
from cloc.data.samples.text import clean
from cloc.data.shards.writer import write_shards
from cloc.errors import BadSample, UserError
from cloc.terminal import shows_bars, track
from data_prep.lost_parts import Parts, licence_of

# MPO is what Pillow calls a JPEG of a camera that holds more pictures behind the first
EXTENSIONS = {"JPEG": "jpg", "MPO": "jpg", "PNG": "png", "WEBP": "webp"}


class Picture(NamedTuple):
    """An encoded image, never re-encoded, and its size in pixels as stored."""

    content: bytes
    extension: str
    width: int
    height: int


class Split(NamedTuple):
    """Records to be written, and what reading them leaves out, which is known only afterwards."""

    records: Iterable[Record]
    drops: Counter[str]  # reason -> how many; counted while `records` is read
    total: int | None = None  # how many records are tried, for the progress bar


def read_picture(path: Path, *, cure: str) -> Picture:
    """The file as it is; its extension is by content, not by name.

    A missing file raises `BadSample("missing")`, one that is no whole JPEG, PNG or WebP
    `BadSample("picture")`; both say `cure`. What the training loader would refuse by the header
    alone (16 bits, an animation, too large) raises what it raises there.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = f"{path}: the picture cannot be read ({error.strerror}); {cure}"
        raise BadSample("missing", reason) from None
    return parse_picture(content, where=str(path), cure=cure)


def parse_picture(content: bytes, *, where: str, cure: str) -> Picture:
    """Of encoded bytes; `read_picture` for what is wrong with them."""
    try:
        with PIL.Image.open(io.BytesIO(content)) as image:
            found, (width, height) = image.format, image.size
    except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError) as error:
        unknown = isinstance(error, PIL.UnidentifiedImageError)  # which names a place in memory
        said = "of a format that Pillow does not know" if unknown else error
        line = f"{where}: not a readable picture ({said}); {cure}"
        raise BadSample("picture", line) from None
    if found not in EXTENSIONS:
        known = ", ".join(EXTENSIONS)
        raise BadSample("picture", f"{where}: a {found} picture, known are {known}; {cure}")
    image_size(content, where)
    if EXTENSIONS[found] == "jpg" and _is_cut(content):
        raise BadSample("picture", f"{where}: a JPEG that is cut, its end is missing; {cure}")
    return Picture(content, EXTENSIONS[found], width, height)


def _is_cut(jpeg: bytes) -> bool:
    """Whether no end mark follows the first scan: a thumbnail in the header has one of its own.

    Decoding would tell the same at 200 times the cost. PNG and WebP give their length, which
    `image_size` looks at.
    """
    at = 2
    while jpeg[at + 1] != SCAN:
        is_fill = jpeg[at + 1] == 0xFF
        at += 1 if is_fill else 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    return jpeg.find(b"\xff\xd9", at) < 0


def clipped(
    box: Sequence[float], width: int, height: int, where: str, drops: Counter[str]
) -> tuple[float, float, float, float] | None:
    """Corners in pixels, clipped to the image; None, and a count, where nothing to see is left. One
    inside the first pixel counts as "box_fraction": fractions of the image, taken for pixels."""
    found, reason = None, ""
    try:
        found = validate.check_box(list(box), width, height, where)
    except BadSample as error:
        reason = error.reason
    if reason in ("", "box_small") and max(box) <= 1 < min(width, height):
        reason = "box_fraction"
    if reason:
        drops[reason] += 1
    return None if reason else found


def words(text: Any) -> str:
    """A caption, a phrase or a class name, clean and on one line; "" for what is no text, and where
    cleaning leaves nothing."""
    return clean(text) if isinstance(text, str) else ""


def is_held_out(key: str | int, *, share: float) -> bool:
    """About `share` of all keys. A function of the key alone, the same on every machine: a sample
    stays where it is when others are added, and moves only to the held-out side when it grows."""
    digest = hashlib.sha256(str(key).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 < share


def check_share(val: float) -> None:
    """The setting `val` of an importer that has no splits of its own."""
    if not validate.is_finite(val) or not 0 <= val < 1:
        raise UserError(f"val={val} is not a share of the images; give 0 <= val < 1")


def whole(
    records: Iterable[Record | BadSample],
    drops: Counter[str],
    *,
    budget: float,
    at_least: int = 100,
) -> Iterator[Record]:
    """The records, without those that could not be made, which are counted by reason.

    More than `budget` of them (a share; looked at after `at_least`, and at the end), or all of
    them, is no accident: the last one's message ends the import as a `UserError`. So do captions
    and regions that were left out of records: see `Parts`.
    """
    if not validate.is_finite(budget) or not 0 <= budget <= 1:
        raise UserError(f"budget={budget} is not a share of the samples; give 0 <= budget <= 1")
    return _kept(records, drops, budget, at_least)


def _kept(
    records: Iterable[Record | BadSample], drops: Counter[str], budget: float, at_least: int
) -> Iterator[Record]:
    tried = bad = 0
    last: BadSample | None = None
    parts = Parts(drops, budget=budget)
    for found in records:
        tried += 1
        if isinstance(found, BadSample):
            parts.add_sample(found.reason)
            bad, last = bad + 1, found
        else:
            parts.add(found)
            yield found
        if tried >= at_least:
            parts.check()
            if bad > budget * tried:
                break
    if last is not None and (bad > budget * tried or bad == tried):
        raise UserError(f"{last} ({bad} of {tried} samples cannot be used, budget={budget:g})")
    parts.check()


def write_splits(
    out: Path,
    splits: Mapping[str, Split],
    *,
    name: str,
    samples_per_shard: int,
    classes: Mapping[str, Sequence[str]] | None = None,
    synonyms: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, dict[str, Any]]:
    """`out/SPLIT` for each; returns their manifests, which hold `drops`, `license` (of the records'
    `meta`, where it is in words -> how many have it) and, where given, `classes` (name -> prompts)
    and their `synonyms` (name -> all that it is called), another protocol of the same benchmark.
    A progress bar is drawn at a terminal and in a notebook."""
    manifests = {}
    for split, (records, drops, total) in splits.items():
        licences = Counter[str]()
        shown = track(
            _licensed(records, licences),
            f"{name} {split}",
            total=total,
            hidden=not shows_bars(),
        )
        # read when all records are written
        extra: dict[str, Any] = {"drops": drops, "license": licences}
        if classes is not None:
            extra = {"classes": {k: list(v) for k, v in classes.items()}, **extra}
        if synonyms:
            extra["synonyms"] = {k: list(v) for k, v in synonyms.items()}
        manifests[split] = write_shards(
            shown, out / split, samples_per_shard=samples_per_shard, extra=extra
        )
    return manifests


def _licensed(records: Iterable[Record], licences: Counter[str]) -> Iterator[Record]:
    for record in records:
        licences.update(licence_of(record))
        yield record
