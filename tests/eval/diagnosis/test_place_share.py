"""The share of place, against the analysis of variance written out cell by cell."""

import pytest
import torch

from cloc.eval.diagnosis.place_share import PlaceShare

N, P, W = 12, 9, 5


def share(x, *, size=4):
    found = PlaceShare()
    for part in x.split(size):
        found.add(part)
    return found


def random(seed, n=N, p=P, w=W):
    return torch.randn(n, p, w, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_definition(x):
    """Every sum of squares from its own deviations, one token at a time."""
    n, p, _ = x.shape
    mean = x.mean((0, 1))
    places, pictures = x.mean(0) - mean, x.mean(1) - mean
    rest = torch.stack(
        [
            torch.stack([x[i, j] - mean - places[j] - pictures[i] for j in range(p)])
            for i in range(n)
        ]
    )
    noise = float(rest.square().sum()) / ((n - 1) * (p - 1))
    place = (n * float(places.square().sum()) / (p - 1) - noise) / n
    picture = (p * float(pictures.square().sum()) / (n - 1) - noise) / p
    total = place + picture + noise
    return {"place": place / total, "picture": picture / total, "rest": noise / total}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("offset", [0, 1000])
def test_matches_the_definition(seed, offset):
    x = random(seed) + 2 * random(seed + 10, 1) + random(seed + 20, p=1) + offset
    found = share(x).figures()
    for name, value in by_definition(x).items():
        assert found[name] == pytest.approx(value, abs=1e-9)
    assert found["place"] + found["picture"] + found["rest"] == pytest.approx(1)
    assert found["mean_norm"] == pytest.approx(float(x.mean((0, 1)).norm()), rel=1e-9)


def test_tokens_that_say_their_place_alone_have_a_share_of_1():
    found = share(random(0, 1).expand(N, -1, -1)).figures()
    assert found["place"] == pytest.approx(1)
    assert found["content_norm"] == pytest.approx(0, abs=1e-6)


def test_tokens_of_a_picture_that_are_all_alike_are_all_picture():
    found = share(random(0, p=1).expand(-1, P, -1)).figures()
    assert found["picture"] == pytest.approx(1)
    assert found["place"] == pytest.approx(0)


def test_content_alone_has_a_share_of_0_in_expectation_however_few_the_pictures():
    """The plain ratio, between places over all, would be a half with two pictures."""
    found = [share(random(seed, n=2, p=16, w=8)).figures()["place"] for seed in range(400)]
    spread = torch.tensor(found).std() / len(found) ** 0.5
    assert abs(sum(found) / len(found)) < 4 * float(spread)
    assert 0 < float(spread) < 0.01
    assert min(found) < 0 < max(found)


def test_norms_are_those_of_the_parts():
    """Of a place part of length 3 and a rest of length 4."""
    places = torch.nn.functional.normalize(random(0, 1, p=4000, w=3), dim=-1) * 3
    rest = torch.nn.functional.normalize(random(1, 40, p=4000, w=3), dim=-1) * 4
    found = share(places + rest).figures()
    assert found["position_norm"] == pytest.approx(3, rel=0.01)
    assert found["content_norm"] == pytest.approx(4, rel=0.01)


@pytest.mark.parametrize("x", [random(0, 1), random(0, p=1), torch.ones(4, 5, 3), random(0)[:0]])
def test_where_nothing_varies_there_is_no_share(x):
    assert share(x).figures() is None if len(x) else PlaceShare().figures() is None


def test_what_is_kept_does_not_grow():
    assert share(random(0, n=50)).sums.shape == (P, W)
