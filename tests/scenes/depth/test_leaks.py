"""Readers of a part of a scene, trained on 300, are at chance but where the part tells."""

import pytest

from tests.scenes.depth.leaks import (
    GROUPS,
    RANK,
    from_boxes,
    from_captions,
    from_names,
    from_patches,
    from_texts,
)

AMOUNT = 300
THREE_ERRORS = 3 * 0.5 / AMOUNT**0.5
# What patches in no order tell, of the two things that they are told and of where a front points:
# which is larger, which hides which. The lines to beat, of 2,000 scenes each.
BAG_OF_PATCHES = {"in front, behind": 1.0, "own, behind each other": 0.99}
BAG_OF_PATCHES |= {"in, beside": 1.0, "on, beside": 1.0, "on, under": 1.0}
BOXES = {RANK: 1.0}  # depth by size and by height in the picture


@pytest.mark.rare  # a minute in all
@pytest.mark.parametrize("name", GROUPS)
def test_patches_in_no_order_tell_no_more_than_the_line_to_beat(name):
    line = BAG_OF_PATCHES.get(name, 0.5)
    assert from_patches(name, AMOUNT) == pytest.approx(line, abs=THREE_ERRORS)


@pytest.mark.rare
@pytest.mark.parametrize("name", [*GROUPS, RANK])
def test_two_candidate_boxes_and_the_words_tell_no_more_than_the_line_to_beat(name):
    line = BOXES.get(name, 0.5)
    assert from_boxes(name, AMOUNT) == pytest.approx(line, abs=THREE_ERRORS)


@pytest.mark.rare
@pytest.mark.parametrize("name", [*GROUPS, RANK])
def test_a_name_and_its_flipped_form_are_not_told_apart_by_their_words(name):
    assert from_texts(name, AMOUNT) == pytest.approx(0.5, abs=THREE_ERRORS)


@pytest.mark.rare
@pytest.mark.parametrize("reader", [from_captions, from_names])
def test_nor_are_captions_and_other_names(reader):
    assert reader(4 * AMOUNT) == pytest.approx(0.5, abs=THREE_ERRORS / 2)
