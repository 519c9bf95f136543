"""Raw samples from tar shards: dictionaries of bytes, allowlisted members only."""

import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, BinaryIO

from webdataset.tariterators import group_by_keys, tar_file_expander

from cloc.data.decode import is_wanted
from cloc.data.record import Record
from cloc.errors import UserError

# What a file of `sources/` offers: a raw sample as a record.
Parse = Callable[[Mapping[str, Any]], Record]

BUFFER_BYTES = 1 << 20


def read_samples(shards: Iterable[str], *, key: str) -> Iterator[dict[str, Any]]:
    """Samples in shard order: `__key__`, `__url__` and one entry of bytes per member.

    A shard that is missing or not a tar raises `UserError` naming it; `key` is the config key that
    named the shards. Paths are opened as files and never handed to a shell.
    """
    for path in shards:
        with _open_shard(path, key) as stream:
            source = [{"url": path, "stream": stream}]
            try:
                yield from group_by_keys(tar_file_expander(source, select_files=is_wanted))
            except (tarfile.TarError, ValueError, OSError, EOFError) as error:
                cause = error.args[0] if error.args else type(error).__name__
                raise UserError(f"{path}: not a readable shard ({cause}); write it again") from None


def _open_shard(path: str, key: str) -> BinaryIO:
    try:
        return open(path, "rb", buffering=BUFFER_BYTES)
    except OSError as error:
        raise UserError(
            f"{path}: the shard cannot be opened ({error.strerror}); restore it or change {key}"
        ) from None
