"""Pictures: every thing shows where its visible mask says, on a grey room with shadows."""

from random import Random

import numpy as np
import pytest

from cloc.scenes.depth.camera import CAMERAS, Camera
from cloc.scenes.depth.draw import draw, room
from cloc.scenes.depth.layout import draw_layout
from cloc.scenes.depth.place import painted
from cloc.scenes.depth.stamps import stamp
from tests.scenes.depth.test_place import unpacked

SIZE = 64


def test_pixels_are_those_of_the_thing_that_is_seen_there():
    """Where it is opaque, a thing shows its own colours wherever its visible mask says so, and
    nowhere else."""
    rng = Random(4)
    for _ in range(60):
        layout = draw_layout(rng, SIZE, twins=False, held_out="never")
        for version in layout.versions:
            image = np.asarray(draw(Random(1), layout.camera, version.things, SIZE))
            for thing, front in painted(version.things):
                shown = stamp(thing.solid, thing.facing, thing.side, SIZE)
                alpha = np.zeros((SIZE, SIZE), np.uint8)
                own = np.zeros((SIZE, SIZE, 3), np.uint8)
                place = np.s_[thing.y : thing.y + thing.height, thing.x : thing.x + thing.width]
                alpha[place] = np.asarray(shown.front if front else shown.alpha)
                own[place] = np.asarray(shown.colours)
                seen = unpacked(version.visible[thing], SIZE) & (alpha == 255)
                if not front:  # its front wall is painted again, over what it holds
                    seen &= ~unpacked(thing.front, SIZE)
                assert (image[seen] == own[seen]).all()


def test_a_soft_rim_lets_through_what_is_behind():
    layout = draw_layout(Random(0), SIZE, twins=False, held_out="never")
    things = layout.versions[0].things
    with_them = np.asarray(draw(Random(1), layout.camera, things, SIZE)).astype(int)
    without = np.asarray(room(Random(1), layout.camera, SIZE)).astype(int)
    covered = np.any([unpacked(thing.bits, SIZE) for thing in things], 0)
    changed = (with_them != without).any(-1)
    assert (changed & covered).sum() > 0.95 * covered.sum()


def test_shadows_are_grey_and_at_the_feet_only():
    layout = draw_layout(Random(0), SIZE, twins=False, held_out="never")
    things = layout.versions[0].things
    with_them = np.asarray(draw(Random(1), layout.camera, things, SIZE)).astype(int)
    without = np.asarray(room(Random(1), layout.camera, SIZE)).astype(int)
    covered = np.any([unpacked(thing.bits, SIZE) for thing in things], 0)
    shadow = (with_them != without).any(-1) & ~covered
    assert shadow.sum() > 10
    assert (with_them[shadow] <= without[shadow]).all()
    for y, x in np.argwhere(shadow):  # under one thing or a pixel or two aside
        assert any(
            t.x - 3 <= x < t.x + t.width + 3 and abs(y - t.y - t.height) <= t.side // 4 + 2
            for t in things
        )


@pytest.mark.parametrize("size", [32, 64, 224])
@pytest.mark.parametrize("camera", CAMERAS)
def test_the_room_is_a_neutral_grey(camera, size):
    pixels = np.asarray(room(Random(0), camera, size))
    assert pixels.shape == (size, size, 3)
    assert np.ptp(pixels, -1).max() == 0
    assert 140 <= pixels.min()
    assert pixels.max() < 255


def test_the_floor_grows_brighter_and_its_tiles_larger_towards_the_viewer():
    pixels = np.mean([np.asarray(room(Random(i), Camera(80), 256))[..., 0] for i in range(40)], 0)
    assert pixels[60].mean() < pixels[250].mean() - 30
    edges = [np.sum(abs(np.diff(pixels[row])) > 5) for row in (90, 250)]
    assert edges[0] > 2 * edges[1] > 0


def test_equal_seeds_give_equal_pictures():
    layout = draw_layout(Random(3), SIZE, twins=True, held_out="never")
    one, again, other = (
        draw(Random(seed), layout.camera, layout.versions[0].things, SIZE).tobytes()
        for seed in (5, 5, 6)
    )
    assert one == again != other
