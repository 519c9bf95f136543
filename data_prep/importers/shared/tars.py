"""Samples of WebDataset tars made elsewhere, one at a time, and what img2dataset puts there."""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from cloc.data.samples.decode import image_member, origin
from cloc.data.samples.record import SCHEMA
from cloc.data.samples.text import decode
from cloc.data.shards.index import index_path, read_index, scan
from cloc.data.shards.plain_folder import tars_in
from cloc.data.shards.remote import is_remote
from cloc.data.shards.shard_set import expand_shards
from cloc.data.shards.tar import MAX_SAMPLE_BYTES, members
from cloc.errors import BadSample, UserError
from data_prep.importers.shared.captioned import IsOurs
from data_prep.importers.shared.documents import Malformed, parse_json
from data_prep.importing import Picture, parse_picture

SHARD_DIGITS = 5  # of img2dataset's tars, at least
CURE = "download it again, or allow for it with budget="


def tar_paths(spec: str, *, key: str) -> list[Path]:
    """A folder stands for its `*.tar`, whether or not it has a manifest; a glob, braces or a list
    file as in `cloc.data.shards.shard_set.expand_shards`. Only local files."""
    if Path(spec).is_dir():
        return list(map(Path, tars_in(Path(spec), key)))
    paths = expand_shards(spec, key=key)
    if any(map(is_remote, paths)):
        raise UserError(f"{key}={spec}: only local tars are imported; copy them first")
    return list(map(Path, paths))


def tar_samples(paths: list[Path]) -> Iterator[dict[str, Any] | BadSample]:
    """`__key__`, `__url__` and one entry of bytes per allowlisted member, of one sample at a time.

    An index beside the tar is used; without one the tar's headers are scanned first. A sample that
    is not whole is a `BadSample`, a tar or an index that is broken a `UserError`. For the key see
    `_key`.
    """
    for path in paths:
        with path.open("rb") as file:
            has_index = index_path(path).is_file()
            offsets = read_index(path) if has_index else scan(file, name=str(path))
            for number, (begin, end) in enumerate(pairwise(offsets.tolist())):
                file.seek(begin)
                data = file.read(min(end - begin, MAX_SAMPLE_BYTES + 1))
                where = f"{path}: sample {number} of {len(offsets) - 1}"
                try:
                    key, found = members(data, num_bytes=end - begin, where=where)
                except BadSample as error:
                    yield error
                    continue
                yield {"__key__": _key(path, key), "__url__": str(path), **found}


def _key(path: Path, key: str) -> str:
    """Begins with the tar's name, put before it where it does not, because most writers count anew
    in every tar. img2dataset's 000000012 of 00000.tar has it already; a shorter name than its could
    begin a key of another tar too. Dots of folders (`tar -cf x.tar .` has `./`) become `_`."""
    stem = path.stem.replace(".", "_")
    key = key.removeprefix("./").replace(".", "_")
    return key if len(stem) >= SHARD_DIGITS and key.startswith(stem) else f"{stem}_{key}"


def ours(paths: list[Path], is_ours: IsOurs) -> Iterator[dict[str, Any] | BadSample]:
    """Those of one side; a sample too broken to have a key belongs to the side of the key ""."""
    for sample in tar_samples(paths):
        if is_ours("" if isinstance(sample, BadSample) else sample["__key__"]):
            yield sample


def read_details(sample: Mapping[str, Any]) -> dict[str, Any]:
    """The json member, {} without one; a sample that was not downloaded is `BadSample`."""
    where = origin(sample)
    try:
        data = parse_json(sample.get("json", b"{}"))
    except Malformed as error:
        raise BadSample("json", f"{where}: the json member is not JSON ({error}); {CURE}") from None
    if not isinstance(data, dict):
        raise BadSample("json", f"{where}: the json member is no object; {CURE}")
    if data.get("schema") == SCHEMA:
        raise UserError(f"{where}: of schema {SCHEMA} already; train on these shards as they are")
    check_status(data, where)
    return data


def check_status(data: Mapping[str, Any], where: str) -> None:
    """What img2dataset says of the download: "failed_to_download", "failed_to_resize". A field of
    that name may be of others, such as a number of HTTP, and say something else."""
    status = data.get("status")
    if isinstance(status, str) and status.strip().casefold().startswith("failed"):
        says = f"{data['status']}, {data.get('error_message')}"
        raise BadSample("status", f"{where}: it was not downloaded ({says}); {CURE}")


def read_member(sample: Mapping[str, Any]) -> Picture:
    """The one picture of a sample."""
    where = origin(sample)
    return parse_picture(image_member(sample)[0], where=where, cure=CURE)


def read_text(sample: Mapping[str, Any], drops: Counter[str]) -> str | None:
    """The txt member; one that is not UTF-8 is counted as "caption"."""
    try:
        return decode(sample["txt"]) if "txt" in sample else None
    except ValueError:
        drops["caption"] += 1
        return None
