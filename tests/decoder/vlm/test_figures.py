"""Figures of looks that are made by hand."""

import numpy as np
import pytest
import torch

from cloc.decoder.gaze import Look
from cloc.decoder.vlm.figures import Figures
from cloc.decoder.vlm.looker import Looked, inside_of
from cloc.errors import UserError

VALID = torch.ones(1, 7).bool()
PICTURE = torch.tensor([[0, 1, 1, 1, 1, 0, 0]]).bool()
BEFORE = torch.tensor([[1, 0, 0, 0, 0, 0, 0]]).bool()
EVEN = torch.tensor([0.6, 0.05, 0.05, 0.05, 0.05, 0.1, 0.1])
SHARP = torch.tensor([0.6, 0.2, 0.0, 0.0, 0.0, 0.1, 0.1])  # all of it on the first patch


def boxes(*given):
    return np.array(given, np.float64).reshape(-1, 4)


def look(*heads):
    """Of one picture and layers of two heads."""
    shares = torch.stack(heads).view(-1, 1, 2, 7)
    return Look(tuple(range(3, 3 + len(shares))), shares, torch.zeros(1, 5))


FIRST = boxes([0, 0, 0.5, 0.5])  # the first patch
NOWHERE = boxes()


def added(*parts):
    found = Figures()
    for one, what in parts:
        inside = inside_of(PICTURE, [(2, 2)], [what])
        found.add(Looked(one, torch.zeros(1, 5), VALID, PICTURE, BEFORE, inside, [(2, 2)]))
    return found


def test_every_head_has_its_own_figures_and_words_before_the_picture_are_left_out():
    found = added((look(EVEN, SHARP), FIRST)).heads()
    assert found["image"] == [pytest.approx([0.2, 0.2])]
    assert found["image_without_system"] == [pytest.approx([0.5, 0.5])]
    assert found["entropy"] == [pytest.approx([1.0, 0.0])]
    assert found["on_boxes"] == [pytest.approx([0.25, 1.0])]


def test_pictures_without_a_box_are_in_no_mean_of_the_boxes():
    found = added((look(EVEN, SHARP), FIRST), (look(SHARP, SHARP), NOWHERE))
    assert found.heads()["on_boxes"] == [pytest.approx([0.25, 1.0])]
    assert found.heads()["entropy"] == [pytest.approx([0.5, 0.0])]
    assert found.even() == 0.25
    none = added((look(EVEN, SHARP), NOWHERE))
    assert none.heads()["on_boxes"] is None
    assert none.even() is None


def test_heads_are_chosen_on_the_first_half_and_reported_on_the_second():
    flipped = (look(EVEN, EVEN, EVEN, SHARP), FIRST)  # another head finds things there
    found = added((look(EVEN, SHARP, EVEN, EVEN), FIRST), flipped).best(1)
    assert found["heads"] == [{"layer": 3, "head": 1, "chosen": 1.0, "reported": 0.25}]
    assert (found["chosen_on"], found["reported_on"], found["reported"]) == (1, 1, 0.25)
    assert found["reported_of_all"] == pytest.approx((3 * 0.25 + 1) / 4)
    assert found["reported_even"] == 0.25


def test_no_head_is_chosen_where_a_half_has_no_box():
    assert added((look(EVEN, SHARP), FIRST), (look(EVEN, SHARP), NOWHERE)).best(1) is None
    assert added((look(EVEN, SHARP), FIRST)).best(1) is None


@pytest.mark.parametrize("count", [0, 3])
def test_more_heads_than_there_are(count):
    found = added((look(EVEN, SHARP), FIRST), (look(EVEN, SHARP), FIRST))
    with pytest.raises(UserError, match=f"top_heads={count}; give 1 to 2, its heads"):
        found.best(count)
