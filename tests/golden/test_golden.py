"""Curves of small runs are what they were: a change of numbers nobody meant is seen here."""

import json

import pytest

from tests.golden.runs import HERE, RUNS, curves

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", RUNS)
def test_every_number_of_a_curve_is_the_kept_one(tmp_path, name):
    kept = [json.loads(line) for line in (HERE / f"{name}.jsonl").read_text().splitlines()]
    found = curves(name, tmp_path)
    assert len(found) == len(kept) > 5
    for row, expected in zip(found, kept, strict=True):
        assert row == pytest.approx(expected, rel=1e-5), f"step {row['step']}"
