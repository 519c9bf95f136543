"""Rows of parquet files: the columns asked for, a few rows in memory, wrong files told."""

import pyarrow as pa
import pytest

from cloc.errors import UserError
from data_prep.importers.shared.parquet import BATCH, parquet_files, parquet_rows


def write(path, rows):
    from pyarrow import parquet

    parquet.write_table(pa.Table.from_pylist(rows), path)
    return path


def test_rows_of_all_files_with_the_columns_asked_for(tmp_path):
    rows = [{"key": str(i), "boxes": [[0.5, i]], "other": 1} for i in range(BATCH + 3)]
    files = [write(tmp_path / "b.parquet", rows[:2]), write(tmp_path / "a.parquet", rows)]
    assert parquet_files(str(tmp_path), key="x") == sorted(files)
    found = list(parquet_rows(files, needed=["key", "boxes"], wanted=["none", "key"]))
    assert len(found) == BATCH + 5
    assert found[-1] == {
        **{"key": str(BATCH + 2), "boxes": [[0.5, BATCH + 2]]},
        **{"__file__": tmp_path / "a.parquet"},
    }


def test_wrong_files_are_one_line(tmp_path):
    path = write(tmp_path / "a.parquet", [{"key": "1"}])
    with pytest.raises(UserError, match=r"a\.parquet: no column 'boxes' among key; give"):
        list(parquet_rows([path], needed=["boxes"]))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(UserError, match=r"a\.parquet: not readable as parquet .*; copy it again"):
        list(parquet_rows([path], needed=["key"]))
    with pytest.raises(UserError, match=r"x=.*: no parquet file; give a file, a folder or a glob"):
        parquet_files(f"{tmp_path}/none.parquet", key="x")
