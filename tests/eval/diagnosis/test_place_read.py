"""How well places are read, against least squares over the tokens themselves."""

import numpy as np
import pytest
import torch

from cloc.eval.diagnosis.place_read import PlaceRead

GRID, W = (3, 4), 5
PLACES = np.array([(r, c) for r in range(3) for c in range(4)], float)


def random(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def read(x, *, size=4, grid=GRID):
    found = PlaceRead()
    for part in x.split(size):
        found.add(part, grid)
    return found


def told(pictures=20, loud=1.0):
    """Tokens in which places stand among much else, far from 0."""
    directions = random(1, 2, W)
    places = torch.from_numpy(PLACES) @ directions
    return random(0, pictures, 12, W) * 2 + loud * places + 100


@pytest.mark.parametrize("size", [1, 3, 4, 20])
def test_it_is_fitted_on_every_other_picture_and_told_of_those_between(size):
    x = told()
    rows = np.concatenate([x.numpy(), np.ones((20, 12, 1))], -1)
    targets = np.tile(PLACES, (10, 1))
    own, *_ = np.linalg.lstsq(rows[::2].reshape(-1, W + 1), targets, rcond=None)
    error = ((rows[1::2].reshape(-1, W + 1) @ own - targets) ** 2).mean(0)
    expected = 1 - error / targets.var(0)
    found = read(x, size=size).figures()
    assert [found["row"], found["column"]] == pytest.approx(expected.tolist(), abs=1e-9)
    assert 0.1 < found["row"] < 0.95


def test_1_where_the_map_tells_it_exactly():
    found = read(told(loud=1e6)).figures()
    assert found["row"] == pytest.approx(1, abs=1e-6)
    assert found["column"] == pytest.approx(1, abs=1e-6)


def test_0_where_it_knows_no_more_than_the_middle_and_below_where_it_misleads():
    many = read(random(3, 600, 12, W)).figures()
    assert many["row"] == pytest.approx(0, abs=0.01)
    away = told()
    away[1::2] = 200 - away[1::2]
    assert read(away).figures()["row"] < 0


def test_channels_that_do_not_vary_or_say_the_same_change_nothing():
    x = told()
    twice = torch.cat([x, x[..., :1], torch.ones(20, 12, 1)], -1)
    for side, value in read(x).figures().items():
        assert read(twice).figures()[side] == pytest.approx(value, abs=1e-6)


def test_a_side_with_a_single_place_has_none():
    found = read(told(), grid=(1, 12)).figures()
    assert found["row"] is None
    assert found["column"] is not None


def test_none_where_there_are_fewer_than_two_tokens_to_fit_on_for_each_channel():
    assert read(random(0, 4, 12, 13)).figures() is None
    assert read(random(0, 4, 12, 12)).figures() is not None
    assert read(random(0, 1, 12, 2)).figures() is None
    assert PlaceRead().figures() is None


def test_it_keeps_no_token():
    found = read(told())
    kept = [found.start, *found.squares, *found.mixed, found.places]
    assert sum(x.numel() for x in kept) == W + 2 * (W + 1) ** 2 + 2 * (W + 1) * 2 + 24
