"""RoIAlign against bilinear interpolation written out."""

import inspect
import math

import pytest
import torch

from cloc.errors import UserError
from cloc.heads.prompter import Prompter
from cloc.heads.roi_align import RoIAlign, pool_boxes
from tests.helpers.rows import random_boxes, unit_rows

GRID = (3, 5)


def make_tokens(b=2, width=4):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(b, math.prod(GRID), width, generator=generator)


def bilinear(grid, x, y):
    """`grid` [rows, columns, c] at a place in cells; a patch stands at its centre, edges clamp."""
    rows, columns = grid.shape[:2]
    x = min(max(x - 0.5, 0), columns - 1)
    y = min(max(y - 0.5, 0), rows - 1)
    x0, y0 = min(int(x), columns - 2), min(int(y), rows - 2)
    fx, fy = x - x0, y - y0
    top = grid[y0, x0] * (1 - fx) + grid[y0, x0 + 1] * fx
    low = grid[y0 + 1, x0] * (1 - fx) + grid[y0 + 1, x0 + 1] * fx
    return top * (1 - fy) + low * fy


def by_definition(tokens, boxes, samples):
    """The mean of 2 `samples` x 2 `samples` points, evenly spaced inside the box."""
    rows, columns = GRID
    steps = [(k + 0.5) / (2 * samples) for k in range(2 * samples)]
    found = []
    for image, own in zip(tokens, boxes.tolist(), strict=True):
        grid = image.unflatten(0, GRID)
        for x0, y0, x1, y1 in own:
            points = [
                bilinear(grid, (x0 + s * (x1 - x0)) * columns, (y0 + t * (y1 - y0)) * rows)
                for t in steps
                for s in steps
            ]
            found.append(torch.stack(points).mean(0))
    return torch.stack(found).unflatten(0, boxes.shape[:2])


@pytest.mark.parametrize("samples", [1, 3])
def test_equals_the_mean_of_bilinear_points(samples):
    tokens, boxes = make_tokens(), random_boxes(1, 2, 6).float()
    boxes[0, 0] = torch.tensor([0, 0, 1, 1])
    found = pool_boxes(tokens, boxes, GRID, samples)
    torch.testing.assert_close(found, by_definition(tokens, boxes, samples), rtol=0, atol=1e-5)


def test_a_box_of_one_patch_is_that_patch():
    tokens = make_tokens(1)
    column, row = 2, 1
    width, height = 1e-3 / GRID[1], 1e-3 / GRID[0]
    x, y = (column + 0.5) / GRID[1], (row + 0.5) / GRID[0]
    box = torch.tensor([[[x - width, y - height, x + width, y + height]]])
    found = pool_boxes(tokens, box, GRID, 3)[0, 0]
    torch.testing.assert_close(found, tokens[0, row * GRID[1] + column], rtol=0, atol=1e-2)


def test_padded_boxes_are_finite_and_gradients_reach_every_parameter():
    head, boxes = RoIAlign(4, 6), random_boxes(1, 2, 3).float()
    boxes[1, 2] = 0
    region, grounded = head(make_tokens(), boxes, None, grid=GRID)
    assert grounded is None
    assert region.shape == (2, 3, 6)
    assert region.isfinite().all()
    region.square().sum().backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("half", ["module", "autocast"])
def test_runs_in_bfloat16_near_the_float32_answer(half):
    head, tokens, boxes = RoIAlign(4, 6), make_tokens(), random_boxes(1, 2, 3).float()
    expected, _ = head(tokens, boxes, None, grid=GRID)
    if half == "module":
        head, tokens = head.bfloat16(), tokens.bfloat16()
    with torch.autocast("cpu", torch.bfloat16, enabled=half == "autocast"):
        found, _ = head(tokens, boxes, None, grid=GRID)
    torch.testing.assert_close(found.float(), expected, rtol=0, atol=0.05)


def test_same_signature_as_the_prompter():
    ours, theirs = (
        [(p.name, p.kind, str(p.annotation)) for p in inspect.signature(f).parameters.values()]
        for f in (RoIAlign.forward, Prompter.forward)
    )
    assert ours == theirs


def test_cannot_look_for_a_phrase():
    with pytest.raises(UserError, match=r"cannot look for a phrase; set model\.box_head=null"):
        RoIAlign(4, 6)(make_tokens(), None, unit_rows(0, 2, 1, 6).float(), grid=GRID)
    assert RoIAlign(4, 6)(make_tokens(), None, None, grid=GRID) == (None, None)
