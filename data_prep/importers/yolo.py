"""A YOLO folder (`data.yaml`, images, one text file of labels each) -> records."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from cloc.data.samples.record import Record
from cloc.data.samples.text import flat, lines
from cloc.data.samples.validate import MAX_NAME_CHARS, shown
from cloc.errors import BadSample, UserError, one_line
from data_prep.importers.shared.annotated import Found, regions_of, split_of
from data_prep.importers.shared.documents import parse_yaml
from data_prep.importers.shared.files import pictures_below, stem_of
from data_prep.importers.shared.frames import UNKNOWN, check_frame, frame_of
from data_prep.importers.shared.values import numbers_of, one_name, whole_of
from data_prep.importing import read_picture, words, write_splits

SPLITS = ("train", "val", "test")
SLACK = 0.01  # by which a normalized coordinate may pass the edge
CURE = "mend or remove that picture, or let budget= allow for some"


class YoloSet(NamedTuple):
    """A checked `data.yaml`; neither pictures nor labels are read yet."""

    splits: Mapping[str, Mapping[str, Path]]  # split -> key -> picture
    names: Sequence[str]
    has_keypoints: bool  # then more follows behind a line's box
    boxes_in: str
    licence: str = ""  # Roboflow's exports say one

    def record(self, key: str, drops: Counter[str], *, split: str) -> Record:
        path = self.splits[split][key]
        picture = read_picture(path, cure=CURE)
        file = label_file(path)
        if file.is_file():
            lines = _lines(file)
        else:
            lines, drops["unlabelled"] = [], drops["unlabelled"] + 1
        boxed = any(line.strip() for line in lines)
        frame = frame_of(picture, self.boxes_in, str(path), has_boxes=boxed)
        found = [self.found(line, frame.size, f"{file}:{i}") for i, line in enumerate(lines, 1)]
        there = [f for f in found if f is not None]
        return Record(
            key,
            *picture,
            regions=regions_of(there, frame, source="yolo", where=str(file), drops=drops),
            meta={"license": self.licence} if self.licence else {},
            orientation=frame.code,
        )

    def found(self, line: str, size: tuple[int, int], where: str) -> Found | None:
        """A line `class cx cy w h`, or `class x1 y1 x2 y2 ...`: the box around that polygon, in
        pixels of a frame of `size`; None for a blank one."""
        fields = line.split()[: 5 if self.has_keypoints else None]
        if not fields:
            return None
        values = numbers_of(fields)
        if values is None:
            raise _bad(where, f"{shown(line)} are not numbers")
        number, *values = values
        if len(values) < 4 or len(values) % 2:
            raise _bad(where, f"{shown(line)} is neither a class and a box nor a polygon")
        if not all(-SLACK <= value <= 1 + SLACK for value in values):
            raise _bad(where, f"{shown(line)} has values outside [0, 1]; labels are normalized")
        if number not in range(len(self.names)):
            raise _bad(where, f"class {fields[0]} is not among the {len(self.names)} names")
        x0, y0, x1, y1 = _around(values)
        width, height = size
        label = self.names[int(number)]
        box = (x0 * width, y0 * height, x1 * width, y1 * height)
        return Found(box, label.replace("_", " "), label)


def read_yolo(dataset: str | Path, *, boxes_in: str = UNKNOWN) -> YoloSet:
    """`dataset` is the set's `data.yaml`; its train, val and test are read, those that it names."""
    data = Path(dataset)
    if not data.is_file():
        raise UserError(f"{data}: no such file; give the set's data.yaml with dataset=FILE")
    try:
        spec = parse_yaml(data.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise UserError(f"{data}: not YAML ({one_line(error)}); correct it") from None
    given = {s: spec[s] for s in SPLITS if spec.get(s)} if isinstance(spec, dict) else {}
    if not given:
        raise UserError(f"{data}: it names no train, val or test; give the set's data.yaml")
    names = _names(spec.get("names"), data)
    splits = {split: _pictures(place, spec, data, split) for split, place in given.items()}
    about = spec.get("roboflow")
    licence = flat(about.get("license")) if isinstance(about, dict) else ""
    return YoloSet(splits, names, "kpt_shape" in spec, check_frame(boxes_in), licence)


def label_file(picture: Path) -> Path:
    """`labels/a.txt` (or .TXT) for `images/a.jpg`, at the last folder of that name; beside it
    without one."""
    parts = list(Path(f"{stem_of(picture)}.txt").parts)
    places = [i for i, part in enumerate(parts[:-1]) if part == "images"]
    if places:
        parts[places[-1]] = "labels"
    upper = Path(*parts).with_suffix(".TXT")
    return upper if upper.is_file() else Path(*parts)


def write_yolo(
    out: Path,
    *,
    dataset: str | Path,
    boxes_in: str = UNKNOWN,
    budget: float = 0.0,
    samples_per_shard: int = 1000,
) -> dict[str, dict[str, Any]]:
    """Writes a folder for each split that `data.yaml` names; returns their manifests.

    A picture without a label file is an image without regions, and is counted as "unlabelled"; a
    split without any is refused.
    """
    found = read_yolo(dataset, boxes_in=boxes_in)
    splits = {
        name: split_of(list(pictures), partial(found.record, split=name), budget=budget)
        for name, pictures in found.splits.items()
    }
    classes = {name: (name.replace("_", " "),) for name in found.names}
    return write_splits(
        out, splits, name="yolo", samples_per_shard=samples_per_shard, classes=classes
    )


def _names(given: Any, data: Path) -> list[str]:
    """A list, or a mapping of 0 to n - 1, also of "0" to "n - 1"."""
    if isinstance(given, dict):
        numbered: dict[int | None, Any] = {}
        for key, name in given.items():
            if (place := whole_of(key)) is not None:
                one_name(numbered, place, name, "class", data)
            numbered[place] = name
        keys = range(len(numbered))
        given = [numbered[k] for k in keys] if numbered.keys() == {*keys} else given
    if not isinstance(given, list) or not given:
        what = "expected a list, or a mapping of class numbers from 0"
        raise UserError(f"{data}: names is {shown(given)}, {what}; correct it")
    for name in given:
        if not words(name) or len(name) > MAX_NAME_CHARS:
            raise UserError(f"{data}: names has {shown(name)}; write a short name, in quotes")
    return [words(name) for name in given]


def _pictures(given: Any, spec: Mapping[str, Any], data: Path, split: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    places = given if isinstance(given, list) else [given]
    paths = [path for place in places for path in _listed(_find(place, spec, data, split))]
    for key, path in zip(_keys(paths), paths, strict=True):
        other = found.setdefault(key, path)
        if other != path:
            raise UserError(f"{path} and {other} would be one sample; rename one of the two")
    if not found:
        raise UserError(f"{data}: there is no picture in {split}; correct path or {split}")
    if not any(label_file(path).is_file() for path in found.values()):
        first = label_file(next(iter(found.values())))
        raise UserError(
            f"{data}: none of the {len(found)} pictures of {split} has a label file such as "
            f"{first}; put them there, or take {split} out of the file"
        )
    return dict(sorted(found.items()))


def _keys(paths: Sequence[Path]) -> list[str]:
    """What stands behind the last folder `images`, without dots; where several sets are listed that
    have equal names, what stands behind the folder that all lie in."""
    stems = [stem_of(path) for path in paths]
    names = [s.rpartition("/images/")[2] for s in stems]
    names = [n if n != s else Path(s).name for n, s in zip(names, stems, strict=True)]
    if len({*names}) < len({*stems}):
        top = os.path.commonpath([path.parent for path in paths])
        names = [Path(s).relative_to(top).as_posix() for s in stems]
    return [name.replace("/", "_").replace(".", "_") for name in names]


def _find(place: Any, spec: Mapping[str, Any], data: Path, split: str) -> Path:
    """Below `path`, which is relative to the file, or beside the file: sets are moved, and some
    tools write `../train/images` where they mean `train/images`."""
    if not isinstance(place, str):
        raise UserError(f"{data}: {split} is {shown(place)}, expected a folder or a list file")
    roots = [data.parent / str(spec.get("path") or "."), data.parent]
    places = [root / p for p in (place, place.removeprefix("../")) for root in roots]
    for path in places:
        if path.exists():
            return path
    raise UserError(f"{data}: {split} is {place}, and {places[0]} is not there; correct path=")


def _listed(place: Path) -> list[Path]:
    """The pictures of a folder, its folders too, or of a list file, relative to that."""
    if place.is_dir():
        return sorted(pictures_below(place))
    try:
        text = place.read_text(encoding="utf-8-sig")
    except ValueError:
        text = "\0"
    if "\0" in text:
        raise UserError(f"{place}: not a list of pictures; give a folder or a text file")
    return [place.parent / line.strip(" \t") for line in lines(text) if line.strip()]


def _lines(file: Path) -> list[str]:
    try:
        return lines(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise BadSample("label", f"{file}: not a text ({one_line(error)}); {CURE}") from None


def _around(values: list[float]) -> tuple[float, float, float, float]:
    if len(values) == 4:
        x, y, width, height = values
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2
    xs, ys = values[::2], values[1::2]
    return min(xs), min(ys), max(xs), max(ys)


def _bad(where: str, what: str) -> BadSample:
    return BadSample("label", f"{where}: {what}; {CURE}")
