"""Norms of tokens, against all of them kept."""

import pytest
import torch

from cloc.errors import UserError
from cloc.eval.diagnosis.norms import OUTLIER, Norms


def of(*parts):
    norms = Norms()
    for part in parts:
        norms.add(part)
    return norms


def tokens(seed, n=4000):
    """Norms over a range of eight powers of ten."""
    generator = torch.Generator().manual_seed(seed)
    scale = 10 ** (8 * torch.rand(n, 1, generator=generator, dtype=torch.float64) - 4)
    return scale * torch.randn(n, 5, generator=generator, dtype=torch.float64)


def test_quantiles_are_those_of_all_tokens_to_the_width_of_a_bin():
    x = tokens(0)
    found = of(x[:1000].reshape(10, 100, 5), x[1000:]).figures()
    norms = x.norm(dim=1)
    assert found["tokens"] == 4000
    assert (found["min"], found["max"]) == (float(norms.min()), float(norms.max()))
    assert found["mean"] == pytest.approx(float(norms.mean()), rel=1e-12)
    for name, share in (("p05", 0.05), ("p25", 0.25), ("p50", 0.5), ("p75", 0.75), ("p95", 0.95)):
        exact = float(norms.sort().values[int(share * 4000) - 1])
        assert found[name] == pytest.approx(exact, rel=0.0055)


def test_outliers_are_the_share_above_four_medians():
    x = torch.ones(100, 3)
    x[:7] *= OUTLIER * 1.02
    x[7:20] *= OUTLIER * 0.98
    assert of(x).figures()["outliers"] == pytest.approx(0.07)


def test_tokens_of_no_length_and_of_one_length_are_measured():
    found = of(torch.zeros(4, 3)).figures()
    assert (found["mean"], found["p50"], found["max"], found["outliers"]) == (0, 0, 0, 0)
    mixed = torch.cat([torch.zeros(6, 3), torch.ones(4, 3)])
    assert of(mixed).figures()["outliers"] == pytest.approx(0.4)
    found = of(torch.full((9, 4), 1.5)).figures()
    assert {found[key] for key in ("mean", "min", "p05", "p95", "max")} == {3.0}


def test_nothing_has_no_figures():
    assert of().figures() is None
    assert of(torch.zeros(3, 0, 4)).figures() is None


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_token_that_is_not_finite_is_refused(bad):
    x = torch.ones(2, 3, 4)
    x[1, 2, 3] = bad
    with pytest.raises(UserError, match=r"^a token of this encoder is not finite.*optimizer\.lr$"):
        of(x)


def test_what_is_kept_does_not_grow():
    few, many = of(tokens(0, 10)), of(*[tokens(i, 500) for i in range(20)])
    assert few.bins.shape == many.bins.shape
    assert set(vars(few)) == set(vars(many))
