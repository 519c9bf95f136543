"""Pascal VOC's folders and XML files (LabelImg writes the same) -> records of `cloc-regions/1`."""

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from cloc.data.samples.record import Record
from cloc.data.samples.text import flat, lines
from cloc.data.samples.validate import is_finite, is_phrase, shown
from cloc.errors import BadSample, UserError, one_line
from data_prep.importers.shared.annotated import Found, inside, regions_of, split_of
from data_prep.importers.shared.files import named
from data_prep.importers.shared.frames import UNKNOWN, check_frame, frame_of
from data_prep.importers.shared.values import flag_of, number_of, whole_of
from data_prep.importing import read_picture, words, write_splits

# How people say the classes that VOC writes as one word.
SPOKEN = {"diningtable": "dining table", "pottedplant": "potted plant", "tvmonitor": "tv monitor"}
CURE = "mend the file, take the image out of the split, or let budget= allow for some"


class Object(NamedTuple):
    """One `object` of an annotation file."""

    name: str
    box: tuple[float, float, float, float]  # corners in pixels
    is_difficult: bool


class Annotation(NamedTuple):
    """One annotation file."""

    file_name: str  # of the picture, "" where the file does not say
    size: tuple[int, int] | None  # None where the file does not say
    objects: Sequence[Object]


class VocSet(NamedTuple):
    """Annotations of every split; the pictures are not read yet."""

    folder: Path
    splits: Mapping[str, Mapping[str, Annotation | BadSample]]  # split -> image id
    boxes_in: str

    def classes(self) -> dict[str, tuple[str, ...]]:
        """Those that occur, by name."""
        found = [a for group in self.splits.values() for a in group.values()]
        names = {o.name for a in found if isinstance(a, Annotation) for o in a.objects}
        return {name: (SPOKEN.get(name, name.replace("_", " ")),) for name in sorted(names)}

    def record(
        self, image_id: str, drops: Counter[str], *, split: str, texts: Mapping[str, Sequence[str]]
    ) -> Record:
        annotation = self.splits[split][image_id]
        if isinstance(annotation, BadSample):
            raise annotation
        path = self.find_picture(image_id, annotation.file_name)
        frame = frame_of(
            read_picture(path, cure=CURE),
            self.boxes_in,
            str(path),
            size=annotation.size,
            has_boxes=bool(annotation.objects),
            cure=CURE,
        )
        found = []
        for name, box, is_difficult in annotation.objects:
            if is_difficult:
                drops["difficult"] += 1
            else:
                found.append(Found(box, texts[name][0], name))
        return Record(
            image_id.replace(".", "_"),
            *frame.picture,
            regions=regions_of(found, frame, source="voc", where=image_id, drops=drops),
            meta={"image_id": image_id},
            orientation=frame.code,
        )

    def find_picture(self, image_id: str, file_name: str) -> Path:
        """Of the image's own name, whatever it ends in; else what the annotation says, which tools
        do not keep up."""
        folder = self.folder / "JPEGImages"
        first = inside(folder, f"{image_id}.jpg", image_id)
        if first.is_file():
            return first
        if file_name and (second := inside(folder, file_name, image_id)).is_file():
            return second
        return named(inside(folder, image_id, image_id)) or first


def read_voc(folder: str | Path, *, splits: Sequence[str], boxes_in: str = UNKNOWN) -> VocSet:
    """`folder` holds Annotations, JPEGImages and ImageSets/Main, such as VOCdevkit/VOC2012."""
    folder = Path(folder)
    lists = folder / "ImageSets/Main"
    if not lists.is_dir():
        raise UserError(f"{folder}: no ImageSets/Main there; give such as VOCdevkit/VOC2012")
    found = {}
    for split in splits:
        ids = _ids(inside(lists, f"{split}.txt", f"splits={split}"))
        places = {i: inside(folder / "Annotations", f"{i}.xml", i) for i in ids}
        found[split] = {i: _tried(path) for i, path in places.items()}
    if not found:
        raise UserError("splits is empty; give such as splits=[train,val]")
    return VocSet(folder, found, check_frame(boxes_in))


