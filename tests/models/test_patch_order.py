"""Patches in another order, against a loop over them."""

import torch

from cloc.models.patch_order import random_order, shuffle_patches
from tests.helpers.models import random_pixels


def test_what_a_patch_shows_moves_as_it_is():
    grid, x = (2, 3), random_pixels(0, 2, (16, 24))
    order = random_order(grid, seed=1)
    moved = shuffle_patches(x, grid, order)
    for place, patch in enumerate(order.tolist()):
        (y, column), (from_y, from_column) = divmod(place, 3), divmod(patch, 3)
        found = moved[:, :, 8 * y : 8 * y + 8, 8 * column : 8 * column + 8]
        before = x[:, :, 8 * from_y : 8 * from_y + 8, 8 * from_column : 8 * from_column + 8]
        assert torch.equal(found, before)


def test_the_order_of_the_places_changes_nothing():
    x = random_pixels(0, 2, 16)
    assert torch.equal(shuffle_patches(x, (4, 4), torch.arange(16)), x)


def test_patches_that_carry_their_place_leave_it_behind():
    """A NaFlex embedder's: whether one is there, and rows and columns of its picture."""
    x = torch.randn(2, 7, 12 + 3)
    order = torch.tensor([2, 0, 1, 5, 4, 3])
    moved = shuffle_patches(x, (2, 3), order)
    assert torch.equal(moved[:, :6, :-3], x[:, order, :-3])
    assert torch.equal(moved[:, :, -3:], x[:, :, -3:])
    assert torch.equal(moved[:, 6], x[:, 6])


def test_an_order_follows_from_its_seed():
    orders = [random_order((4, 5), seed=seed).tolist() for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[2]) == list(range(20))
