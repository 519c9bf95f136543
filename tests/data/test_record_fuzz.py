"""Mutated annotations: the fast version of `python -m tests.faults.annotations`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cloc.data.samples import validate
from tests.faults.annotations import box_is_invalid, text_is_invalid
from tests.faults.mutants import mutant

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def found():
    """As a command: in this process every call would be type-checked, at three times the cost."""
    command = [sys.executable, "-m", "tests.faults.annotations", "1000"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def test_nothing_crashes_and_nothing_invalid_passes(found):
    assert found["first"] == {}
    faults = ("crashes", "invalid_boxes_passed", "invalid_texts_passed", "unwritable")
    assert [found[name] for name in faults] == [0, 0, 0, 0]


def test_every_message_is_one_short_line(found):
    assert found["bad_messages"] == 0


def test_the_mutants_reach_every_reason_and_leave_much_to_judge(found):
    """Members are not mutated: a missing one is a test of its source."""
    reasons = {name.split("/")[1] for name in found["dropped"]}
    assert reasons == validate.REASONS.keys() - {"members"}
    assert found["captions_dropped"].keys() == {"sample/caption"}
    assert found["records"] > 600
    assert found["boxes"] > 1200


def test_mutants_are_the_same_for_equal_numbers():
    assert mutant(1, 7) == mutant(1, 7)
    assert len({mutant(seed, number) for seed in range(3) for number in range(30)}) == 90


@pytest.mark.parametrize(
    "box",
    [
        (0.0, 0.0, float("nan"), 5.0),
        (0.0, 0.0, float("inf"), 5.0),
        (0, 0, 5, 5),
        (5.0, 0.0, 1.0, 5.0),
        (0.0, 0.0, 9.1, 5.0),
        (-0.1, 0.0, 5.0, 5.0),
        (0.0, 0.0, 0.99, 5.0),
        (0.0, 0.0, 5.0),
    ],
)
def test_the_judge_knows_an_invalid_box(box):
    assert box_is_invalid(box, 9, 9)
    assert not box_is_invalid((0.0, 8.0, 9.0, 9.0), 9, 9)


def test_the_judge_knows_an_unclean_text():
    bad = ("", " ", "\x00", "a\x85", "a\ud800", "x" * 11, None)
    assert all(text_is_invalid(text, at_most=10) for text in bad)
    assert not any(text_is_invalid(text, at_most=10) for text in ("a\n", "犬", "x" * 10))
    assert not text_is_invalid("", at_most=10, blank=True)