def write_voc(
    out: Path,
    *,
    folder: str | Path,
    splits: Sequence[str] = ("train", "val"),
    boxes_in: str = UNKNOWN,
    budget: float = 0.0,
    samples_per_shard: int = 1000,
) -> dict[str, dict[str, Any]]:
    """Writes a folder for each split; returns their manifests.

    Objects marked difficult are left out and counted, as VOC's own evaluation does not ask for
    them.
    """
    dataset = read_voc(folder, splits=splits, boxes_in=boxes_in)
    classes = dataset.classes()
    return write_splits(
        out,
        {
            split: split_of(
                list(group), partial(dataset.record, split=split, texts=classes), budget=budget
            )
            for split, group in dataset.splits.items()
        },
        name="voc",
        samples_per_shard=samples_per_shard,
        classes=classes,
    )


def parse_annotation(content: bytes, where: str) -> Annotation:
    """Of one XML file; `BadSample("annotation")` for what is wrong with it.

    VOC counts pixels from 1 and its corners belong to the box: as is customary, 1 is taken from
    xmin and ymin, and xmax and ymax are the edge already. Boxes of an object's parts are not read.
    """
    parser = ET.XMLParser(target=_NoDoctype())
    try:
        parser.feed(content)
        root: ET.Element = parser.close()
    except (ET.ParseError, ValueError, LookupError) as error:
        raise _bad(where, f"not an annotation in XML ({one_line(error)})") from None
    if root.tag != "annotation":
        raise _bad(where, f"its outer tag is {shown(root.tag)}, expected 'annotation'")
    size, objects = root.find("size"), root.findall("object")
    return Annotation(
        flat(root.findtext("filename")),
        None if size is None else _size(size, where),
        [_object(element, f"{where}: object {i}") for i, element in enumerate(objects)],
    )


class _NoDoctype(ET.TreeBuilder):
    """A DOCTYPE can define entities that grow to any size, or name other files; VOC has none."""

    def doctype(self, *_: Any) -> None:
        raise ValueError("it has a DOCTYPE, which can hold more than data")


def _object(element: ET.Element, where: str) -> Object:
    box, name = element.find("bndbox"), words(element.findtext("name"))
    if box is None or not is_phrase(name):
        raise _bad(where, "it has no name or no bndbox")
    x0, y0, x1, y1 = (_number(box, side, where) for side in ("xmin", "ymin", "xmax", "ymax"))
    is_difficult = flag_of(element.findtext("difficult"))
    if is_difficult is None:
        given = shown(element.findtext("difficult"))
        raise _bad(where, f"difficult is {given}, expected 1 or 0")
    return Object(name, (x0 - 1, y0 - 1, x1, y1), is_difficult)


def _size(element: ET.Element, where: str) -> tuple[int, int] | None:
    """None for 0x0, which LabelImg and converters write where they did not look."""
    sides = [_number(element, side, where) for side in ("width", "height")]
    width, height = map(whole_of, sides)
    if width is None or height is None:
        raise _bad(where, f"its size is {sides[0]} x {sides[1]}, expected whole numbers of pixels")
    return (width, height) if width or height else None


def _number(element: ET.Element, name: str, where: str) -> float:
    text = element.findtext(name) or ""
    number = number_of(text)  # some releases have 45.70000076293945
    if number is None or not is_finite(number):
        raise _bad(where, f"{name} is {shown(text)}, expected a number of pixels")
    return number


def _tried(path: Path) -> Annotation | BadSample:
    try:
        return parse_annotation(path.read_bytes(), str(path))
    except OSError as error:
        line = f"{path}: the annotation cannot be read ({error.strerror}); {CURE}"
        return BadSample("annotation", line)
    except BadSample as error:
        return error


def _ids(path: Path) -> list[str]:
    """The first word of each line: the lists of single classes have a second one."""
    if not path.is_file():
        there = sorted(p.stem for p in path.parent.glob("*.txt") if "_" not in p.stem)
        raise UserError(
            f"{path}: no such list; change splits= to some of {', '.join(there) or 'none'}"
        )
    found = lines(path.read_text(encoding="utf-8-sig", errors="replace"))
    return sorted({line.split()[0] for line in found if line.strip()})


def _bad(where: str, what: str) -> BadSample:
    return BadSample("annotation", f"{where}: {what}; {CURE}")
