"""Where tokens stand, also where some were dropped."""

import torch

from cloc.models.positions.place import Place, masked
from tests.helpers.rotations import CPU, on


def test_row_and_column_of_every_patch():
    assert on(2, 3).coordinates(CPU)[0].tolist() == [
        *([0, 0], [0, 1], [0, 2]),
        *([1, 0], [1, 1], [1, 2]),
    ]
    kept = torch.tensor([[0, 4], [3, 5]])
    assert on(2, 3, kept).coordinates(CPU).tolist() == [[[0, 0], [1, 1]], [[1, 0], [1, 2]]]


def test_pairs_of_the_tokens_that_stayed():
    pairs = torch.arange(2 * 49).view(2, 7, 7)
    assert torch.equal(on(2, 3).of_kept(pairs), pairs[None])
    kept = torch.tensor([[0, 4], [3, 5]])
    found = on(2, 3, kept).of_kept(pairs)
    assert found.shape == (2, 2, 3, 3)
    for b, own in enumerate(kept):
        tokens = torch.cat([torch.zeros(1, dtype=torch.long), own + 1])
        assert torch.equal(found[b], pairs[:, tokens][:, :, tokens])


def test_a_mask_goes_with_the_place_or_is_all_there_is():
    mask = torch.zeros(3, 3)
    assert masked(None, mask) is mask
    place = masked(on(1, 2), mask)
    assert isinstance(place, Place)
    assert place.mask is mask
