"""Flickr30k Entities: five captions an image, whose phrases have boxes -> records."""

import re
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

from cloc.data.record import Record, Region
from cloc.errors import BadSample, UserError
from cloc.text import lines
from data_prep.importers.captioned import Box, attempts, captions_of, phrase_of, picture_below
from data_prep.importing import Picture, Split, clipped, whole, write_splits

SPLITS = ("train", "val", "test")
PHRASE = re.compile(r"\[/EN#(\d+)((?:/[A-Za-z]+)+) ([^][]+)\]")
NOTVISUAL = "0"  # the number of phrases that no picture can show
CURE = "give the folder of flickr30k's pictures with images=DIR"
REPOSITORY = "give flickr30k_entities with its annotations.zip unpacked with entities=DIR"


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
            numbers = (folder / f"{split}.txt").read_text(encoding="utf-8").split()
            drops = Counter[str]()
            records = attempts(numbers, partial(_record, folder, Path(images), drops))
            splits[split] = Split(whole(records, drops, budget=budget), drops, len(numbers))
    if not splits:
        raise UserError(f"{folder} has none of train.txt, val.txt, test.txt; {REPOSITORY}")
    return write_splits(out, splits, name="flickr30k_entities", samples_per_shard=samples_per_shard)


def _record(folder: Path, images: Path, drops: Counter[str], number: str) -> Record:
    if not number.isdecimal():
        raise UserError(f"{folder}: the lists name image {number!r}, expected a number")
    sentences = read_sentences(folder / "Sentences" / f"{number}.txt")
    boxes = read_boxes(folder / "Annotations" / f"{number}.xml")
    picture = picture_below(images, f"{number}.jpg", cure=CURE)
    if (picture.width, picture.height) != (boxes.width, boxes.height):
        size = f"{picture.width}x{picture.height}, annotated as {boxes.width}x{boxes.height}"
        cure = "use the files that the boxes were drawn on"
        raise BadSample("size", f"image {number}: the picture is {size}; {cure}")
    regions = _regions(sentences, boxes, picture, f"image {number}", drops)
    return Record(
        number,
        *picture,
        captions=captions_of([s.text for s in sentences], "flickr30k", drops),
        regions=tuple(region for _, region in regions),
        meta={"entities": [entity for entity, _ in regions]},
    )


def _regions(
    sentences: list[Sentence], boxes: Boxes, picture: Picture, where: str, drops: Counter[str]
) -> list[tuple[str, Region]]:
    phrases = dict.fromkeys(phrase for sentence in sentences for phrase in sentence.phrases)
    drops.update(_unboxed({entity for entity, _ in phrases}, boxes))
    visible: dict[str, list[Box]] = {}
    for entity in dict.fromkeys(e for e, _ in phrases if e in boxes.boxes):
        given = (clipped(b, *picture[2:], where, drops) for b in boxes.boxes[entity])
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


def read_sentences(path: Path) -> list[Sentence]:
    """Of `A [/EN#1/people tall man] waves .`: the text without marks and (entity, words)."""
    try:
        given = lines(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: the captions cannot be read ({error}); {REPOSITORY}") from None
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
            x0, y0, x1, y1 = (_number(corners, n, path) for n in ("xmin", "ymin", "xmax", "ymax"))
            for name in names:
                boxes.setdefault(name, []).append((x0 - 1, y0 - 1, x1, y1))
        else:
            kind = "scene" if _number(item, "scene", path) else "nobox"
            unboxed.update(dict.fromkeys(names, kind))
    size = root.find("size")
    if size is None:
        raise UserError(f"{path}: the annotation has no size; {REPOSITORY}")
    width, height = (int(_number(size, name, path)) for name in ("width", "height"))
    return Boxes(width, height, boxes, unboxed)


def _number(parent: ElementTree.Element, name: str, path: Path) -> float:
    text = parent.findtext(name)
    try:
        return float(text or "")
    except ValueError:
        raise UserError(f"{path}: {name} is {text!r}, expected a number; {REPOSITORY}") from None


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
