"""Linear CKA, against its definition on the matrices of all rows."""

import pytest
import torch

from cloc.eval.diagnosis.cka import CKA


def cka(x, y, *, size=7):
    found = CKA()
    for parts in zip(x.split(size), y.split(size), strict=True):
        found.add(*parts)
    return found.figure()


def random(seed, n=40, w=6):
    return torch.randn(n, w, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_definition(x, y):
    """HSIC of the centred matrices of inner products of rows, of all pairs of rows."""
    n = len(x)
    centre = torch.eye(n, dtype=torch.float64) - 1 / n
    a, b = (centre @ (rows @ rows.T) @ centre for rows in (x.double(), y.double()))
    return float((a * b).sum() / (a.norm() * b.norm()))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("offset", [0, 1000])
def test_matches_the_definition(seed, offset):
    x = random(seed) + offset
    y = x[:, :4] @ random(seed + 5, 4, 9) + random(seed + 10, 40, 9) - offset
    assert cka(x, y) == pytest.approx(by_definition(x, y), abs=1e-9)


def test_half_sums_of_single_precision_are_enough():
    x, y = random(0).float() + 100, random(1).float() - 3
    assert cka(x, y) == pytest.approx(by_definition(x, y), abs=1e-4)


def test_the_same_features_turned_shifted_and_scaled_are_1():
    x = random(0)
    turn = torch.linalg.qr(random(1, 6)).Q
    assert cka(x, x) == pytest.approx(1)
    assert cka(x, 3 * x @ turn + 7) == pytest.approx(1)
    assert cka(x, x * torch.arange(1, 7)) < 0.99  # not of every channel by itself


def test_unrelated_features_have_width_over_rows():
    found = cka(random(0, 20_000, 8), random(1, 20_000, 8), size=5000)
    assert 0 < found < 0.01


def test_rows_that_do_not_vary_have_no_figure():
    assert CKA().figure() is None
    assert cka(torch.ones(9, 3).double(), random(0, 9)) is None
    assert cka(random(0, 9), torch.full((9, 2), 1e6).double()) is None
    assert cka(1e6 + torch.zeros(9, 3), random(0, 9).float()) is None
