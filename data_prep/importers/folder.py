"""A folder of pictures, with captions beside them or in one file -> records."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from cloc.data.samples.orientation import orientation
from cloc.data.samples.record import Caption, Record
from cloc.data.samples.text import decode, lines
from cloc.errors import BadSample, UserError
from data_prep.importers.shared.captioned import (
    IsOurs,
    attempts,
    captions_of,
    held_out,
    picture_below,
    sample_key,
)
from data_prep.importers.shared.documents import Malformed, parse_json
from data_prep.importers.shared.files import pictures_below, stem_of
from data_prep.importers.shared.json_rows import rows
from data_prep.importing import write_splits

NONE = "none"  # captions of folders that have none
DELIMITERS = {".csv": ",", ".tsv": "\t"}
QUOTES = 'correct the line; a text with separators or quotes is written "so, ""quoted"""'
CURE = "restore the file, or allow for it with budget="


class Captions(NamedTuple):
    """Where captions come from: of a file, by name below the folder; or None: beside the picture"""

    folder: Path
    table: Mapping[str, list[Any]] | None


def write_folder(
    out: Path,
    *,
    images: str | Path,
    captions: str | Path | None = None,
    file_key: str = "file_name",
    caption_key: str = "text",
    val: float = 0.0,
    budget: float = 0.01,
    samples_per_shard: int = 1000,
) -> dict[str, dict[str, Any]]:
    """Writes `out/train`, and `out/val` if `val` > 0; returns their manifests.

    All pictures below `images`, those without a caption too; a key is the path there without its
    extension, other dots as `_`. Without `captions` each line of `a.txt` is a caption of `a.jpg`;
    with it the file's `caption_key` holds those of `file_key`, a path below `images`, and a picture
    that is listed but not there counts as "missing". Where none has
    a caption, but other files lie beside them, `UserError`, but for `captions="none"`: pictures
    alone. Names and captions are held in memory.
    """
    folder = Path(images)
    pictures = find_pictures(folder)
    table = None
    if captions not in (None, NONE):
        table = by_picture(read_table(Path(captions), file_key, caption_key), pictures)
    names = by_key({*pictures, *(table or ())})
    read = partial(_records, names, Captions(folder, table))
    splits = held_out(read, val=val, budget=budget, total=len(names))
    manifests = write_splits(out, splits, name="folder", samples_per_shard=samples_per_shard)
    if not (captions == NONE or any(m["captions"] for m in manifests.values())):
        _refuse_other_files(folder, pictures)
    return manifests


def by_picture(table: Mapping[str, list[Any]], pictures: Sequence[str]) -> dict[str, list[Any]]:
    """The table by the names of pictures, where it has them without their ending or with another
    (`a`, `a.JPG` for `a.jpg`) and one alone can be meant."""
    known, stems = set(pictures), dict[str, list[str]]()
    for picture in pictures:
        stems.setdefault(stem_of(PurePosixPath(picture)), []).append(picture)
    found: dict[str, list[Any]] = {}
    for name, given in table.items():
        alike = stems.get(stem_of(PurePosixPath(name)), ())
        meant = alike[0] if name not in known and len(alike) == 1 else name
        found.setdefault(meant, []).extend(given)
    return found


def _refuse_other_files(folder: Path, pictures: Sequence[str]) -> None:
    """Pictures alone are a set too; captions that stand where nobody looked are lost."""
    first = folder / pictures[0]
    stem = Path(stem_of(first)).name
    others = sorted(p.name for p in first.parent.iterdir() if p.name.startswith(f"{stem}."))
    beside = [name for name in others if name != first.name]
    if beside:
        raise UserError(
            f"{folder}: none of {len(pictures)} pictures has a caption; beside {first.name} lies "
            f"{', '.join(beside[:3])}: rename such files to {stem}.txt, a caption on each line, or "
            f"give captions=FILE, or captions={NONE} for pictures alone"
        )


