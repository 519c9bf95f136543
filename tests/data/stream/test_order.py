"""The order of samples: a pure function of seed, epoch and place; every sample once an epoch."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloc.data.stream.order import Order, Shuffle, seeded
from cloc.errors import UserError

COUNTS = np.array([6, 0, 11, 3, 10])
TOTAL = 30
GOLDEN_SHARDS = [0, 2, 2, 4, 0, 2, 4, 4]
GOLDEN_INDEX = [1, 2, 10, 4, 4, 4, 2, 8]


def order(counts=COUNTS, **changes):
    settings = {"seed": 0, "batch_size": 4, "slots": 4, "block": 3, **changes}
    shuffle = Shuffle(settings.pop("slots"), settings.pop("block"))
    return Order(counts, shuffle=shuffle, **settings)


def samples(order, places):
    found = order(np.asarray(places))
    return list(zip(*(part.tolist() for part in found), strict=True))


@settings(max_examples=200, deadline=None)
@given(
    counts=st.lists(st.integers(0, 30), min_size=1, max_size=12).filter(any),
    batch_size=st.integers(1, 40),
    slots=st.integers(1, 9),
    block=st.integers(1, 9),
    seed=st.integers(0, 1000),
)
def test_within_an_epoch_every_sample_has_exactly_one_place(counts, batch_size, slots, block, seed):
    """Whatever the shards' sizes: uneven, empty, fewer than slots, fewer samples than a batch."""
    mine = order(np.array(counts), batch_size=batch_size, slots=slots, block=block, seed=seed)
    every = [(shard, i) for shard, count in enumerate(counts) for i in range(count)]
    for epoch in range(3):
        places = range(epoch * len(every), (epoch + 1) * len(every))
        assert sorted(samples(mine, places)) == [(epoch, *sample) for sample in every]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 5 * TOTAL), min_size=1, max_size=20), st.integers(0, 9))
def test_a_place_holds_the_same_sample_whoever_asks_and_whatever_was_asked_before(places, seed):
    whole = samples(order(seed=seed), range(5 * TOTAL + 1))
    asked = order(seed=seed)
    asked(np.array(places[::-1]))
    assert samples(asked, places) == [whole[place] for place in places]


def test_epochs_and_seeds_differ():
    epochs = [samples(order(), range(e * TOTAL, (e + 1) * TOTAL)) for e in range(4)]
    orders = {tuple(sample[1:] for sample in epoch) for epoch in epochs}
    assert len(orders) == 4
    assert samples(order(), range(TOTAL)) != samples(order(seed=1), range(TOTAL))


def test_a_batch_takes_equally_many_samples_from_every_slot():
    """One shard, so the line of an epoch is the file: slot i is the i-th quarter of it."""
    mine = order(np.array([80]), batch_size=8, slots=4, block=5)
    for batch in range(10):
        found = mine(np.arange(batch * 8, batch * 8 + 8))
        assert (found.sample // 20).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_a_slot_is_read_in_blocks_that_are_shuffled_within():
    mine = order(np.array([60]), batch_size=1, slots=1, block=6)
    seen = mine(np.arange(60)).sample
    for start in range(0, 60, 6):
        assert sorted(seen[start : start + 6]) == list(range(start, start + 6))
    blocks = {tuple(seen[start : start + 6] - start) for start in range(0, 60, 6)}
    assert len(blocks) > 5
    in_file_order = order(np.array([60]), batch_size=1, slots=1, block=1)
    assert in_file_order(np.arange(60)).sample.tolist() == list(range(60))


def test_shards_alone_are_permuted_anew_in_every_epoch():
    mine = order(np.full(6, 2), batch_size=1, slots=1, block=1)
    orders = {tuple(mine(np.arange(e * 12, e * 12 + 12)).shard) for e in range(6)}
    assert len(orders) == 6
    assert all(a[0] == a[1] for a in orders)  # side by side: read forward


def test_with_fewer_samples_than_slots_ask_for_an_epoch_is_one_block():
    mine = order(np.array([5]), batch_size=16, slots=8, block=1)
    orders = {tuple(mine(np.arange(e * 5, e * 5 + 5)).sample) for e in range(20)}
    assert len(orders) > 10


def test_the_order_of_an_old_run_is_the_order_of_a_new_one():
    """Golden: a change here would silently change what every resumed run sees."""
    found = order()(np.arange(8, 16))
    assert found.shard.tolist() == GOLDEN_SHARDS
    assert found.sample.tolist() == GOLDEN_INDEX


def test_a_generator_depends_on_its_parts_alone():
    assert seeded(1, "a", 2).integers(1 << 62) == seeded(1, "a", 2).integers(1 << 62)
    values = {seeded(*parts).integers(1 << 62) for parts in [(1, 2), (2, 1), (12,), ("a",), (1,)]}
    assert len(values) == 5
    assert seeded(0, 0, "000000000009").integers(1000) == 175  # a salted hash differs


@pytest.mark.parametrize("wrong", [{"slots": 0}, {"block": 0}])
def test_a_wrong_shape_names_its_key(wrong):
    with pytest.raises(UserError, match=r"data\.shuffle\.slots .* and data\.shuffle\.block"):
        Shuffle(**wrong)
