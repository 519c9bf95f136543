"""What an encoding can learn and what not: left and right of two cells, through the towers."""

import pytest

from tests.helpers.position_toys import accuracy, train

NONE = {"absolute": "none"}
AXIAL = {"absolute": "none", "rotary": "axial"}


def irpe(method, mode):
    return {"absolute": "none", "relative": {"kind": "irpe", "method": method, "mode": mode}}


@pytest.mark.slow
def test_without_positions_left_is_right_and_with_rotary_ones_it_is_not():
    """A flag that is parsed and not wired fails here."""
    assert abs(accuracy(train(NONE, steps=100)) - 0.5) <= 0.03
    trained = train(AXIAL, steps=400)
    assert accuracy(trained) >= 0.98
    assert accuracy(trained, view="permuted") <= 0.6
    assert accuracy(trained, view="mirrored") >= 0.98


@pytest.mark.slow
@pytest.mark.rare  # half a minute each
@pytest.mark.parametrize("mode", ["bias", "contextual"])
def test_a_distance_without_a_direction_stays_at_chance(mode):
    assert abs(accuracy(train(irpe("euclid", mode))) - 0.5) <= 0.03


@pytest.mark.slow
@pytest.mark.rare
@pytest.mark.parametrize(
    "positions",
    [
        {"absolute": "sincos"},
        {"absolute": "none", "rotary": "mixed"},
        irpe("product", "bias"),
    ],
)
def test_directed_encodings_tell_the_sides_by_places_alone(positions):
    trained = train(positions)
    assert accuracy(trained) >= 0.98
    assert accuracy(trained, view="permuted") <= 0.6
    assert accuracy(trained, view="mirrored") >= 0.98
