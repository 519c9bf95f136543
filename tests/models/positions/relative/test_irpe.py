"""iRPE: its buckets by a loop over equation 18, its modes, and what each method can tell."""

import math

import pytest
import torch

from cloc.errors import UserError
from cloc.models.positions.relative.irpe import IRPE, METHODS
from tests.helpers.rotations import CPU, offsets, on

GRIDS = [(3, 4), (7, 7), (5, 1)]


def piece(x, ratio):
    """Equation 18 for one number, alpha : beta : gamma = 1 : 2 : 8 ratios."""
    alpha, beta, gamma = ratio, 2 * ratio, 8 * ratio
    if abs(x) <= alpha:
        return round(x)
    far = round(alpha + math.log(abs(x) / alpha) / math.log(gamma / alpha) * (beta - alpha))
    return int(math.copysign(min(beta, far), x))


def by_loop(method, ratio, rows, columns):
    """Bucket of every pair of patches, for each table."""
    most = int(2 * ratio)
    index = {
        "euclid": lambda y, x: [piece(round(math.hypot(y, x)), ratio) + most],
        "quant": lambda y, x: [piece(y * y + x * x, ratio) + most],
        "cross": lambda y, x: [piece(y, ratio) + most, piece(x, ratio) + most],
        "product": lambda y, x: [
            (piece(y, ratio) + most) * (2 * most + 1) + piece(x, ratio) + most
        ],
    }[method]
    found = [[index(y, x) for y, x in line] for line in offsets(rows, columns)]
    return torch.tensor(found).permute(2, 0, 1)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("ratio", [None, 1.9, 3.0])
def test_buckets_are_those_of_the_equation(grid, method, ratio):
    own = IRPE(8, 2, method=method, ratio=ratio)
    found = own.buckets(on(*grid), CPU)
    assert torch.equal(found[:, 1:, 1:], by_loop(method, ratio or METHODS[method], *grid))
    assert (found[:, 0] == own.num_buckets).all()
    assert (found[:, :, 0] == own.num_buckets).all()
    assert found.max() <= own.num_buckets


def test_the_papers_default_has_49_buckets_and_one_of_the_class_token():
    own = IRPE(8, 2)
    assert own.num_buckets == 49
    assert own.tables["k"][0].shape == (1, 8, 50)
    assert [IRPE(8, 2, ratio=r).num_buckets for r in (2.0, 2.5, 3.0)] == [81, 121, 169]


def moved(own, q, k):
    """Tables at random."""
    torch.manual_seed(1)
    for table in own.parameters():
        torch.nn.init.normal_(table)
    place = on(3, 4)
    place = place._replace(buckets=place.of_kept(own.buckets(place, CPU)))
    return own.bias(q, k, place), place


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("on_what", ["k", "q", "qk", "kqv"])
@pytest.mark.parametrize("shared", [True, False])
def test_contextual_terms_are_those_of_a_loop(method, on_what, shared):
    torch.manual_seed(0)
    q, k, shares = torch.randn(2, 2, 13, 8), torch.randn(2, 2, 13, 8), torch.rand(2, 2, 13, 13)
    own = IRPE(8, 2, method=method, on=on_what, shared_head=shared)
    found, place = moved(own, q, k)
    expected, values = torch.zeros(2, 2, 13, 13), torch.zeros(2, 2, 13, 8)
    for number, pairs in enumerate(place.buckets[0]):
        of = {part: own.tables[part][number].expand(2, -1, -1) for part in on_what}
        for i in range(13):
            for j in range(13):
                b = pairs[i, j]
                if "k" in of:
                    expected[:, :, i, j] += (q[:, :, i] * of["k"][:, :, b]).sum(-1) / 8**0.5
                if "q" in of:
                    expected[:, :, i, j] += (k[:, :, j] * of["q"][:, :, b]).sum(-1) / 8**0.5
                if "v" in of:
                    values[:, :, i] += shares[:, :, i, j, None] * of["v"][:, :, b]
    torch.testing.assert_close(found.expand_as(expected), expected, rtol=1e-4, atol=1e-4)
    assert own.on_values is ("v" in on_what)
    if own.on_values:
        torch.testing.assert_close(own.values(shares, place), values, rtol=1e-4, atol=1e-4)


def test_a_bias_is_a_number_per_head_whatever_stands_there():
    own = IRPE(8, 2, mode="bias")
    found, place = moved(own, torch.randn(2, 2, 13, 8), torch.randn(2, 2, 13, 8))
    assert found.shape == (1, 2, 13, 13)
    assert torch.equal(found[0, 1, 3, 7], own.tables["k"][0][1, place.buckets[0, 0, 3, 7]])
    assert not own.on_values


@pytest.mark.parametrize(("method", "directed"), [
    ("euclid", False), ("quant", False), ("cross", True), ("product", True),
])  # fmt: skip
def test_only_directed_methods_tell_left_from_right(method, directed):
    found = IRPE(8, 2, method=method).buckets(on(3, 4), CPU)
    assert bool((found != found.transpose(1, 2)).any()) is directed


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"method": "city"}, "method=city of .*relative; choose euclid, quant, cross, product"),
        ({"mode": "loud"}, "mode=loud of .*relative; choose contextual, bias"),
        ({"on": "x"}, "on=x of .*relative; give k, q, v or several of them"),
        ({"on": "kk"}, "on=kk of .*relative; give k, q, v"),
        ({"on": ""}, "on= of .*relative; give k, q, v"),
        ({"mode": "bias", "on": "qk"}, "on=qk of .*relative is for mode=contextual"),
        ({"ratio": 0.0}, "ratio=0.0 of .*relative; give 1 or more"),
    ],
)
def test_what_cannot_be_is_one_line(given, says):
    with pytest.raises(UserError, match=says):
        IRPE(8, 2, **given)
