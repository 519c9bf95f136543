"""Places, holders, the order of painting, and what is seen of each thing."""

from random import Random

import numpy as np
import pytest

from cloc.scenes.depth.camera import Camera
from cloc.scenes.depth.layout import draw_layout
from cloc.scenes.depth.place import at, holding, painted, pixels, visible
from cloc.scenes.depth.solids import HOLDERS, Solid
from cloc.scenes.depth.stamps import form

CAMERA, SIZE = Camera(80), 128


def ball(x=500, row=800, world=280, colour="red"):
    return at(Solid("ball", colour), CAMERA, SIZE, world=world, x=x, row=row)


def unpacked(bits, size=SIZE):
    raw = np.frombuffer(bits.to_bytes(size * size // 8, "little"), np.uint8)
    return np.unpackbits(raw, bitorder="little").reshape(size, size).astype(bool)


def test_pixels_are_the_nearest_halves_up():
    assert [pixels(x, 64) for x in (0, 7, 8, 500, 1000)] == [0, 0, 1, 32, 64]


def test_a_thing_stands_with_its_foot_at_its_row():
    thing = ball()
    x0, _, x1, y1 = thing.box
    assert y1 == pixels(800, SIZE)
    assert abs((x0 + x1) / 2 - SIZE / 2) <= 1
    assert x1 - x0 == pixels(CAMERA.side(280, 800), SIZE)
    assert (thing.row, thing.distance) == (800, CAMERA.distance(800))


def test_the_box_is_the_extent_of_the_bits():
    thing = ball(x=300, row=930)
    rows, columns = (np.flatnonzero(unpacked(thing.bits).any(axis)) for axis in (1, 0))
    assert thing.box == (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)


@pytest.mark.parametrize(
    "spot", [{"x": 30}, {"x": 970}, {"row": 1010}, {"row": 500, "world": 2000}]
)
def test_what_would_leave_the_picture_is_none(spot):
    assert ball(**spot) is None


@pytest.mark.parametrize(("shape", "word"), [(s, w) for s in HOLDERS for w in HOLDERS[s]])
def test_a_holder_is_put_around_what_stays_where_it_is(shape, word):
    if word == "beside":
        return
    content = ball(row=700, world=220)
    holder = Solid(shape, "blue")
    held, under = holding(holder, CAMERA, SIZE, world=420, content=content, word=word)
    assert (held.box, held.holder, held.held) == (content.box, under, word)
    assert abs(sum(held.box[::2]) - sum(under.box[::2])) <= 2  # one middle
    assert under.box[3] > held.box[3] or word == "under"
    assert held.row == under.row
    assert held.distance == under.distance == CAMERA.distance(under.row)
    seen = visible(painted([held, under]))
    assert 0.5 < seen[held].bit_count() / held.bits.bit_count() <= 1
    if word == "in":  # the front wall hides its lowest rows, not its top
        hidden = unpacked(held.bits & ~seen[held])
        assert hidden.any()
        assert np.flatnonzero(hidden.any(1))[0] > held.y + held.height // 2


def test_the_farther_is_painted_first_and_what_is_held_between_its_holders_walls():
    far, near = ball(row=600), ball(row=900, colour="blue")
    bowl = Solid("bowl", "green")
    held, holder = holding(
        bowl, CAMERA, SIZE, world=420, content=ball(row=700, world=220), word="in"
    )
    order = painted([near, held, far, holder])
    assert [(thing, front) for thing, front in order] == [
        (far, False),
        (holder, False),
        (held, False),
        (holder, True),
        (near, False),
    ]


def test_what_is_seen_is_what_a_painter_leaves():
    """Bit by bit: every pixel belongs to who painted it last."""
    rng = Random(5)
    for _ in range(30):
        layout = draw_layout(rng, SIZE, twins=False, held_out="never")
        for version in layout.versions:
            owner = np.full((SIZE, SIZE), -1)
            for thing, front in painted(version.things):
                number = version.things.index(thing)
                owner[unpacked(thing.front if front else thing.bits)] = number
            for number, thing in enumerate(version.things):
                assert (unpacked(version.visible[thing]) == (owner == number)).all()


def test_front_bits_move_with_the_thing():
    bowl = at(Solid("bowl", "red"), CAMERA, SIZE, world=300, x=400, row=800)
    shown = form("bowl", bowl.facing, bowl.side, SIZE)
    assert bowl.front == shown.front << (bowl.y * SIZE + bowl.x)


def test_a_thing_prints_in_a_line():
    assert "Placed(solid=Solid(shape='ball', colour='red')" in repr(ball())
    assert len(repr(ball())) < 300
