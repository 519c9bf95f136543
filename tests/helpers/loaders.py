"""The run's own loader over small shards, with everything that is random turned on."""

import torch

from cloc.data.collate import ModelInput
from cloc.data.loader import TrainLoader
from cloc.data.pipeline import Plan
from cloc.data.samples.training_view import View
from cloc.data.samples.transforms import Flip, RandomCrop
from cloc.data.shards.remote import Cache
from cloc.data.sources import cloc_regions
from cloc.data.stream.mixture import Source
from cloc.data.stream.order import Shuffle
from cloc.errors import BadSample
from tests.helpers.shards import spell

BATCH = 6
WANTS = ModelInput(16, spell, 24, 16)


def loader(
    shards,
    *,
    workers=0,
    parse=cloc_regions.parse,
    budget=0.01,
    timeout_s=60.0,
    wants=WANTS,
    **changes,
):
    """Twelve batches of six 16-pixel images, three regions at most."""
    settings = {"batch_size": BATCH, "steps": 12, "seed": 3, "cache": Cache(), **changes}
    view = View(max_regions=3, augment=(Flip(0.5),), frame=RandomCrop)
    sources = {"train": Source("", parse, view)}
    plan = Plan(sources, {"train": shards}, shuffle=Shuffle(3, 4), **settings)
    limits = {"budget": budget, "timeout_s": timeout_s}
    return TrainLoader(plan, wants=wants, num_workers=workers, **limits)


def assert_equal(batches, others):
    """Bit by bit."""
    batches, others = list(batches), list(others)
    assert len(batches) == len(others)
    for ours, theirs in zip(batches, others, strict=True):
        assert ours.keys == theirs.keys
        for a, b in zip(ours[:8], theirs[:8], strict=True):
            assert torch.equal(a, b)


UNLUCKY = ("00003", "00011")


def parse_some(raw):
    """As if two samples were bad."""
    if raw["__key__"] in UNLUCKY:
        raise BadSample("unlucky", f"{raw['__key__']}: unlucky")
    return cloc_regions.parse(raw)
