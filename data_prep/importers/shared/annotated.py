"""What importers of annotated pictures share: files, regions, and splits with a budget."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, TypeVar

from cloc.data.samples import validate
from cloc.data.samples.record import Record, Region
from cloc.errors import BadSample, UserError
from data_prep.importers.shared.coco_objects import Segmentation, compact
from data_prep.importers.shared.documents import Malformed, parse_json
from data_prep.importers.shared.frames import Frame
from data_prep.importers.shared.values import flag_of
from data_prep.importing import Split, clipped, whole, words

KEPT = ("id", "image_id", "category_id", "bbox", "iscrowd")
MAX_NAME_BYTES = 255  # of a file or a folder, on every file system

T = TypeVar("T")


class Found(NamedTuple):
    """What an annotation says of one region; nothing of it is checked yet."""

    box: Sequence[float]  # corners in pixels of the frame it was drawn in
    text: Any
    label: str = ""
    segmentation: Segmentation = None  # in the same frame; this is checked


def load_json(path: Path, *, key: str, masks: bool = False) -> Any:
    """The file that the setting `key` names. Of an object with a category and a box only `KEPT` is
    held, and with `masks` its segmentation, but for crowds: it would take most of the memory."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; give the annotation file with {key}=FILE")
    try:
        return parse_json(path.read_bytes(), keep=partial(_slim, masks=masks))
    except Malformed as error:
        raise UserError(f"{path}: not JSON ({error}); download the file again") from None


def _slim(row: dict[str, Any], *, masks: bool) -> dict[str, Any]:
    if "category_id" not in row or "bbox" not in row:
        return row
    slim = {name: row[name] for name in KEPT if name in row}
    if masks and flag_of(row.get("iscrowd")) is not True:
        slim["segmentation"] = compact(row.get("segmentation"))
    return slim


def inside(folder: Path, name: Any, where: str) -> Path:
    """The file `name` of the folder. A name from an annotation file that leads out of the folder is
    a `UserError`: it would put other pictures of this machine into shards."""
    parts = PurePosixPath(name).parts if validate.is_phrase(name) else ()
    is_long = any(len(part.encode()) > MAX_NAME_BYTES for part in parts)
    if not parts or parts[0] == "/" or ".." in parts or is_long:
        raise UserError(
            f"{where}: {validate.shown(name)} is not the name of a file inside the folder of "
            "pictures; correct that entry"
        )
    return folder.joinpath(*parts)


def by_url(folder: Path, url: Any, where: str) -> Path:
    """`inside` by the last two parts of a URL's path, the name of a folder and of a file; where
    that is no file, by the last one, if the folder holds it: it may be that of one split."""
    path = url.partition("?")[0] if isinstance(url, str) else ""
    whole = inside(folder, "/".join(path.split("/")[-2:]), where)
    flat = folder / whole.name
    return flat if not whole.is_file() and flat.is_file() else whole


def regions_of(
    found: Iterable[Found], frame: Frame, *, source: str, where: str, drops: Counter[str]
) -> tuple[Region, ...]:
    """In their order, of what `usable` leaves."""
    kept = usable(found, frame, source=source, where=where, drops=drops)
    return tuple(region for region, _ in kept)


def usable(
    found: Iterable[Found], frame: Frame, *, source: str, where: str, drops: Counter[str]
) -> Iterator[tuple[Region, Found]]:
    """The regions, each with what it was made of. What can be none is counted: a box by the reason
    of `samples.validate`, no usable words as "text", more than a record may hold as "too_many"."""
    count = 0
    for given in found:
        corners = clipped(frame.stored(given.box), *frame.picture[2:], where, drops)
        line = words(given.text)
        if corners is None:
            continue
        if not validate.is_phrase(line):
            drops["text"] += 1
        elif count == validate.MAX_REGIONS:
            drops["too_many"] += 1
        else:
            count += 1
            yield Region(box=corners, text=line, source=source, label=given.label), given


def split_of(
    items: Sequence[T], make: Callable[[T, Counter[str]], Record], *, budget: float
) -> Split:
    """A record of every item; those that raise `BadSample` are counted by reason, at most the share
    `budget` of them. `make` counts what it leaves out of a record."""
    drops = Counter[str]()
    records = whole(_tried(items, make, drops), drops, budget=budget)
    return Split(records, drops, len(items))


def _tried(
    items: Iterable[T], make: Callable[[T, Counter[str]], Record], drops: Counter[str]
) -> Iterator[Record | BadSample]:
    for item in items:
        try:
            yield make(item, drops)
        except BadSample as error:
            yield error
