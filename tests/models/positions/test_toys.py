"""What an encoding can learn and what not, through the towers: the smallest of the toys, and that
their pictures say what their captions do. All encodings: `python -m tests.faults.positions`."""

import pytest
import torch

from tests.helpers.position_toys import FOUR, PATCH, SIDED, accuracy, draw, permuted, train

NONE = {"absolute": "none"}
AXIAL = {"absolute": "none", "rotary": "axial"}


@pytest.mark.slow
def test_without_positions_left_is_right_and_with_rotary_ones_it_is_not():
    """A flag that is parsed and not wired fails here."""
    assert abs(accuracy(train(NONE, steps=100)) - 0.5) <= 0.03
    trained = train(AXIAL, steps=200)
    assert accuracy(trained) >= 0.98
    assert accuracy(trained, view="permuted") <= 0.6
    assert accuracy(trained, view="mirrored") >= 0.98


def places(pixels):
    """Row and column of the red and of the green cell, [n, 2] each."""
    cells = pixels[:, :, ::PATCH, ::PATCH]
    found = []
    for colour in (0, 1):
        alone = (cells[:, colour] == 255) & (cells[:, 1 - colour] == 0)
        assert (alone.flatten(1).sum(1) == 1).all()
        index = alone.flatten(1).int().argmax(1)
        found.append(torch.stack([index // cells.shape[3], index % cells.shape[3]], 1))
    return found


@pytest.mark.parametrize("grid", [(5, 5), (5, 8), (10, 10)])
@pytest.mark.parametrize("captions", [SIDED, FOUR])
def test_the_caption_is_true_of_the_picture(grid, captions):
    pixels, answer = draw(500, *grid, captions, torch.Generator().manual_seed(0))
    assert pixels.shape == (500, 3, grid[0] * PATCH, grid[1] * PATCH)
    red, green = places(pixels)
    for apart, number in zip((red - green).tolist(), answer.tolist(), strict=True):
        axis, side = {"left": (1, -1), "right": (1, 1), "above": (0, -1), "below": (0, 1)}[
            captions[number].split()[1]
        ]
        assert apart[axis] * side > 0
        assert captions is SIDED or abs(apart[axis]) >= 2 * abs(apart[1 - axis])
    square = grid[0] == grid[1]  # on a wide grid more pairs are side by side
    assert torch.bincount(answer).min() > (350 if square else 200) / len(captions)


def test_permuting_keeps_the_patches_and_moves_them():
    pixels, _ = draw(20, 5, 5, SIDED, torch.Generator().manual_seed(0))
    moved = permuted(pixels)
    assert torch.equal(moved.flatten(2).sort().values, pixels.flatten(2).sort().values)
    assert sum(torch.equal(a, b) for a, b in zip(pixels, moved, strict=True)) < 5
    for before, after in zip(places(pixels), places(moved), strict=True):
        assert (before != after).any(1).float().mean() > 0.5
