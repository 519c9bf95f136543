"""Compiled parts: few graphs, none made again, the gradients of eager code, the same names.

In a process of its own: the shape checks of the tests stand in the way of the compiler.
"""

import json
import os
import subprocess
import sys

import pytest

from tests.helpers.commands import ROOT

pytestmark = pytest.mark.slow


def test_no_recompiles_over_ragged_batches_and_the_gradients_of_eager_code():
    """Graphs are of an image block, of text blocks and of the Prompter."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.recompiles"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(done.stdout.splitlines()[-1])["rows"]
    assert [(row["tower"], row["recompute"]) for row in rows] == [
        ("native", True),
        ("siglip", False),
    ]
    assert [row["recompiles"] for row in rows] == [0, 0]
    assert all(2 < row["graphs"] <= 5 for row in rows)  # whatever the number of blocks
    assert max(row["difference"] for row in rows) < 1e-4
