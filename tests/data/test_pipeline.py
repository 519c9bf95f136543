"""The training stream: one order whoever makes it, exact skips, blank rows for bad samples."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from cloc.data.loader import TrainLoader
from cloc.data.pipeline import Plan
from cloc.data.samples.asked import Asked
from cloc.data.samples.record import Caption, Record
from cloc.data.samples.training_view import View
from cloc.data.shards.index import write_index
from cloc.data.shards.remote import Cache
from cloc.data.shards.shard_set import open_shards
from cloc.data.shards.writer import write_shards
from cloc.data.sources import cloc_regions
from cloc.data.stream.mixture import Source
from cloc.data.stream.order import Shuffle
from cloc.errors import UserError
from tests.helpers.batches import validate
from tests.helpers.loaders import BATCH, UNLUCKY, WANTS, assert_equal, loader, parse_some
from tests.helpers.shards import encode, flat, make_shards, write_tar

SHARDS, EACH = 4, 7
TOTAL = SHARDS * EACH
ORDER = {"shuffle": Shuffle(2, 3), "cache": Cache()}


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = make_shards(tmp_path_factory.mktemp("pipeline") / "set", shards=SHARDS, each=EACH)
    return open_shards(folder, key="data.train")


def test_epochs_are_chained_and_each_holds_every_sample_once(shards):
    keys = [key for batch in loader(shards, steps=20) for key in batch.keys]
    for start in range(0, 3 * TOTAL, TOTAL):
        assert sorted(keys[start : start + TOTAL]) == [f"{i:05d}" for i in range(TOTAL)]


def test_the_same_seed_gives_the_same_stream_bitwise(shards):
    assert_equal(loader(shards), loader(shards))
    assert [b.keys for b in loader(shards, seed=4)] != [b.keys for b in loader(shards)]


class Asking:
    """How many regions, and a number of chance."""

    slots = 2

    def __call__(self, sample, rng):
        asked = Asked((len(sample.boxes),), (int(rng.integers(1000)),))
        return (asked,) if len(sample.boxes) else ()


def asking(shards, **settings):
    return loader(shards, wants=replace(WANTS, ask=Asking()), **settings)


def test_a_question_is_about_what_is_shown_and_nobody_else_draws_for_it(shards):
    plain, asked = list(loader(shards)), list(asking(shards))
    for one, other in zip(plain, asked, strict=True):
        assert not one.extra
        assert other._replace(extra={}).boxes.equal(one.boxes)
        assert other.images.equal(one.images)
        counts = one.valid.sum(1)
        assert other.extra["question"].shape[1] == Asking.slots
        assert other.extra["question"][:, 0, 0].equal(counts)
        assert ((other.extra["answer_at"] >= 0).sum((1, 2)) == (counts > 0)).all()
    rest = asking(shards, skip_batches=5)
    for one, other in zip(rest, asked[5:], strict=True):
        assert all(one.extra[name].equal(other.extra[name]) for name in other.extra)
    numbers = [row for batch in asked for row in batch.extra["question"][:, 0, 1].tolist()]
    assert len(set(numbers)) > len(numbers) / 2


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


def test_skipped_samples_are_not_read(shards):
    seen = []

    def parse(raw):
        seen.append(raw["__key__"])
        return cloc_regions.parse(raw)

    list(loader(shards, parse=parse, skip_batches=10))
    assert len(seen) == 2 * BATCH


def side_by_side(*ranks):
    """The global batches: rows of the ranks one behind another."""
    for parts in zip(*ranks, strict=True):
        keys = tuple(key for part in parts for key in part.keys)
        yield keys, torch.cat([part.images for part in parts]), torch.cat([p.boxes for p in parts])


@pytest.mark.parametrize("ranks", [2, 3, 6])
def test_global_batches_do_not_depend_on_the_number_of_ranks(shards, ranks):
    whole = list(side_by_side(loader(shards)))
    parts = [loader(shards, rank=r, ranks=ranks, batch_size=BATCH // ranks) for r in range(ranks)]
    for ours, theirs in zip(whole, side_by_side(*parts), strict=True):
        assert ours[0] == theirs[0]
        assert torch.equal(ours[1], theirs[1])
        assert torch.equal(ours[2], theirs[2])


def test_a_bad_sample_leaves_a_blank_row_and_all_others_as_they_were(shards):
    clean = list(loader(shards))
    ours = loader(shards, parse=parse_some, budget=1.0)
    blanks = 0
    for batch, whole in zip(ours, clean, strict=True):
        validate(batch)
        for row, key in enumerate(whole.keys):
            if key in UNLUCKY:
                blanks += 1
                assert batch.keys[row] == ""
                assert not batch.caption_valid[row]
                assert not batch.valid[row].any()
                assert not batch.images[row].any()
            else:
                assert batch.keys[row] == key
                assert torch.equal(batch.images[row], whole.images[row])
                assert torch.equal(batch.boxes[row], whole.boxes[row])
    assert ours.tally.samples == 12 * BATCH
    assert ours.tally.dropped("samples") == blanks > 2
    assert {row["reason"] for row in ours.tally.rows()} == {"unlucky"}


def test_boxes_are_counted_with_those_that_were_dropped(tmp_path):
    region = {"box": [1, 1, 3, 3], "text": "thing"}
    bad = {"box": [3, 1, 1, 3], "text": "thing", "source": "us"}
    data = {"schema": "cloc-regions/1", "width": 4, "height": 4, "regions": [region, bad]}
    members = {"a.png": encode(flat(4, 4)), "a.json": json.dumps(data).encode()}
    write_index(write_tar(tmp_path / "a.tar", members))
    ours = loader(open_shards(tmp_path / "a.tar", key="k"), steps=1, batch_size=1, budget=0.5)
    (batch,) = ours
    assert batch.valid.sum() == 1
    assert ours.tally.boxes == 2
    (row,) = ours.tally.rows()
    assert (row["what"], row["reason"], row["source"]) == ("boxes", "box_reversed", "us")


def test_places_of_ranks_and_batches_are_apart():
    settings = {"batch_size": 2, "steps": 3, "seed": 0, "ranks": 2, **ORDER}
    plans = [Plan({}, {}, rank=rank, **settings) for rank in range(2)]
    places = [plan.places(batch) for batch in range(3) for plan in plans]
    assert np.concatenate(places).tolist() == list(range(12))


def test_sources_are_mixed_by_weight_each_with_its_own_view_and_epochs(tmp_path, shards):
    record = Record("p", encode(flat(4, 4)), "png", 4, 4, (Caption("plain"),))
    write_shards(
        [replace(record, key=f"p{i}") for i in range(5)], tmp_path / "s", samples_per_shard=5
    )
    other = open_shards(tmp_path / "s", key="k")
    sources = {
        "train": Source("", cloc_regions.parse, View(max_regions=2), 0.75),
        "plain": Source("", cloc_regions.parse, View(max_regions=1), 0.25),
    }
    settings = {"batch_size": 8, "steps": 7, "seed": 0, **ORDER}
    plan = Plan(sources, {"train": shards, "plain": other}, **settings)
    batches = list(TrainLoader(plan, wants=WANTS, num_workers=0))
    plain = [key for batch in batches for key in batch.keys if key.startswith("p")]
    assert [sum(key.startswith("p") for key in batch.keys) for batch in batches] == [2] * 7
    assert sorted(plain[:5]) == sorted(plain[5:10]) == [f"p{i}" for i in range(5)]
    assert {batch.valid.shape for batch in batches} == {(8, 2)}


def test_a_source_of_which_no_shard_can_be_read_any_more_is_a_matter_of_the_budget(
    tmp_path, shards
):
    folder = make_shards(tmp_path / "set", shards=12, each=2)
    sources = {name: Source("", cloc_regions.parse, View(), 0.5) for name in ("train", "lost")}
    sets = {"train": shards, "lost": open_shards(folder, key="k")}
    plan = Plan(sources, sets, batch_size=8, steps=6, seed=0, **ORDER)
    for path in folder.glob("*.tar"):
        path.unlink()
    ours = TrainLoader(plan, wants=WANTS, num_workers=0, budget=0.6)
    assert [sum(key != "" for key in batch.keys) for batch in ours] == [4] * 6
    assert ours.tally.dropped("samples") == 24
    with pytest.raises(UserError, match=r"samples were dropped, data\.drop_budget=0\.1 allows"):
        list(TrainLoader(plan, wants=WANTS, num_workers=0, budget=0.1))
