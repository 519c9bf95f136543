"""The figures of `evaluate` against scripts that share no code with it (faults/independent)."""

import ast
import sys
from pathlib import Path

import numpy as np
import pytest

from cloc.eval.conformance import refuse
from cloc.frame import WHITE, Framing
from cloc.models.framing import in_frame
from tests.faults.independent import __main__ as suite
from tests.faults.independent import compare, figure, patches
from tests.helpers.photos import NEEDS_MINI

FOLDER = Path(suite.__file__).parent
PLAIN = {"numpy", "open_clip", "PIL", "safetensors", "torch", "tests"} | sys.stdlib_module_names


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def test_the_scripts_know_nothing_of_what_they_check():
    for path in FOLDER.rglob("*.py"):
        for name in imported(path):
            assert name.partition(".")[0] in PLAIN, path
            assert not name.startswith("tests.") or name.startswith(
                ("tests.faults.independent", "tests.helpers.photos")
            ), path


def test_a_box_is_carried_through_the_centre_crop_and_cut_there():
    # 200 x 100 at 50 pixels: twice too wide, 25 pixels are cut on each side
    assert patches.in_frame((80, 20, 120, 60), (200, 100), 50) == [15, 10, 35, 30]
    assert patches.in_frame((0, 0, 100, 100), (200, 100), 50) == [0, 0, 25, 50]
    assert patches.in_frame((0, 0, 20, 20), (200, 100), 50) == [0, 0, 1, 10]  # not seen at all


def test_roi_align_of_a_ramp_is_its_value_in_the_middle_of_the_box():
    ramp = np.arange(8.0)[None, :, None] + 10 * np.arange(8.0)[:, None, None]
    for samples in (lambda length: 6, patches.adaptive):
        # 16 pixels a patch: the middle of the box is at 4 patches across, 3.5 down
        [value] = patches.roi(ramp, (32, 48, 96, 64), 128, samples=samples)
        assert value == pytest.approx(3.5 + 10 * 3)


def test_a_tie_is_wrong_and_a_mean_of_means_is_no_mean():
    found = figure.counted({"a": 1e-7, "b": 0.5, "c": 0.5}, 0.25)
    assert found.values == {"a": 0.0, "b": 1.0, "c": 1.0}
    assert found.value == pytest.approx(2 / 3)
    assert found.by({"a": 0, "b": 1, "c": 1}).value == 0.5
    assert found.only({"a"}).value == 0
    assert figure.hit(2, 5, 1) == pytest.approx(0.4)


def test_what_float32_cannot_tell_from_a_tie_may_be_off_and_a_tie_itself_may_not():
    found = figure.counted({"tie": 0.0, "near": 1.5e-6, "right": 0.5, "wrong": -0.5})
    assert found.slack == {"near": 1.0}
    assert found.value_slack == 0.25
    both = {"b": {"m": 0.5}}, {("b", "m"): {**found.values, "near": 0.0}}
    [row], lonely = compare.compare(both, {"b": {"m": found}})
    assert (row[4:], lonely) == (([], 0.25), [])
    both[1]["b", "m"]["tie"] = 1.0
    [row], _ = compare.compare(both, {"b": {"m": found}})
    assert row[4] == [("tie", 1.0, 0.0, 0.0)]


@NEEDS_MINI
@pytest.mark.slow
@pytest.mark.rare
def test_every_figure_and_case_of_evaluate_is_that_of_the_scripts_and_faults_are_told():
    found = suite.run()
    assert [why for why in found["wrong"] if not why.startswith("large: ")] == []
    assert found["figures_compared"] > 1400
    assert found["cases_compared"] > 28_000
    assert (found["figures_that_differ"], found["cases_that_differ"]) == (0, 0)
    assert found["faults_told"] == 3


class CentreCrop:
    """How a plain CLIP of open_clip is opened: its own centre crop, boxes carried by ours."""

    def __init__(self, size):
        self.framing = Framing("crop", size)

    def prepare(self, images, boxes):
        return in_frame(images, boxes, framing=self.framing, background=WHITE)


@pytest.mark.parametrize("size", [224, 336, 384])
def test_a_plain_clip_in_its_own_centre_crop_is_not_refused(size):
    refuse(CentreCrop(size))
