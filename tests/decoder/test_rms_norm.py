"""RMSNorm by definition, and under autocast."""

import warnings

import pytest
import torch
from torch import nn

from cloc.decoder.rms_norm import RMSNorm


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_by_definition_and_as_torch_has_it(dtype):
    norm, theirs = RMSNorm(8).to(dtype), nn.RMSNorm(8).to(dtype)
    nn.init.normal_(norm.weight)
    theirs.load_state_dict(norm.state_dict())
    x = torch.randn(3, 5, 8, dtype=dtype)
    expected = x / x.square().mean(-1, keepdim=True).sqrt() * norm.weight
    torch.testing.assert_close(norm(x), expected)
    assert norm(x).equal(theirs(x))


def test_in_float32_whatever_comes_in_and_its_type_comes_out():
    norm, x = RMSNorm(64), torch.randn(3, 64).bfloat16()
    with warnings.catch_warnings(), torch.autocast("cpu", torch.bfloat16):
        warnings.simplefilter("error")  # torch tells of types that do not fit
        found = norm(x)
    assert found.dtype == torch.bfloat16
    assert found.equal(norm(x.float()).bfloat16())
