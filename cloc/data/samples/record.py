"""One annotated image as shards hold it: encoded bytes and pixel boxes, schema `cloc-regions/1`.

No torch here: data preparation and the loader both stand on this file.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

from cloc.data.samples import validate
from cloc.data.samples.aligned import carried
from cloc.data.samples.json_objects import parse_strictly
from cloc.data.samples.orientation import CODES
from cloc.errors import BadSample

SCHEMA = "cloc-regions/1"
IMAGE_EXTENSIONS = ("jpg", "png", "webp")

T = TypeVar("T")


class Problem(NamedTuple):
    """One thing that reading left out; `validate.REASONS` says what goes for a reason."""

    reason: str
    source: str  # of the region or caption it is about, "" where it names none
    message: str  # one line: where, what was given, the cure


@dataclass(frozen=True, slots=True)
class Caption:
    """A sentence about the whole image and who wrote it."""

    text: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class Region:
    """A box in pixels of the stored image, (x0, y0, x1, y1), and what it shows."""

    box: tuple[float, float, float, float]
    text: str
    score: float = 1.0
    source: str = ""
    negatives: tuple[str, ...] = ()  # phrases that are wrong for this box
    label: str = ""  # class name, where the data set has classes


@dataclass(frozen=True, slots=True)
class Record:
    """`image` is encoded (jpg, png or webp by `extension`); `meta` is free-form JSON."""

    key: str
    image: bytes
    extension: str
    width: int
    height: int
    captions: tuple[Caption, ...] = ()
    regions: tuple[Region, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()  # what reading left out; not written
    orientation: int = 1  # EXIF's code: how pixels and boxes are turned to be shown upright

    def with_regions(self, kept: Sequence[int], added: Sequence[Region] = ()) -> "Record":
        """Its regions at the places `kept`, in their order, and new ones behind; what `meta` says
        of single regions goes with them (`cloc.data.samples.aligned`)."""
        where, count = f"record {self.key}", len(self.regions)
        meta = carried(self.meta, where, kept=kept, count=count, added=len(added))
        return replace(self, regions=(*(self.regions[i] for i in kept), *added), meta=meta)


def to_bytes(record: Record, where: str) -> bytes:
    """The `.json` member of a sample: compact UTF-8; equal records give equal bytes.

    What `from_json` would refuse or leave out raises `BadSample` here, where it can be mended. A
    box that passes the edge of the image is written as it is and clipped where it is read.
    """
    try:
        text = json.dumps(to_json(record), ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise validate.bad(where, f"the annotation cannot be written as JSON ({error})") from None
    # Half a surrogate pair survives in `text`, so the message can name the region that holds it.
    refuse_problems(from_json(record.key, record.image, record.extension, text, where))
    return text.encode()


def refuse_problems(record: Record) -> Record:
    """The record itself; where reading left something out, `BadSample` with the first problem."""
    for problem in record.problems:
        raise BadSample(problem.reason, problem.message)
    return record


def to_json(record: Record) -> dict[str, Any]:
    """What `to_bytes` writes, unchecked; keys in a fixed order, boxes to 0.01 pixel."""
    turned = {} if record.orientation == 1 else {"orientation": record.orientation}
    return {
        "schema": SCHEMA,
        "width": record.width,
        "height": record.height,
        **turned,
        "captions": [{"text": c.text, "source": c.source} for c in record.captions],
        "regions": [_region_json(region) for region in record.regions],
        "meta": dict(record.meta),
    }


def _region_json(region: Region) -> dict[str, Any]:
    return {
        "box": [round(x, 2) for x in region.box],
        "text": region.text,
        "score": region.score,
        "source": region.source,
        "negatives": list(region.negatives),
        "label": region.label,
    }


def from_json(key: str, image: bytes, extension: str, text: bytes | str, where: str) -> Record:
    """The record of an annotation, every box and text of it checked; boxes clipped to the image.

    What is wrong with one region, one caption or `meta` costs that alone and is told in `problems`;
    what is wrong with the whole raises `BadSample("annotation")` naming `where`.
    """
    data = parse_json(text, where)
    width = validate.check_side(data.get("width"), where, name="width")
    height = validate.check_side(data.get("height"), where, name="height")
    captions, regions = (
        validate.check_list(data.get(name), where, name=name, at_most=at_most)
        for name, at_most in (
            ("captions", validate.MAX_CAPTIONS),
            ("regions", validate.MAX_REGIONS),
        )
    )
    notes = _Notes()
    read_captions = [_caption(c, f"{where}: caption {i}", notes) for i, c in enumerate(captions)]
    read_regions = [
        _region(r, width, height, f"{where}: region {i}", notes) for i, r in enumerate(regions)
    ]
    meta: dict[str, Any] = notes.unless_bad(validate.check_meta, data.get("meta"), where, {})
    kept = [i for i, region in enumerate(read_regions) if region is not None]
    if len(kept) < len(regions):
        check = partial(carried, kept=kept, count=len(regions))
        meta = notes.unless_bad(check, meta, where, {})
    return Record(
        key=key,
        image=image,
        extension=extension,
        width=width,
        height=height,
        captions=tuple(c for c in read_captions if c is not None),
        regions=tuple(r for r in read_regions if r is not None),
        meta=meta,
        problems=tuple(notes.problems),
        orientation=_orientation(data.get("orientation"), where),
    )


def _orientation(value: Any, where: str) -> int:
    if value is None:
        return 1
    if type(value) is not int or value not in CODES:
        what = f"orientation is {validate.shown(value)}, expected EXIF's code, 1 to 8"
        raise validate.bad(where, what)
    return value


def parse_json(text: bytes | str, where: str) -> dict[str, Any]:
    """An object of schema `cloc-regions/1`: strict UTF-8, no key twice, capped in size and depth.

    NaN and Infinity, which Python's json admits, stay in: the check of the value that holds one
    names it, so that one such coordinate costs one region.
    """
    data = parse_strictly(text, where)
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        given = data.get("schema") if isinstance(data, dict) else type(data).__name__
        raise BadSample(
            "annotation",
            f"{where}: schema {validate.shown(given)}, expected {SCHEMA!r}; plain image-text "
            "shards are read with data=captions",
        )
    validate.check_depth(data, where)
    return data


class _Notes:
    """What is left out while one annotation is read."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def add(self, error: BadSample, source: str) -> None:
        self.problems.append(Problem(error.reason, source, str(error)))

    def unless_bad(
        self,
        check: Callable[[Any, str], T],
        value: Any,
        where: str,
        otherwise: T,
        source: str = "",
    ) -> T:
        """What `check` makes of the value; `otherwise`, and a problem, where it refuses."""
        try:
            return check(value, where)
        except BadSample as error:
            self.add(error, source)
            return otherwise


