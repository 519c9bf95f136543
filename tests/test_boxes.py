"""Box algebra against torchvision and by hand."""

import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st

from cloc import boxes
from tests.helpers.rows import random_boxes


@pytest.mark.parametrize("seed", range(3))
def test_equals_torchvision(seed):
    a, b = random_boxes(seed, 50), random_boxes(seed + 100, 50)
    ops = torchvision.ops
    torch.testing.assert_close(boxes.iou(a, b), ops.box_iou(a, b).diagonal())
    torch.testing.assert_close(boxes.giou(a, b), ops.generalized_box_iou(a, b).diagonal())
    torch.testing.assert_close(boxes.area(a), ops.box_area(a))


def test_giou_has_the_gradient_of_torchvision():
    a, b = random_boxes(1, 50).requires_grad_(), random_boxes(2, 50)
    other = a.detach().clone().requires_grad_()
    boxes.giou(a, b).sum().backward()
    torchvision.ops.generalized_box_iou(other, b).diagonal().sum().backward()
    torch.testing.assert_close(a.grad, other.grad)


def test_giou_has_a_gradient_where_boxes_do_not_meet():
    a = torch.tensor([[0.0, 0.0, 0.2, 0.2]], requires_grad=True)
    b = torch.tensor([[0.7, 0.7, 0.9, 0.9]])
    boxes.giou(a, b).sum().backward()
    assert (a.grad[0, 2:] > 0).all()  # a grows towards b
    assert boxes.iou(a, b).item() == 0


@given(seed=st.integers(0, 1000), scale=st.floats(0.1, 10), shift=st.floats(-5, 5))
def test_iou_is_unchanged_by_scaling_and_shift_of_both(seed, scale, shift):
    a, b = random_boxes(seed, 4), random_boxes(seed + 1, 4)
    grow = torch.tensor([scale, 1.0, scale, 1.0], dtype=torch.float64)
    moved = boxes.iou(a * grow + shift, b * grow + shift)
    torch.testing.assert_close(moved, boxes.iou(a, b), rtol=1e-6, atol=1e-9)


@given(seed=st.integers(0, 1000))
def test_giou_lies_between_minus_1_and_iou(seed):
    a, b = random_boxes(seed, 8), random_boxes(seed + 1, 8)
    giou, iou = boxes.giou(a, b), boxes.iou(a, b)
    assert (giou >= -1).all()
    assert (giou <= iou + 1e-12).all()
    assert (iou <= 1).all()
    torch.testing.assert_close(boxes.giou(a, a), torch.ones(8, dtype=torch.float64))


def test_area_is_zero_for_a_reversed_box():
    reversed_box = torch.tensor([[0.8, 0.1, 0.2, 0.5], [0.8, 0.5, 0.2, 0.1]])
    assert boxes.area(reversed_box).tolist() == [0, 0]


def test_two_empty_boxes_have_iou_zero_and_a_finite_gradient():
    a = torch.zeros(2, 4, requires_grad=True)
    b = torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.5, 0.5, 0.5, 0.5]])
    assert boxes.iou(a, b).tolist() == [0, 0]
    (boxes.iou(a, b) + boxes.giou(a, b)).sum().backward()
    assert a.grad.isfinite().all()


def test_shared_area_by_hand():
    a = torch.tensor([[0.0, 0.0, 0.5, 1.0], [0.0, 0.0, 0.5, 0.5]])
    b = torch.tensor([[0.25, 0.5, 1.0, 1.0], [0.5, 0.5, 1.0, 1.0]])
    assert boxes.intersection(a, b).tolist() == [0.125, 0.0]


def test_from_centre_gives_the_corners_and_may_reach_outside():
    centred = torch.tensor([[0.5, 0.25, 0.5, 1.0]])
    assert boxes.from_centre(centred).tolist() == [[0.25, -0.25, 0.75, 0.75]]
