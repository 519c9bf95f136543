"""Rows of parquet files, a few at a time."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cloc.data.shards.patterns import find
from cloc.errors import UserError, one_line

BATCH = 256  # rows in memory


def parquet_files(spec: str, *, key: str) -> list[Path]:
    """A file, a glob or all `*.parquet` of a folder, in order."""
    place = Path(spec)
    found = sorted(place.glob("*.parquet")) if place.is_dir() else [*map(Path, find(spec))]
    if not found:
        raise UserError(f"{key}={spec}: no parquet file; give a file, a folder or a glob")
    return found


def parquet_rows(
    files: Sequence[Path], *, needed: Sequence[str], wanted: Sequence[str] = ()
) -> Iterator[dict[str, Any]]:
    """One dictionary a row, with `__file__`, the columns `needed` and those of `wanted` there are.

    A file without one of `needed`, and one that is no parquet, is a `UserError`.
    """
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        cure = "install it with: pip install 'cloc-pretrain[prep]'"
        raise UserError(f"{files[0]}: parquet files are read with pyarrow; {cure}") from None
    for path in files:
        try:
            with parquet.ParquetFile(path) as file:
                names = file.schema_arrow.names
                _check_columns(path, names, needed)
                columns = [n for n in dict.fromkeys([*needed, *wanted]) if n in names]
                for batch in file.iter_batches(batch_size=BATCH, columns=columns):
                    for row in batch.to_pylist():
                        yield {**row, "__file__": path}
        except (ArrowException, OSError) as error:
            line = one_line(error)
            raise UserError(f"{path}: not readable as parquet ({line}); copy it again") from None


def _check_columns(path: Path, names: Sequence[str], needed: Sequence[str]) -> None:
    missing = [name for name in needed if name not in names]
    if missing:
        known = ", ".join(names)
        raise UserError(
            f"{path}: no column {missing[0]!r} among {known}; give the parquet files that "
            "img2dataset wrote beside the pictures"
        )
