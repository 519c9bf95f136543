"""What turns single pairs, seen from outside, for the largest and the smallest frequencies."""

import pytest
import torch

from cloc.models.positions.conformance import causes
from cloc.models.positions.conformance.engine import Engine
from cloc.models.positions.conformance.settings import PUBLISHED, axes, frequencies
from tests.models.positions.conformance.engines import SMALL
from tests.models.positions.conformance.engines import Engine as Right

EVERY = {own.name: own for own in [*PUBLISHED, *SMALL.values()]}


@pytest.mark.parametrize("name", EVERY)
def test_every_pair_is_looked_at_where_its_angle_is_far_above_the_noise(name):
    size = frequencies(EVERY[name]) * causes.steps(EVERY[name])
    assert size.max() <= 1
    assert size.min() > 100 * causes.NOISE


@pytest.mark.parametrize("name", SMALL)
def test_angles_are_read_from_what_becomes_of_each_channel(name):
    settings = SMALL[name]
    wanted = frequencies(settings) * causes.steps(settings)
    for own in Engine(Right(), settings).far(1, 1, 1):
        found = causes.angles(own, settings)
        torch.testing.assert_close(found, wanted.expand_as(found), rtol=1e-5, atol=1e-6)
        assert causes.frequency(found[0], settings) == ""


def test_the_axis_of_a_pair_is_the_one_that_turns_it():
    settings = SMALL["chunked"]
    size = frequencies(settings) * causes.steps(settings)
    found = torch.zeros(3, 1, 16).double()
    found[0, :, :4], found[2, :, 3:] = size[:4], -size[3:]
    found[:, :, 10] = 0
    wanted = torch.tensor([[0, 0, 0, causes.SEVERAL, 2, 2, 2, 2, 2, 2, causes.NOTHING, *[2] * 5]])
    assert torch.equal(causes.moving(found, settings), wanted)
    words = causes.axis(wanted, settings)
    assert words == (
        "50% of the pairs are on a wrong axis, pair 3 of head 0 turns with several axes and not "
        "with time"
    )
    assert causes.axis(axes(settings, 4), settings) == ""


def test_every_order_of_the_axes_has_its_words():
    """(t, h, w) = (1, 2, 3) taken for h, w, t: the pairs of time turn with the third position."""
    settings, found = SMALL["interleaved"], {}
    for order in ([1, 2, 0], [2, 0, 1], [1, 0, 2], [2, 1, 0]):
        read = torch.tensor([order.index(axis) for axis in range(3)])
        found[tuple(order)] = causes.axis(read[axes(settings, 2)], settings)
    assert found[1, 2, 0] == "positions (t, h, w) are taken for the row, the column, time"
    assert len(set(found.values())) == 4
