"""Checks shard sets against their manifests and reads every sample: one line per problem.

python scripts/check_shards.py SHARDS...      # folders, globs, list files
"""

import hashlib
import io
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import PIL.Image

from cloc.data.record import IMAGE_EXTENSIONS, from_json
from cloc.data.shard_set import MANIFEST, expand_shards, read_manifest
from cloc.errors import UserError


def problems(spec: str) -> Iterator[str]:
    """One line for everything that is wrong with the shards that `spec` names."""
    try:
        paths = [Path(path) for path in expand_shards(spec, key="SHARDS")]
        manifests = {folder: _entries(folder) for folder in {path.parent for path in paths}}
    except UserError as error:
        yield str(error)
        return
    for path in paths:
        samples, wrong = _read(path)
        yield from wrong
        if (entries := manifests[path.parent]) is not None:
            yield from _against_manifest(path, samples, entries)


def _entries(folder: Path) -> dict[str, dict[str, Any]] | None:
    """Shard name -> its line of the manifest; None where a folder has no manifest at all."""
    if not (folder / MANIFEST).is_file():
        return None
    return {shard["name"]: shard for shard in read_manifest(folder)["shards"]}


def _against_manifest(
    path: Path, samples: int, entries: dict[str, dict[str, Any]]
) -> Iterator[str]:
    if path.name not in entries:
        yield f"{path}: not in {path.parent / MANIFEST}; write the shards again"
        return
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    found = {"samples": samples, "bytes": path.stat().st_size, "sha256": digest}
    for name, value in found.items():
        expected = entries[path.name].get(name)
        if value != expected:
            yield f"{path}: {name} is {value}, the manifest says {expected}; copy or write it again"


def _read(path: Path) -> tuple[int, list[str]]:
    """How many samples the shard holds, and one line for each that is wrong."""
    found = []
    try:
        with tarfile.open(path) as tar:
            for key, members in _samples(tar):
                found.append(_sample_problem(f"{path}::{key}", key, members))
    except (tarfile.TarError, OSError) as error:
        cut = f"{path}: not a readable tar ({error}); copy or write it again"
        return len(found), [*filter(None, found), cut]
    return len(found), [*filter(None, found)]


def _samples(tar: tarfile.TarFile) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Runs of members with equal names up to the first dot, as webdataset groups them."""
    key, members = "", dict[str, bytes]()
    for member in tar:
        file = tar.extractfile(member)
        if file is None:
            continue
        name, _, extension = member.name.partition(".")
        if name != key and members:
            yield key, members
            members = {}
        key, members[extension] = name, file.read()
    if members:
        yield key, members


def _sample_problem(where: str, key: str, members: dict[str, bytes]) -> str:
    extension = next((e for e in IMAGE_EXTENSIONS if e in members), None)
    if extension is None or "json" not in members:
        return f"{where}: members {sorted(members)}, expected an image and json"
    try:
        record = from_json(key, members[extension], extension, members["json"], where)
        with PIL.Image.open(io.BytesIO(record.image)) as image:
            image.load()
    except UserError as error:
        return str(error)
    except (OSError, SyntaxError, PIL.Image.DecompressionBombError) as error:
        return f"{where}: the image cannot be decoded ({type(error).__name__}); replace it"
    if image.size != (record.width, record.height):
        size = f"{image.width}x{image.height}"
        return f"{where}: the image is {size}, annotated as {record.width}x{record.height}"
    return ""


def _splits(spec: str) -> list[str]:
    """What `scripts/prepare.py` writes is a folder of split folders: each of them on its own."""
    if (Path(spec) / MANIFEST).is_file():
        return [spec]
    return [str(path.parent) for path in sorted(Path(spec).glob(f"*/{MANIFEST}"))] or [spec]


def main(specs: list[str]) -> int:
    """Prints the problems; 1 if there are any, 2 if nothing was given to check."""
    if not specs:
        print("give at least one shard folder, glob or list file", file=sys.stderr)
        return 2
    found = 0
    for spec in specs:
        for folder in _splits(spec):
            for problem in problems(folder):
                found += 1
                print(problem)
    print(f"{found} problems" if found else "all samples are well-formed")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
