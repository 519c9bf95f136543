"""The peer's training package is imported, and nothing is left behind."""

import importlib.util
import sys

import pyarrow

from cloc.cli.bench import open_clip_trainer


def test_what_stands_in_for_pandas_is_gone_afterwards():
    there = importlib.util.find_spec("pandas") is not None
    assert hasattr(open_clip_trainer.module("data"), "get_wds_dataset")
    assert ("pandas" in sys.modules) == there
    assert pyarrow.Table.from_pylist([{"caption": "a dog"}]).num_rows == 1
