"""Encodings in every other way a batch can go: in pieces, and over two ranks.

Pooled vector, un-pooled tokens, patch dropout, recompute and copies are in `test_attention`,
compiled blocks in `tests/models/test_compiling`, graphs in `tests/export/test_positions`.
"""

import pytest
import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.nn.parallel import DistributedDataParallel

from cloc import dist
from cloc.interfaces import RegionBatch
from cloc.losses.grounding import Grounding
from cloc.losses.image_text import ImageText
from cloc.losses.region_text import RegionText
from cloc.models.build import build_model
from cloc.training.fsdp import shard
from tests.helpers.models import CLOC_PARTS, NATIVE, model_batch
from tests.helpers.ranks import run_ranks

IRPE = {"kind": "irpe", "method": "product", "mode": "contextual", "on": "k"}
THREE = {
    "irpe": {"relative": IRPE},
    "axial": {"rotary": {"kind": "axial", "zero_start": True}},
    "mixed": {"rotary": {"kind": "mixed"}},
}
RANKS = {"axial": THREE["axial"], "irpe and mixed": {"relative": IRPE, **THREE["mixed"]}}
VALID = ((1, 1, 1), (1, 1, 0), (1, 0, 0), (0, 0, 0))


def model_with(positions):
    """In float64; what begins at zero is moved."""
    torch.manual_seed(0)
    model = build_model({"config": NATIVE, "positions": positions}, **CLOC_PARTS).double()
    for key, weight in model.named_parameters():
        if ".attn.relative." in key or ".attn.gate" in key:
            nn.init.normal_(weight, std=0.5)
    return model.train()


def learned(grads):
    return {key for key in grads if ".attn.r" in key or ".attn.gate" in key}


def graded(model, forward, batch, **given):
    torch.manual_seed(0)
    out = forward(batch, **given)
    terms = [f(out, batch) for f in (ImageText(), RegionText(conflict="none"), Grounding())]
    sum(term.value for term in terms).backward()
    return {key: dist.whole(p.grad).clone() for key, p in model.named_parameters()}


def assert_equal(found, expected, atol=1e-12):
    assert found.keys() == expected.keys()
    assert all(expected[key].abs().max() > 1e-7 for key in learned(expected))
    for key, grad in found.items():
        torch.testing.assert_close(grad, expected[key], rtol=1e-9, atol=atol, msg=key)


@pytest.mark.parametrize("dropped", [0, 0.5])
@pytest.mark.parametrize("name", THREE)
def test_pieces_of_a_batch_give_the_gradients_of_the_whole(name, dropped):
    """With dropped patches too: every piece has the places of its own."""
    model = model_with(THREE[name])
    if dropped:
        model.tower.drop_patches(dropped)
    batch = model_batch(model, valid=VALID)
    expected = graded(model, model, batch)
    model.zero_grad()
    assert_equal(graded(model, model, batch, accumulate=2), expected)


def part_of(batch, rank):
    """Two images and their regions; all phrases."""
    own = slice(2 * rank, 2 * rank + 2)
    shared = ("phrases", "extra")
    return RegionBatch(*(x if n in shared else x[own] for n, x in batch._asdict().items()))


def _check_ranks(rank, expected):
    mesh = init_device_mesh("cpu", (1, 2), mesh_dim_names=("data_parallel", "tensor_parallel"))
    for name, grads in expected.items():
        ddp, fsdp = (model_with(RANKS[name]) for _ in range(2))
        batch = part_of(model_batch(ddp, valid=VALID), rank)
        assert_equal(graded(ddp, DistributedDataParallel(ddp), batch), grads)
        shard(fsdp, mesh)
        assert_equal(graded(fsdp, fsdp, batch), grads)


@pytest.mark.dist
@pytest.mark.slow
def test_two_ranks_of_ddp_and_of_fsdp_equal_one_process():
    expected = {}
    for name, positions in RANKS.items():
        model = model_with(positions)
        expected[name] = graded(model, model, model_batch(model, valid=VALID))
    run_ranks(_check_ranks, expected)