def find_pictures(folder: Path) -> list[str]:
    """Paths below the folder, of its subfolders too; for those of links see `pictures_below`."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give the folder of pictures with images=DIR")
    found = [path.relative_to(folder).as_posix() for path in pictures_below(folder)]
    if not found:
        raise UserError(f"{folder} holds no picture; give the folder of pictures with images=DIR")
    return found


def by_key(names: Iterable[str]) -> dict[str, str]:
    """Key -> name, in order of the keys; two pictures with one key are a `UserError`."""
    found: dict[str, str] = {}
    for name in sorted(names):
        key = sample_key(name)
        if key in found:
            both = f"{found[key]} and {name} would both have the key {key!r}"
            raise UserError(f"{both}; rename one of them")
        found[key] = name
    return dict(sorted(found.items()))


def read_table(path: Path, file_key: str, caption_key: str) -> dict[str, list[Any]]:
    """Name -> captions, unchecked, of a .csv or .tsv with a header, .json or .jsonl file.

    .json maps names to a sentence or a list of them, or is a list of objects, one per row, which
    .jsonl has on lines. Several rows of one name add up. Another kind of file, a missing column and
    malformed content are `UserError`.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; give the captions with captions=FILE")
    kind = path.suffix.lower()
    if kind in DELIMITERS:
        pairs = _delimited(path, DELIMITERS[kind], file_key, caption_key)
    elif kind == ".jsonl":
        pairs = _from_rows(path, file_key, caption_key)
    elif kind == ".json":
        pairs = _mapping(path, file_key, caption_key)
    else:
        known = ", ".join([*DELIMITERS, ".json", ".jsonl"])
        raise UserError(f"{path}: captions are read from {known}; rename or convert the file")
    found: dict[str, list[Any]] = {}
    for name, given in pairs:
        sentences = given if isinstance(given, list) else [given]
        if name.startswith("/"):
            raise UserError(f"{path}: {name} is no path below images=DIR; take DIR away from it")
        found.setdefault(PurePosixPath(name).as_posix(), []).extend(sentences)
    return found


def _delimited(
    path: Path, delimiter: str, file_key: str, caption_key: str
) -> Iterator[tuple[str, Any]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            # strict: a text that only begins with a quote would take the rows behind it along
            reader = csv.DictReader(file, delimiter=delimiter, strict=True)
            _check_columns(path, reader.fieldnames or (), file_key, caption_key)
            for row in reader:
                if not row[file_key] or None in row:  # None: what has no column
                    what = "has more columns than the first one" if None in row else "names no file"
                    raise UserError(f"{path}: line {reader.line_num} {what}; {QUOTES}")
                yield row[file_key], row[caption_key]
    except csv.Error as error:
        raise UserError(f"{path}: line {reader.reader.line_num}: {error}; {QUOTES}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a table in UTF-8 ({error}); export it again") from None


def _from_rows(path: Path, file_key: str, caption_key: str) -> Iterator[tuple[str, Any]]:
    for row in rows(path, key="captions"):
        _check_columns(path, list(row), file_key, caption_key)
        if not isinstance(row[file_key], str):
            raise UserError(f"{path}: {file_key} is {row[file_key]!r}, expected a file name")
        yield row[file_key], row[caption_key]


def _check_columns(path: Path, found: Sequence[str], file_key: str, caption_key: str) -> None:
    for setting, name in (("file_key", file_key), ("caption_key", caption_key)):
        if found.count(name) > 1:  # the last would win
            raise UserError(f"{path}: the column {name!r} is there twice; rename one of the two")
        if name not in found:
            known = ", ".join(found)
            raise UserError(f"{path}: no column {name!r} among {known}; set {setting} to one")


def _mapping(path: Path, file_key: str, caption_key: str) -> Iterator[tuple[str, Any]]:
    try:
        data = parse_json(path.read_bytes())
    except Malformed as error:
        raise UserError(f"{path}: not JSON in UTF-8 ({error}); write it again") from None
    if isinstance(data, list):
        yield from _from_rows(path, file_key, caption_key)
    elif isinstance(data, dict):
        yield from data.items()
    else:
        expected = "expected an object of file names and captions, or a list of objects"
        raise UserError(f"{path}: a {type(data).__name__}, {expected}; convert it")


def _records(
    names: Mapping[str, str], captions: Captions, is_ours: IsOurs, drops: Counter[str]
) -> Iterator[Record | BadSample]:
    def record(item: tuple[str, str]) -> Record:
        key, name = item
        picture = picture_below(captions.folder, name, cure=CURE)
        sentences = _captions(captions, name, drops)
        code = orientation(picture.content)  # captions are of what people see
        return Record(key, *picture, captions=sentences, orientation=code)

    return attempts(((key, name) for key, name in names.items() if is_ours(key)), record)


def _captions(captions: Captions, name: str, drops: Counter[str]) -> tuple[Caption, ...]:
    if captions.table is not None:
        return captions_of(captions.table.get(name), "folder", drops)
    stem = stem_of(captions.folder / name)
    try:
        ending = ".TXT" if Path(f"{stem}.TXT").is_file() else ".txt"
        text = decode(Path(stem + ending).read_bytes())
    except FileNotFoundError:
        return ()
    except ValueError:
        drops["caption"] += 1
        return ()
    return captions_of([line for line in lines(text) if line.strip()], "folder", drops)
