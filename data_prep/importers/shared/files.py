"""Pictures of a folder: by what they hold, whatever their names end in, and behind links."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePath

from cloc.errors import UserError

READ = (".jpg", ".jpeg", ".png", ".webp", ".jpe", ".jfif", ".jif", ".pjpeg", ".pjp")
# Also looked at, so that what no shard can hold (a GIF) is counted and not passed over in silence.
OTHERS = (
    ".apng .avif .bmp .dib .dng .gif .heic .heif .ico .j2k .jp2 .jxl .mpo .pbm .pcx .pgm .pnm .ppm "
    ".tga .tif .tiff"
)
PICTURES = frozenset((*READ, *OTHERS.split()))
# Never opened: one may lie beside every picture.
TEXTS = frozenset(".csv .html .json .jsonl .md .npy .tsv .txt .xml .yaml .yml".split())
BEGINNINGS = (
    *(b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*"),
    *(b"\0\0\0\x0cjP  ", b"\0\0\0\x0cJXL ", b"\xff\x0a", b"\xff\x4f\xff\x51", b"BM"),
)
KINDS = ((8, b"WEBP"), (4, b"ftypavif"), (4, b"ftypheic"), (4, b"ftypmif1"))


def pictures_below(folder: Path) -> Iterator[Path]:
    """Of the folder and its subfolders. A folder is entered once, by its own name before any link
    to it; what begins with a dot is left alone.

    A subfolder that cannot be read is a `UserError`: its pictures would be missing in silence.
    """
    links: list[Path] = []
    seen: set[str] = set()
    yield from _walk(folder, links, seen)
    for link in links:  # which grows on the way
        yield from _walk(link, links, seen)


def _walk(top: Path, links: list[Path], seen: set[str]) -> Iterator[Path]:
    for place, folders, files in os.walk(top, onerror=_refuse):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        kept = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        behind = {name for name in kept if os.path.islink(os.path.join(place, name))}
        links += [Path(place) / name for name in kept if name in behind]
        folders[:] = [name for name in kept if name not in behind]
        paths = (Path(place) / name for name in sorted(files) if name[0] != ".")
        yield from filter(is_picture, paths)


def _refuse(error: OSError) -> None:
    raise UserError(
        f"{error.filename}: the folder cannot be read ({error.strerror}), and its pictures would "
        "be missing; give it read permission or take it away"
    )


def is_picture(path: Path) -> bool:
    """By its name or, where that does not tell, by how it begins. One that cannot be read is said
    to be one, so that it is counted."""
    suffix = path.suffix.lower()
    if suffix in PICTURES or suffix in TEXTS:
        return suffix in PICTURES
    if path.is_symlink() and not path.exists():
        raise UserError(
            f"{path} is a link to {os.readlink(path)}, which is not there; mount it, or remove the "
            "link"
        )
    if not path.is_file():  # a pipe would never end
        return False
    try:
        with path.open("rb") as file:
            begin = file.read(16)
    except OSError:
        return True
    return begin.startswith(BEGINNINGS) or any(begin.startswith(k, at) for at, k in KINDS)


def stem_of(path: PurePath) -> str:
    """The path without the ending of a picture: `IMG.2024` has none."""
    ending = path.suffix if path.suffix.lower() in PICTURES else ""
    return path.as_posix().removesuffix(ending)


def named(stem: Path) -> Path | None:
    """The picture of this name, whatever it ends in: the first of `READ` that is a file."""
    endings = (*READ, *map(str.upper, READ), "")
    places = (stem.with_name(stem.name + ending) for ending in endings)
    return next((place for place in places if place.is_file()), None)
