"""Two equal shapes and a phrase: who reads both, neither, or the opposite."""

import pytest

from cloc.errors import UserError
from cloc.eval.benchmarks.wherebench_look_alikes import CHANCE, WhereBenchLookAlikes
from cloc.interfaces import Split
from tests.eval.wherebench.encoder import Reader
from tests.helpers.oracle import Constant

EMPTY = Split("val", (), {})
PAIRS = 20
LOOK_ALIKES = WhereBenchLookAlikes(pairs=PAIRS, size=64)


@pytest.fixture(scope="module")
def of_reader():
    return LOOK_ALIKES.run(Reader(), EMPTY)


def test_who_reads_all_is_right_everywhere(of_reader):
    assert {name: of_reader[name] for name in CHANCE} == dict.fromkeys(CHANCE, 1.0)
    assert {of_reader[f"{name}_chance"] - line for name, line in CHANCE.items()} == {0.0}


def test_a_mirror_inverts_left_and_right(of_reader):
    assert of_reader["left_right_pick_mirrored"] == 0


def test_boxes_and_phrases_without_a_picture_tell_nothing(of_reader):
    assert of_reader["pick_blind"] == 0  # all ties
    assert of_reader["pick_permuted"] < 0.65


def test_who_reads_the_opposite_picks_the_other_one():
    found = LOOK_ALIKES.run(Reader(sign=-1), EMPTY)
    assert {name: found[name] for name in ("pick", "pair", "ground_pick")} == {
        **{"pick": 0.0, "pair": 0.0},
        "ground_pick": 1.0,  # its boxes are read, not scored
    }


def test_one_vector_for_everything_is_wrong_and_one_box_for_all_too():
    found = LOOK_ALIKES.run(Constant(grounds=True), EMPTY)
    assert {found[name] for name in CHANCE} == {0.0}


def test_no_grounding_no_figure():
    found = LOOK_ALIKES.run(Constant(grounds=False), EMPTY)
    assert "ground_pick" not in found
    assert "ground_pick_chance" not in found


def test_cases_are_picks_and_items(of_reader):
    cases = of_reader.figures.cases
    assert len(cases["pick"].values) == len(cases["ground_pick"].values) == 4 * PAIRS
    assert len(cases["pair"].values) == PAIRS
    halves = [set(cases[f"{name}_pick"].names) for name in ("left_right", "above_below")]
    assert halves[0] | halves[1] == set(cases["pick"].names)
    assert not halves[0] & halves[1]


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(UserError, match="set pairs to 1"):
        WhereBenchLookAlikes(pairs=0)
