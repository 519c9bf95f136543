"""The temperature: where it starts, where it ends, and that it can come back from there."""

import pytest
import torch

from cloc.errors import UserError
from cloc.heads.logit_scale import LogitScale


def test_starts_at_the_initial_scale():
    assert LogitScale()().item() == pytest.approx(1 / 0.07)
    assert LogitScale(initial=3.0)().item() == pytest.approx(3)


def test_a_trained_one_is_never_above_the_maximum_and_the_gradient_stays_alive():
    scale = LogitScale(maximum=50.0)
    scale.log_scale.data.fill_(9.0)
    assert scale().item() == pytest.approx(8103, rel=1e-3)  # looking changes nothing
    scale.cap_scale()
    value = scale()
    assert value.item() == pytest.approx(50, rel=1e-6)
    value.backward()
    assert scale.log_scale.grad.item() == pytest.approx(50, rel=1e-6)  # d exp(x) = exp(x)
    with torch.no_grad():
        scale.log_scale -= 0.5
    assert scale().item() == pytest.approx(50 * 2.718281828**-0.5, rel=1e-5)
    scale.requires_grad_(False).log_scale.data.fill_(9.0)
    scale.cap_scale()
    assert scale.log_scale.item() == 9


@pytest.mark.parametrize(("initial", "maximum"), [(0.0, 100.0), (-1.0, 100.0), (200.0, 100.0)])
def test_an_impossible_start_is_named(initial, maximum):
    with pytest.raises(UserError, match=rf"initial={initial}; choose above 0 .*maximum=100"):
        LogitScale(initial=initial, maximum=maximum)
