"""Flickr30k Entities: five captions an image, whose phrases have boxes -> records."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from xml.etree import ElementTree

from cloc.data.samples.record import Record, Region
from cloc.data.samples.text import lines
from cloc.data.samples.validate import shown
from cloc.errors import UserError
from data_prep.importers.shared.captioned import (
    Box,
    attempts,
    captions_of,
    phrase_of,
    picture_named,
)
from data_prep.importers.shared.frames import STORED, Frame, check_frame, frame_of
from data_prep.importers.shared.values import flag_of, number_of, whole_of
from data_prep.importing import Split, clipped, whole, write_splits

SPLITS = ("train", "val", "test")
PHRASE = re.compile(r"\[/EN#(\d+)((?:/[A-Za-z]+)+) ([^][]+)\]")
NOTVISUAL = "0"  # the number of phrases that no picture can show
CURE = "give the folder of flickr30k's pictures with images=DIR"
REPOSITORY = "give flickr30k_entities with its annotations.zip unpacked with entities=DIR"

T = TypeVar("T")


class Sentence(NamedTuple):
    """A caption without its marks, and its phrases: (entity, words)."""

    text: str
    phrases: tuple[tuple[str, str], ...]


class Boxes(NamedTuple):
    """Of one image, by entity; those that have none are scenes or were not drawn."""

    width: int
    height: int
    boxes: Mapping[str, list[tuple[float, ...]]]
    unboxed: Mapping[str, str]  # entity -> "scene" or "nobox"


def write_flickr30k_entities(
    out: Path,
    *,
    entities: str | Path,
    images: str | Path,
    boxes_in: str = STORED,
    budget: float = 0.0,
    samples_per_shard: int = 1000,
) -> dict[str, dict[str, Any]]:
    """Writes `out/train`, `out/val` and `out/test`, as far as the lists are there; returns their
    manifests.

    `entities` holds `Sentences/`, `Annotations/` and the lists of images `train.txt`, `val.txt` and
    `test.txt`. Every phrase is a region for each box of its entity, equal ones of several captions
    are one; `meta["entities"]` holds the entities in the order of the regions. Entities without a
    box are counted, once an image: "scene" and "nobox" as annotated, "notvisual" (number 0) and
    "unboxed" (not annotated).
    """
    folder = Path(entities)
    splits = {}
    for split in SPLITS:
        if (folder / f"{split}.txt").is_file():
            numbers = _text(folder / f"{split}.txt", "the list").split()
            drops = Counter[str]()
            records = attempts(
                numbers, partial(_record, folder, Path(images), check_frame(boxes_in), drops)
            )
            splits[split] = Split(whole(records, drops, budget=budget), drops, len(numbers))
    if not splits:
        raise UserError(f"{folder} has none of train.txt, val.txt, test.txt; {REPOSITORY}")
    return write_splits(out, splits, name="flickr30k_entities", samples_per_shard=samples_per_shard)


def _record(folder: Path, images: Path, boxes_in: str, drops: Counter[str], number: str) -> Record:
    if not number.isdecimal():
        raise UserError(f"{folder}: the lists name image {number!r}, expected a number")
    sentences = read_sentences(folder / "Sentences" / f"{number}.txt")
    boxes = read_boxes(folder / "Annotations" / f"{number}.xml")
    picture = picture_named(images, [number], cure=CURE)
    where = f"image {number}"
    has_boxes = any(boxes.boxes.values())
    size = (boxes.width, boxes.height)
    frame = frame_of(picture, boxes_in, where, size=size, has_boxes=has_boxes)
    regions = _regions(sentences, boxes, frame, where, drops)
    return Record(
        number,
        *picture,
        captions=captions_of([s.text for s in sentences], "flickr30k", drops),
        regions=tuple(region for _, region in regions),
        meta={"entities": [entity for entity, _ in regions]},
        orientation=frame.code,
    )


def _regions(
    sentences: list[Sentence], boxes: Boxes, frame: Frame, where: str, drops: Counter[str]
) -> list[tuple[str, Region]]:
    phrases = dict.fromkeys(phrase for sentence in sentences for phrase in sentence.phrases)
    drops.update(_unboxed({entity for entity, _ in phrases}, boxes))
    visible: dict[str, list[Box]] = {}
    for entity in dict.fromkeys(e for e, _ in phrases if e in boxes.boxes):
        stored = map(frame.stored, boxes.boxes[entity])
        given = (clipped(box, *frame.picture[2:], where, drops) for box in stored)
        visible[entity] = [box for box in dict.fromkeys(given) if box is not None]
    return [
        (entity, Region(box, text, source="flickr30k_entities"))
        for entity, given in phrases
        if entity in visible and (text := phrase_of(given, drops))
        for box in visible[entity]
    ]


def _unboxed(entities: set[str], boxes: Boxes) -> Counter[str]:
    without = entities - boxes.boxes.keys()
    return Counter(
        "notvisual" if entity == NOTVISUAL else boxes.unboxed.get(entity, "unboxed")
        for entity in sorted(without)
    )


def _text(path: Path, what: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {what} cannot be read ({error}); {REPOSITORY}") from None


def read_sentences(path: Path) -> list[Sentence]:
    """Of `A [/EN#1/people tall man] waves .`: the text without marks and (entity, words)."""
    given = lines(_text(path, "the captions"))
    found = []
    for number, line in enumerate(given, 1):
        text = PHRASE.sub(r"\3", line)
        if "[/EN" in text:
            raise UserError(f"{path}: line {number} has a phrase that does not end; correct it")
        if line.strip():
            found.append(Sentence(text, tuple((m[1], m[3]) for m in PHRASE.finditer(line))))
    return found


def read_boxes(path: Path) -> Boxes:
    """Corners of an annotation count pixels from 1, both inside; here they count from 0, the second
    one outside."""
    root = _parse_xml(path)
    boxes: dict[str, list[tuple[float, ...]]] = {}
    unboxed: dict[str, str] = {}
    for item in root.findall("object"):
        names = [name.text or "" for name in item.findall("name")]
        corners = item.find("bndbox")
        if corners is not None:
            x0, y0, x1, y1 = (
                _read(corners, n, path, number_of) for n in ("xmin", "ymin", "xmax", "ymax")
            )
            for name in names:
                boxes.setdefault(name, []).append((x0 - 1, y0 - 1, x1, y1))
        else:
            kind = "scene" if _read(item, "scene", path, flag_of) else "nobox"
            unboxed.update(dict.fromkeys(names, kind))
    size = root.find("size")
    if size is None:
        raise UserError(f"{path}: the annotation has no size; {REPOSITORY}")
    width, height = (_read(size, name, path, whole_of) for name in ("width", "height"))
    return Boxes(width, height, boxes, unboxed)


def _read(parent: ElementTree.Element, name: str, path: Path, read: Callable[[Any], T | None]) -> T:
    text = parent.findtext(name)
    found = read(text)
    if found is None:
        what = f"{name} is {shown(text)}, expected a number"
        raise UserError(f"{path}: {what}; {REPOSITORY}")
    return found


class _WithoutDoctype(ElementTree.TreeBuilder):
    """A document type can define entities that grow without bounds; annotations have none."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise ValueError(f"it declares a document type {name!r}")


def _parse_xml(path: Path) -> ElementTree.Element:
    try:
        parser = ElementTree.XMLParser(target=_WithoutDoctype())
        return ElementTree.parse(path, parser).getroot()
    except (OSError, ValueError, ElementTree.ParseError) as error:
        raise UserError(f"{path}: the boxes cannot be read ({error}); {REPOSITORY}") from None
