"""Rows and columns of pictures, and what does not fit."""

from types import SimpleNamespace

import pytest
import torch

from cloc.decoder.vlm.grid import grids_of, queries_of
from cloc.errors import UserError

LLAVA = SimpleNamespace(vision_config=SimpleNamespace(patch_size=8))
QWEN = SimpleNamespace(vision_config=SimpleNamespace(patch_size=4, spatial_merge_size=2))


def pixels(*shape):
    return {"pixel_values": torch.zeros(*shape)}


def sizes(*rows):
    return {"image_grid_thw": torch.tensor(rows)}


def test_one_token_for_each_patch():
    assert grids_of(LLAVA, pixels(2, 3, 32, 48), [24, 24], name="x") == [(4, 6)] * 2


def test_sides_of_a_patch_and_pictures_of_a_row_may_be_told_one_by_one():
    pair = SimpleNamespace(vision_config=SimpleNamespace(patch_size=[8, 16]))
    assert grids_of(pair, pixels(1, 3, 32, 32), [8], name="x") == [(4, 2)]
    assert grids_of(LLAVA, pixels(2, 1, 3, 32, 48), [24, 24], name="x") == [(4, 6)] * 2


def test_patches_that_are_merged_are_one_token():
    assert grids_of(LLAVA, pixels(1, 3, 32, 48), [6], name="x") == [(2, 3)]
    found = grids_of(QWEN, sizes([1, 4, 6], [1, 2, 2]), [6, 1], name="x")
    assert found == [(2, 3), (1, 1)]


@pytest.mark.parametrize(
    ("config", "inputs", "counts", "says"),
    [
        (LLAVA, pixels(1, 3, 32, 32), [17], "has 17 tokens in the prompt and 4 x 4 patches; corr"),
        (LLAVA, pixels(1, 3, 32, 32), [8], "has 8 tokens in the prompt and 4 x 4 patches"),
        (LLAVA, pixels(1, 3, 32, 32), [32], "has 32 tokens in the prompt and 4 x 4 patches"),
        (QWEN, sizes([1, 4, 6]), [24], "has 24 tokens in the prompt and 2 x 3 patches"),
        (QWEN, sizes([2, 4, 6]), [12], "it sees a picture as several"),
        (LLAVA, pixels(1, 5, 3, 32, 32), [80], r"in crops \[1, 5, 3, 32, 32\], which lie on no"),
        (LLAVA, pixels(5, 3, 32, 32), [80], r"in crops \[5, 3, 32, 32\], which lie on no single"),
        (SimpleNamespace(), pixels(1, 3, 32, 32), [16], "it is not known how it divides a pict"),
        (LLAVA, {}, [16], "it is not known how it divides a picture"),
    ],
)
def test_what_does_not_fit_is_one_line(config, inputs, counts, says):
    with pytest.raises(UserError, match=f"vlm=x: .*{says}"):
        grids_of(config, inputs, counts, name="x")


def test_queries_are_known_by_the_names_of_their_classes():
    class Blip2QFormerModel(torch.nn.Linear):
        pass

    assert queries_of(torch.nn.Sequential(Blip2QFormerModel(1, 1))) == "Blip2QFormerModel"
    assert queries_of(torch.nn.Linear(1, 1)) == ""
