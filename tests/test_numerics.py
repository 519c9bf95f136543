"""The first tensor that is not finite is named, whatever its type and wherever the number hides."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from cloc.numerics import first_not_finite

TYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("place", [0, 17, 4095])
def test_it_is_found_anywhere(dtype, bad, place):
    tensor = torch.linspace(-1, 1, 4096).to(dtype)
    assert first_not_finite({"a": tensor}) is None
    tensor[place] = bad
    whole = {"a": torch.ones(2), "b": tensor.view(64, 64).T, "c": tensor}
    assert first_not_finite(whole) == "b"


def test_the_largest_numbers_are_finite():
    for dtype in TYPES:
        largest = torch.finfo(dtype).max
        assert first_not_finite({"a": torch.tensor([largest, -largest], dtype=dtype)}) is None


def test_what_has_no_such_numbers_is_passed_over():
    with FakeTensorMode():
        fake = torch.ones(2)
    others = {
        "count": torch.tensor(3),
        "mask": torch.tensor([True]),
        "none": torch.zeros(0),
        "meta": torch.ones(2, device="meta"),
        "fake": fake,
    }
    assert first_not_finite(others) is None
    assert first_not_finite({}) is None
    weight = torch.nn.Parameter(torch.tensor([torch.nan]))
    assert first_not_finite({**others, "weight": weight}) == "weight"
