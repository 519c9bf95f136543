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


@pytest.mark.rare
@pytest.mark.parametrize("case", ["siglip", "irpe mixed", "axial"])
def test_no_recompiles_over_ragged_batches_and_the_gradients_of_eager_code(case):
    """Graphs are of an image block, of text blocks and of the Prompter, with encodings of position
    and without. `make faults` has the other tower, and the backend that compiles gradients too."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.recompiles", "eager", case],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    [row] = json.loads(done.stdout.splitlines()[-1])["rows"]
    assert (row["case"], row["recompiles"]) == (case, 0)
    assert 2 < row["graphs"] <= 5  # whatever the number of blocks
    assert row["difference"] < 1e-4
