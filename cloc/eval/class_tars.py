"""Pictures and the numbers of their classes in tars, as CLIP_benchmark lays webdatasets out."""

import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import PIL.Image

from cloc.data.samples.decode import IMAGES, decode_image, image_size
from cloc.errors import UserError, one_line
from cloc.eval.pictures import BOXLESS, digest_of
from cloc.interfaces import Example

LABEL = "cls"
MAX_LABEL_BYTES = 64


class _Member(NamedTuple):
    start: int
    size: int


def read_class_tars(folder: Path, *, classes: int, key: str) -> list[Example]:
    """The samples of all tars of `folder`, in order of their numbers; the number of the class, that
    of the `.cls` member, is `meta["class"]`, one of 0 to `classes` - 1. Where there is a
    nshards.txt, there must be as many tars. Nothing is extracted; a sample without a picture or
    without a number, a link in its place and a broken tar are a `UserError`.
    """
    tars = sorted(folder.glob("*.tar"), key=lambda path: (len(path.name), path.name))
    if not tars:
        raise UserError(f"{folder}: no tar in it; set {key} to a folder as CLIP_benchmark has it")
    said = folder / "nshards.txt"
    if said.is_file() and said.read_text(errors="replace").strip() != str(len(tars)):
        count = said.read_text(errors="replace").strip()[:20]
        raise UserError(f"{said}: it says {count!r} tars, there are {len(tars)}; get the others")
    return [example for path in tars for example in _examples(path, classes)]


def _examples(path: Path, classes: int) -> Iterator[Example]:
    try:
        with tarfile.open(path, "r:") as tar:
            samples = _samples(tar)
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise UserError(f"{path}: not a whole tar ({one_line(error)}); get it again") from None
    if not samples:
        raise UserError(f"{path}: no sample in it; remove the tar, or get it again")
    for name, found in samples.items():
        where = f"{path}::{name}"
        pictures = [suffix for suffix in found if suffix in IMAGES]
        if len(pictures) != 1 or LABEL not in found:
            raise UserError(
                f"{where} has {', '.join(found) or 'nothing'}; expected one of {', '.join(IMAGES)} "
                f"and {LABEL}, so pack the sample again"
            )
        number = _number(path, found[LABEL], classes, where)
        data, place = _read(path, found[pictures[0]]), found[pictures[0]]
        yield Example(
            f"{path.stem}/{name}",
            partial(_picture, path, place, where),
            (),
            BOXLESS,
            (),
            (),
            {"class": number},
            digest_of(data, BOXLESS),
            size=image_size(data, where),
        )


def _samples(tar: tarfile.TarFile) -> dict[str, dict[str, _Member]]:
    """Name -> suffix -> where its bytes are; of plain files only."""
    found: dict[str, dict[str, _Member]] = {}
    for member in tar:
        folder, slash, file = member.name.rpartition("/")
        stem, dot, suffix = file.partition(".")
        if member.isreg() and stem and dot:
            own = found.setdefault(f"{folder}{slash}{stem}", {})
            own[suffix.lower()] = _Member(member.offset_data, member.size)
    return found


def _number(path: Path, place: _Member, classes: int, where: str) -> int:
    text = _read(path, place._replace(size=min(place.size, MAX_LABEL_BYTES)))
    word = text.decode(errors="replace").strip()
    if not word.isdecimal() or int(word) >= classes:
        raise UserError(
            f"{where}.{LABEL} is {word[:20]!r}, expected a number of 0 to {classes - 1}, the line "
            "of the class in classnames.txt; give the classnames.txt of this set"
        )
    return int(word)


def _read(path: Path, place: _Member) -> bytes:
    with path.open("rb") as file:
        file.seek(place.start)
        return file.read(place.size)


def _picture(path: Path, place: _Member, where: str) -> PIL.Image.Image:
    return decode_image(_read(path, place), where)
