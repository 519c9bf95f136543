"""Solids without a front: lit from the left, seen from above, and what hides what they hold."""

import numpy as np
import pytest

from cloc.scenes.depth import shapes
from cloc.scenes.depth.shapes import HELD_AT, ellipse, round_tone
from cloc.scenes.depth.solids import HOLDERS, PLAIN

STEPS = (np.arange(200) + 0.5) / 100 - 1
X, Y = STEPS[None, :], STEPS[:, None]


def drawn(shape):
    """Own colour's share and grey of each pixel, what is inside, what is in front."""
    colour, grey = np.zeros((2, 200, 200))
    inside, front = np.zeros((2, 200, 200), bool)
    for layer in getattr(shapes, shape)(X, Y):
        colour = np.where(layer.inside, layer.colour, colour)
        grey = np.where(layer.inside, layer.grey, grey)
        inside |= layer.inside
        front = np.where(layer.inside, layer.front, front)
    return colour, grey, inside, front


@pytest.mark.parametrize("shape", [*PLAIN, *HOLDERS])
def test_each_is_large_enough_and_not_a_full_square(shape):
    *_, inside, _ = drawn(shape)
    assert 0.15 < inside.mean() < 0.85
    assert inside.any(1).sum() > 120


@pytest.mark.parametrize("shape", PLAIN)
def test_the_left_is_brighter_than_the_right(shape):
    colour, _, inside, _ = drawn(shape)
    body = inside & (Y > (0.62 if shape != "ball" else -2))  # below labels and handles
    middle = np.median(np.nonzero(body)[1])
    columns = np.arange(200)[None, :]
    assert colour[body & (columns < middle)].mean() > colour[body & (columns > middle)].mean() + 0.1


def test_a_ball_is_round_and_has_a_light_spot_up_left():
    _, grey, inside, _ = drawn("ball")
    assert inside.mean() == pytest.approx(np.pi / 4, abs=0.01)
    row, column = np.unravel_index(grey.argmax(), grey.shape)
    assert grey.max() > 30
    assert row < 100 > column


@pytest.mark.parametrize("shape", HOLDERS)
def test_what_is_in_front_of_what_is_held_is_a_part_of_the_holder(shape):
    *_, inside, front = drawn(shape)
    assert not (front & ~inside).any()
    assert front.any() == (shape != "box")


@pytest.mark.parametrize("shape", ["bowl", "basket"])
def test_a_container_shows_its_inside_above_its_front_wall(shape):
    _, _, inside, front = drawn(shape)
    middle = inside[:, 100], front[:, 100]
    opening = middle[0] & ~middle[1]
    assert 30 < opening.sum() < 80
    # its wall begins a little above the lowest point of what is in it, and hides its foot
    level = 100 + HELD_AT[shape, "in"]
    assert 8 < level - np.flatnonzero(middle[1])[0] < 30


def test_what_is_on_a_box_or_table_stands_on_its_top():
    for shape in ("box", "table"):
        colour, *_ = drawn(shape)
        assert colour[100 + HELD_AT[shape, "on"], 40] > 1  # the bright face


def test_there_is_room_under_a_table():
    *_, inside, _ = drawn("table")
    assert not inside[80:195, 60:140].any()
    assert 100 + HELD_AT["table", "under"] < 195


def test_an_ellipse_has_its_half_axes():
    assert ellipse(X, Y, 0.5, 0.25).mean() == pytest.approx(np.pi * 0.125 / 4, abs=0.001)


def test_a_cylinder_is_dark_at_the_right():
    tones = round_tone(np.array([-1.0, -0.6, 0, 1, 2]))
    assert tones.argmax() == 1
    assert tones[3] == tones[4] == tones.min()
