"""Places as waves; what the Prompter makes of them is in test_prompter."""

import pytest
import torch

from cloc.heads.shared.places import encode, patch_centres

CPU = torch.device("cpu")


def test_patch_centres_stand_row_by_row():
    found = patch_centres((2, 4), CPU)
    across, down = [0.125, 0.375, 0.625, 0.875], [0.25, 0.75]
    assert found.tolist() == [[x, y] for y in down for x in across]


def test_patch_centres_are_exact_where_half_precision_is_the_default():
    """Lightning's bf16-true makes it the default while the model runs."""
    expected = patch_centres((24, 24), CPU)
    torch.set_default_dtype(torch.bfloat16)
    try:
        assert patch_centres((24, 24), CPU).equal(expected)
    finally:
        torch.set_default_dtype(torch.float32)


def test_every_place_has_the_norm_of_the_root_of_twice_the_waves():
    found = encode(torch.rand(50, 2), 24).norm(dim=-1)
    torch.testing.assert_close(found, torch.full((50,), 48**0.5))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_in_float32_whatever_the_numbers_are(dtype):
    assert encode(torch.rand(3, 2).to(dtype), 4).dtype == torch.float32
