"""The pinhole: scale and distance go with the rows below the horizon."""

from itertools import pairwise
from random import Random

import pytest

from cloc.scenes.depth.camera import CAMERAS, FARTHEST, SIDES, Camera, draw_camera


@pytest.mark.parametrize("camera", CAMERAS)
def test_scale_and_distance_are_inverse(camera):
    for row in range(camera.farthest, 1001, 7):
        share = (row - camera.horizon) / (1000 - camera.horizon)
        assert camera.distance(row) == pytest.approx(1000 / share, abs=1)
        assert camera.side(280, row) == pytest.approx(280 * share, rel=0.04)


def test_a_side_is_the_nearest_of_few():
    camera = Camera(0)
    for world in range(SIDES[0], 700):
        side = camera.side(world, 1000)
        assert side in SIDES
        assert abs(side - world) == min(abs(other - world) for other in SIDES)
    assert camera.side(5000, 1000) == SIDES[-1]


def test_a_step_between_sides_is_6_percent():
    for one, more in pairwise(SIDES):
        assert 1.05 < more / one < 1.07


@pytest.mark.parametrize("camera", CAMERAS)
def test_the_farthest_row_is_the_last_within_reach(camera):
    assert camera.distance(camera.farthest - 2) > FARTHEST >= camera.distance(camera.farthest + 1)


def test_the_lower_edge_is_at_1000():
    assert all(camera.distance(1000) == 1000 for camera in CAMERAS)


def test_every_camera_is_drawn():
    rng = Random(0)
    assert {draw_camera(rng) for _ in range(100)} == set(CAMERAS)
