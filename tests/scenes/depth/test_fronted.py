"""Solids with a front: the four views differ, and left is right in a mirror."""

from itertools import combinations

import numpy as np
import pytest

from cloc.data.samples.relations import AWAY, TO_THE_LEFT, TO_THE_RIGHT, TOWARDS
from cloc.scenes.depth import fronted
from cloc.scenes.depth.solids import FRONTED, Solid
from cloc.scenes.depth.stamps import stamp
from cloc.scenes.kinds import COLOURS

STEPS = (np.arange(100) + 0.5) / 50 - 1


def layers(shape, facing):
    return list(getattr(fronted, shape)(STEPS[None, :], STEPS[:, None], facing))


def inside(shape, facing):
    return np.any([layer.inside for layer in layers(shape, facing)], 0)


def greys(shape, facing, at_least):
    """Pixels of no own colour, at least so bright."""
    shown = np.zeros((100, 100))
    for layer in layers(shape, facing):
        shown = np.where(layer.inside, layer.grey, shown)
    return shown >= at_least


@pytest.mark.parametrize("shape", FRONTED)
def test_left_and_right_are_mirror_images(shape):
    assert (inside(shape, TO_THE_LEFT) != inside(shape, TO_THE_RIGHT)[:, ::-1]).mean() < 0.02
    assert (inside(shape, TO_THE_LEFT) != inside(shape, TO_THE_RIGHT)).mean() > 0.06


@pytest.mark.parametrize("side", [9, 13, 40])
@pytest.mark.parametrize("shape", FRONTED)
def test_all_four_views_differ_to_the_eye_in_every_colour(shape, side):
    for colour in COLOURS:
        views = []
        for facing in range(4):
            shown = stamp(Solid(shape, colour), facing, side, 64)
            canvas = np.full((side, side, 3), 190, np.uint8)
            height, width = np.asarray(shown.alpha).shape
            alpha = np.asarray(shown.alpha)[..., None] / 255
            canvas[:height, :width] = alpha * shown.colours + (1 - alpha) * 190
            views.append(canvas.astype(float))
        for one, other in combinations(views, 2):
            assert abs(one - other).mean() > 4, (colour, side)


def test_a_car_has_bright_lamps_and_windscreen_in_front_only():
    assert greys("car", TOWARDS, 220).sum() > 3 * greys("car", AWAY, 220).sum() > 0
    assert greys("car", TO_THE_LEFT, 240)[:, :50].any()
    assert not greys("car", TO_THE_LEFT, 240)[:, 50:].any()


def test_a_duck_has_its_face_where_its_front_is():
    accents = {
        facing: np.any([x.inside for x in layers("duck", facing) if x.accent] or [[[False]]], 0)
        for facing in range(4)
    }
    assert not accents[AWAY].any()
    assert accents[TOWARDS].any()
    assert accents[TO_THE_LEFT][:, :50].any()
    assert not accents[TO_THE_LEFT][:, 50:].any()


def test_a_chair_seen_from_its_back_hides_its_seat():
    for facing, seen in ((TOWARDS, True), (AWAY, False)):
        shown = np.zeros((100, 100))
        for layer in layers("chair", facing):
            shown = np.where(layer.inside, layer.colour, shown)
        assert (shown > 1.1).any() == seen
