"""The training stream: valid batches, one order, exact skips, and errors of workers in one line."""

import itertools
import multiprocessing

import pytest
import torch

from cloc.data.collate import ModelInput
from cloc.data.order import Plan
from cloc.data.pipeline import TrainLoader
from cloc.data.shards import expand_shards
from cloc.data.sources import cloc_regions
from cloc.data.transforms import Flip, RandomCrop
from cloc.data.view import View
from cloc.errors import UserError
from tests.helpers.batches import validate
from tests.helpers.shards import encode, flat, make_shards, spell, write_tar

SHARDS, EACH = 4, 7
BATCH = 5


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = make_shards(tmp_path_factory.mktemp("pipeline") / "set", shards=SHARDS, each=EACH)
    return tuple(expand_shards(str(folder), key="data.train"))


def loader(shards, *, workers=0, parse=cloc_regions.parse, **changes):
    settings = {"batch_size": BATCH, "steps": 12, "seed": 3, "shuffle_buffer": 6, **changes}
    view = View(max_regions=3, augment=(Flip(0.5),), frame=RandomCrop)
    plan, wants = Plan(shards, **settings), ModelInput(16, spell, 24, 16)
    return TrainLoader(plan, parse=parse, view=view, wants=wants, num_workers=workers)


def assert_equal(batches, others):
    batches, others = list(batches), list(others)
    assert len(batches) == len(others)
    for ours, theirs in zip(batches, others, strict=True):
        assert ours.keys == theirs.keys
        for a, b in zip(ours[:8], theirs[:8], strict=True):
            assert torch.equal(a, b)


def test_batches_are_valid_and_as_many_as_the_run_has_steps(shards):
    ours = loader(shards)
    batches = list(ours)
    assert len(ours) == len(batches) == 12
    for batch in batches:
        validate(batch)
        assert batch.images.shape == (BATCH, 3, 16, 16)
        assert batch.valid.shape == (BATCH, 3)
        assert batch.captions.shape == (BATCH, 24)
    assert any(batch.valid.any() for batch in batches)


def test_epochs_are_chained_and_each_holds_every_sample_once(shards):
    keys = [key for batch in loader(shards, steps=20) for key in batch.keys]
    total = SHARDS * EACH
    for start in range(0, 3 * total, total):
        assert sorted(keys[start : start + total]) == [f"{i:05d}" for i in range(total)]


def test_the_same_seed_gives_the_same_stream_bitwise(shards):
    assert_equal(loader(shards), loader(shards))
    assert [b.keys for b in loader(shards, seed=4)] != [b.keys for b in loader(shards)]


def test_a_sample_looks_different_in_every_epoch(shards):
    rows = [
        (key, box)
        for batch in loader(shards, steps=24)
        for key, box in zip(batch.keys, batch.boxes.tolist(), strict=True)
    ]
    views = [str(box) for key, box in rows if key == "00006"]
    assert len(views) >= 4
    assert len(set(views)) > 1


@pytest.mark.parametrize("skip", [1, 5, 11, 12])
def test_a_skip_gives_the_rest_of_the_stream(shards, skip):
    rest = loader(shards, skip_batches=skip)
    assert len(rest) == 12
    assert_equal(rest, list(loader(shards))[skip:])


def test_skipped_samples_are_not_decoded(shards):
    seen = []

    def parse(raw):
        seen.append(raw["__key__"])
        return cloc_regions.parse(raw)

    list(loader(shards, parse=parse, skip_batches=10))
    assert len(seen) == 2 * BATCH


def test_two_ranks_see_every_sample_of_an_epoch_once(shards):
    total = SHARDS * EACH // 2
    seen = [
        key
        for rank in range(2)
        for batch in loader(shards, rank=rank, ranks=2, batch_size=total, steps=1)
        for key in batch.keys
    ]
    assert sorted(seen) == [f"{i:05d}" for i in range(2 * total)]


def parse_in_a_worker(raw):
    """Runs in a worker: it must be another process, alone on its core."""
    assert multiprocessing.parent_process() is not None
    assert torch.get_num_threads() == 1
    return cloc_regions.parse(raw)


@pytest.mark.parametrize("skip", [0, 3])
def test_two_workers_resume_exactly_and_take_turns(shards, skip):
    """Each worker is one reader, so the stream is that of two ranks of half the steps, in turn."""
    ours = list(loader(shards, workers=2, parse=parse_in_a_worker, steps=8, skip_batches=skip))
    halves = [loader(shards, rank=rank, ranks=2, steps=4) for rank in range(2)]
    whole = itertools.chain.from_iterable(zip(*halves, strict=True))
    assert_equal(ours, list(whole)[skip:])


def test_an_error_of_a_worker_is_one_line_naming_shard_and_key(tmp_path):
    members = {"good.png": encode(flat(4, 4)), "good.json": b"{}"}
    path = str(write_tar(tmp_path / "bad.tar", members))
    lines = []
    for workers in (0, 1):
        with pytest.raises(UserError) as error:
            list(loader((path,), workers=workers))
        lines.append(str(error.value))
    assert lines[0] == lines[1]
    assert lines[0].startswith(f"{path}::good: schema None, expected 'cloc-regions/1'")
    assert "\n" not in lines[0]


def test_a_shard_that_vanished_is_named_with_the_key_to_change(tmp_path):
    with pytest.raises(UserError, match=r"gone\.tar: the shard cannot be opened .* data\.train$"):
        list(loader((str(tmp_path / "gone.tar"),)))


def test_too_few_shards_for_the_workers_are_refused_before_they_start(shards):
    with pytest.raises(
        UserError, match=r"^4 shards cannot feed 10 readers \(2 ranks x 5 workers\)"
    ):
        loader(shards, workers=5, ranks=2)
