"""Readers of a part of an item, trained on 300, are at chance but where the part tells."""

import pytest

from cloc.scenes.wherebench.items import RELATIONS
from cloc.scenes.wherebench.versions import VERSIONS
from tests.eval.wherebench.leaks import chosen_right, from_boxes, from_captions, from_patches

PAIRS = 300
THREE_ERRORS = 3 * 0.5 / PAIRS**0.5


@pytest.mark.rare  # 20 s in all; the items change with their VERSION alone
@pytest.mark.parametrize("relation", RELATIONS)
def test_patches_in_no_order_tell_no_more_than_the_line_to_beat(relation):
    found = from_patches(relation, PAIRS)
    assert found == pytest.approx(VERSIONS[1].bag_of_patches.get(relation, 0.5), abs=THREE_ERRORS)


@pytest.mark.parametrize("relation", [*RELATIONS, "look_alikes"])
def test_a_caption_alone_does_not_tell_which_picture_it_belongs_to(relation):
    assert from_captions(relation, PAIRS) == pytest.approx(0.5, abs=THREE_ERRORS)


def test_two_candidate_boxes_and_the_words_do_not_tell_the_one_that_is_meant():
    assert from_boxes(PAIRS) == pytest.approx(0.5, abs=THREE_ERRORS)


def test_the_probe_learns_what_is_there():
    leads = [[(-1) ** (i // 2) * 0.3, 1.0 + i % 5] for i in range(PAIRS)]
    assert chosen_right(leads) == 1
