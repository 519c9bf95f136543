"""The order of samples: a pure function, every sample once an epoch, readers apart."""

from itertools import islice

import pytest

from cloc.data.order import Plan, endless, require_enough_shards, seeded, shards_of_epoch
from cloc.data.shards import expand_shards
from cloc.errors import UserError
from tests.helpers.shards import make_shards, write_tar

EACH, SHARDS = 6, 5
TOTAL = EACH * SHARDS


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = make_shards(tmp_path_factory.mktemp("order") / "set", shards=SHARDS, each=EACH)
    return tuple(expand_shards(str(folder), key="data.train"))


def plan(shards, **changes):
    settings = {"batch_size": 4, "steps": 100, "seed": 0, "shuffle_buffer": 8, **changes}
    return Plan(shards, **settings)


def keys(plan, count, *, worker=0, workers=1):
    samples = islice(endless(plan, plan.share(worker, workers)), count)
    return [(sample["__epoch__"], sample["__key__"]) for sample in samples]


def test_every_epoch_holds_every_sample_once_in_another_order(shards):
    seen = keys(plan(shards), 3 * TOTAL)
    epochs = [[key for at, key in seen if at == epoch] for epoch in range(3)]
    assert all(sorted(e) == [f"{i:05d}" for i in range(TOTAL)] for e in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_shards_alone_and_samples_alone_are_shuffled_anew_in_every_epoch(shards):
    for mine, size in (
        (plan(shards, shuffle_buffer=1), TOTAL),
        (plan(shards[:1], shuffle_buffer=EACH), EACH),
    ):
        seen = [key for _, key in keys(mine, 6 * size)]
        orders = {tuple(seen[start : start + size]) for start in range(0, 6 * size, size)}
        assert len(orders) > 3


def test_the_same_seed_gives_the_same_order_and_another_seed_another(shards):
    assert keys(plan(shards), 70) == keys(plan(shards), 70)
    assert keys(plan(shards), 70) != keys(plan(shards, seed=1), 70)


def test_a_buffer_shuffles_within_blocks_and_below_two_keeps_file_order(shards):
    assert keys(plan(shards[:1], shuffle_buffer=1), EACH) == [(0, f"{i:05d}") for i in range(EACH)]
    shuffled = keys(plan(shards[:1], shuffle_buffer=3), EACH)
    assert {key for _, key in shuffled[:3]} == {"00000", "00001", "00002"}
    orders = {tuple(keys(plan(shards[:1], seed=s, shuffle_buffer=3), 3)) for s in range(30)}
    assert len(orders) == 6


@pytest.mark.parametrize(("ranks", "workers"), [(1, 2), (2, 1), (2, 2), (1, 5)])
def test_the_readers_of_an_epoch_share_no_shard_and_leave_none(shards, ranks, workers):
    for epoch in range(3):
        parts = [
            shards_of_epoch(mine, mine.share(worker, workers), epoch)
            for mine in (plan(shards, rank=rank, ranks=ranks) for rank in range(ranks))
            for worker in range(workers)
        ]
        assert sorted(path for part in parts for path in part) == sorted(shards)


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("skip", [0, 1, 2, 5, 10])
def test_after_a_skip_the_workers_make_the_batches_in_turn(shards, workers, skip):
    """A loader asks worker 0, 1, .. in turn: simulated here, against the unbroken run."""

    def turns(skip):
        mine = plan(shards, steps=10, skip_batches=skip)
        shares = [mine.share(worker, workers) for worker in range(workers)]
        left = [list(range(s.first_batch, s.last_batch)) for s in shares]
        order = []
        while any(left):
            for share, own in zip(shares, left, strict=True):
                order += [(share.index, own.pop(0))] if own else []
        return order

    assert turns(skip) == turns(0)[skip:]
    assert len(turns(skip)) == 10 - skip


def test_an_epoch_without_samples_is_refused(tmp_path):
    empty = write_tar(tmp_path / "empty.tar", {"readme.md": b"nothing here"})
    with pytest.raises(UserError, match=r"^no samples in .*empty\.tar; .*data\.train$"):
        keys(plan((str(empty),)), 1)


def test_too_few_shards_name_the_numbers_and_the_cure():
    require_enough_shards(4, ranks=2, workers=2)
    with pytest.raises(UserError, match=r"^3 shards cannot feed 4 readers \(2 ranks x 2 workers\)"):
        require_enough_shards(3, ranks=2, workers=2)
    with pytest.raises(UserError, match=r"set data\.num_workers to at most 1, or write more"):
        require_enough_shards(3, ranks=2, workers=2)
    with pytest.raises(UserError, match=r"write at least as many shards as ranks"):
        require_enough_shards(3, ranks=4, workers=1)


def test_a_generator_depends_on_its_parts_alone():
    assert seeded(1, "a", 2).integers(1 << 62) == seeded(1, "a", 2).integers(1 << 62)
    values = {seeded(*parts).integers(1 << 62) for parts in [(1, 2), (2, 1), (12,), ("a",), (1,)]}
    assert len(values) == 5
    assert seeded(0, 0, "000000000009").integers(1000) == 175  # a salted hash differs