_SOURCE = partial(validate.check_name, name="source")
_LABEL = partial(validate.check_name, name="label")


def _caption(data: Any, where: str, notes: _Notes) -> Caption | None:
    source = ""
    try:
        validate.check_object(data, where, reason="caption")
        source = notes.unless_bad(_SOURCE, data.get("source"), where, "")
        at_most = validate.MAX_CAPTION_CHARS
        text = validate.check_words(data.get("text"), where, reason="caption", at_most=at_most)
    except BadSample as error:
        notes.add(error, source)
        return None
    return Caption(text, source)


def _region(data: Any, width: int, height: int, where: str, notes: _Notes) -> Region | None:
    source = ""
    try:
        validate.check_object(data, where, reason="region")
        source = notes.unless_bad(_SOURCE, data.get("source"), where, "")
        box = validate.check_box(data.get("box"), width, height, where)
        at_most = validate.MAX_PHRASE_CHARS
        text = validate.check_words(data.get("text"), where, reason="text", at_most=at_most)
        score = validate.check_score(data.get("score", 1.0), where)
    except BadSample as error:
        notes.add(error, source)
        return None
    label = notes.unless_bad(_LABEL, data.get("label"), where, "", source)
    negatives, wrong = validate.usable_negatives(data.get("negatives"), where)
    if wrong is not None:
        notes.add(wrong, source)
    return Region(box, text, score, source, negatives, label)
