"""Mixtures: shares by samples, every source in its own order, weights that change with the step."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloc.data.stream.mixture import PERIOD, Mixture, locate
from cloc.data.stream.order import Order, Shuffle
from cloc.errors import UserError

PLACES = np.arange(2 * PERIOD + 777)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 100), min_size=1, max_size=5).filter(any), st.data())
def test_any_places_in_a_row_hold_each_sources_part(parts, draw):
    """Give or take three, of the weights rounded to 1 / `PERIOD`."""
    weights = {str(i): part / sum(parts) for i, part in enumerate(parts)}
    source, _ = Mixture(weights, batch_size=1)(PLACES)
    start = draw.draw(st.integers(0, len(PLACES) - 1))
    end = draw.draw(st.integers(start + 1, len(PLACES)))
    shares = np.bincount(source[:PERIOD], minlength=len(parts)) / PERIOD
    assert np.abs(shares - list(weights.values())).max() <= 1 / PERIOD
    held = np.bincount(source[start:end], minlength=len(parts))
    assert np.abs(held - shares * (end - start)).max() <= 3


@pytest.mark.parametrize(
    "weights",
    [
        {"a": 1.0},
        {"a": 0.5, "b": 0.3, "c": 0.2},
        {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3},
        {"a": {0: 1.0, 300: 0.25, 900: 0.0}, "b": {0: 0.0, 300: 0.75, 900: 1.0}},
    ],
)
def test_every_source_goes_through_its_own_places_one_after_another(weights):
    source, place = Mixture(weights, batch_size=7)(PLACES)
    for number in range(len(weights)):
        mine = place[source == number]
        assert (mine == np.arange(len(mine))).all()


def test_weights_change_with_the_step():
    mixture = Mixture({"a": {0: 1.0, 300: 0.25}, "b": {0: 0.0, 300: 0.75}}, batch_size=7)
    source, _ = mixture(PLACES)
    assert (source[: 300 * 7] == 0).all()
    assert (source[2100 : 2100 + 4000] == 1).sum() == 3000
    assert mixture.highest == {"a": 1.0, "b": 0.75}


def test_a_place_holds_the_same_whoever_asks():
    mixture = Mixture({"a": 0.6, "b": {0: 0.4, 50: 0.4}}, batch_size=3)
    source, place = mixture(PLACES)
    for start in (0, 149, 150, 9_999, 20_000):
        part = mixture(PLACES[start : start + 5])
        assert part[0].tolist() == source[start : start + 5].tolist()
        assert part[1].tolist() == place[start : start + 5].tolist()


def test_samples_are_those_of_each_sources_order():
    orders = [Order(np.array([n]), seed=n, batch_size=2, shuffle=Shuffle(1, 3)) for n in (5, 9)]
    mixture = Mixture({"a": 0.5, "b": 0.5}, batch_size=4)
    found = locate(mixture, orders, np.arange(40))
    for number, order in enumerate(orders):
        rows = found.source == number
        mine = order(np.arange(rows.sum()))
        assert found.sample[rows].tolist() == mine.sample.tolist()
        assert found.epoch[rows].tolist() == mine.epoch.tolist()


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (
            {"a": 0.5, "b": 0.4},
            r"data\.sources are {'a': 0\.5, 'b': 0\.4} from step 0 .* sum to 0\.9;",
        ),
        ({"a": {0: 1.0, 10: 0.5}}, "from step 10 on and sum to 0.5; give every source a weight"),
        ({"a": {5: 1.0}}, r"data\.sources\.a\.weight is {5: 1\.0}; its steps .* begin at 0"),
        ({"a": -1.0, "b": 2.0}, r"data\.sources\.a\.weight is -1\.0, expected shares in \[0, 1\]"),
        ({"a": float("nan")}, r"data\.sources\.a\.weight is nan"),
        ({}, "data.sources is empty; name at least one"),
    ],
)
def test_wrong_weights_name_the_key(weights, words):
    with pytest.raises(UserError, match=words):
        Mixture(weights, batch_size=4)
