"""FSDP2 on two gloo ranks against DDP on the same two: losses, gradients, updated weights.

In float64: the gradient of a bias of keys is 0 but for rounding, which Adam would blow up.
"""

import math
import os
import warnings
from functools import partial

import lightning as L
import pytest
import torch
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from cloc import dist
from cloc.losses.grounding import Grounding
from cloc.losses.image_text import ImageText
from cloc.losses.region_text import RegionText
from cloc.training.callbacks.ema import EMA
from cloc.training.callbacks.grad_norms import gradient_norms
from cloc.training.optim import parameter_groups
from cloc.training.shard import shard
from tests.helpers.fit import Batches, make_module
from tests.helpers.models import make_model, model_batch
from tests.helpers.ranks import run_ranks

VALID = ((1, 1, 1), (1, 1, 0)), ((1, 0, 0), (0, 0, 0))  # of each rank


def trained(model, forward, batch, steps=3):
    """Losses and gradient norms of some steps of clipped AdamW."""
    optimizer = torch.optim.AdamW(parameter_groups(model), lr=1e-2)
    holder = nn.Module()
    holder.model = model
    losses, norms = [], []
    for _ in range(steps):
        out = forward(batch)
        terms = [f(out, batch) for f in (ImageText(), RegionText(conflict="text"), Grounding())]
        loss = sum(term.value for term in terms)
        loss.backward()
        norms.append(gradient_norms(holder))
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.detach())
    return torch.stack(losses), norms


def _check_meshes(rank):
    for mesh_shape in ((1, 2), (2, 1)):
        _check_mesh(rank, mesh_shape)


def _check_mesh(rank, mesh_shape):
    models = []
    for _ in range(2):
        model = make_model().double().train()
        model.tower.clip.logit_scale.data.fill_(math.log(100) + 1)  # above its cap
        models.append(model)
    ddp, fsdp = models
    keys = list(ddp.state_dict())
    batch = model_batch(ddp, valid=VALID[rank])
    batch = batch._replace(
        images=batch.images.roll(rank * 5, -1), captions=batch.captions.roll(rank, 0)
    )
    axes = ("data_parallel", "tensor_parallel")  # as Lightning names them
    shard(fsdp, init_device_mesh("cpu", mesh_shape, mesh_dim_names=axes))
    theirs, their_norms = trained(ddp, DistributedDataParallel(ddp), batch)
    ours, our_norms = trained(fsdp, fsdp, batch)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    torch.testing.assert_close(our_norms, their_norms, rtol=0, atol=1e-10)
    assert list(fsdp.state_dict()) == keys
    spread = 0
    for (name, mine), other in zip(fsdp.named_parameters(), ddp.parameters(), strict=True):
        spread += dist.local(mine).numel() < mine.numel()
        torch.testing.assert_close(dist.whole(mine), other, rtol=0, atol=1e-9, msg=name)
    assert (spread > 20) == (mesh_shape[1] > 1)
    assert dist.whole(fsdp.tower.clip.logit_scale).item() < math.log(100) + 0.1


@pytest.mark.dist
@pytest.mark.slow
def test_two_ranks_of_fsdp_equal_two_of_ddp():
    run_ranks(_check_meshes, timeout_s=300)


def run(folder, steps, **resume):
    """Weights and average after so many steps by the trainer's own FSDP2."""
    module = make_module(make_model(), steps=4)
    module.make_optimizer = partial(torch.optim.AdamW, lr=1e-3)
    ema = EMA(decay=0.9, warmup=10.0)
    trainer = L.Trainer(
        default_root_dir=folder,
        accelerator="cpu",
        devices=2,
        strategy=ModelParallelStrategy(save_distributed_checkpoint=False),
        max_steps=steps,
        gradient_clip_val=0.5,
        precision="bf16-mixed",
        logger=False,
        callbacks=[ema],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, Batches([model_batch(module.model)] * 4), weights_only=True, **resume)
    weights = {name: dist.whole(p) for name, p in module.model.named_parameters()}
    return trainer, weights, {name: dist.whole(x) for name, x in ema.average.items()}


def _check_resumed(rank, folder):
    warnings.simplefilter("ignore")
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", LOCAL_WORLD_SIZE="2")
    os.environ.update(GROUP_RANK="0", TORCHELASTIC_RUN_ID="test", MASTER_ADDR="-", MASTER_PORT="0")
    _, *whole = run(folder, 4)
    trainer, *_ = run(folder, 2)
    trainer.save_checkpoint(folder / "half.ckpt")
    saved = torch.load(folder / "half.ckpt", weights_only=True)
    for state in (saved["state_dict"], saved["average"]):
        names = [name.removeprefix("model.") for name in state]
        assert names == list(make_model().state_dict())
        assert not any(isinstance(value, DTensor) for value in state.values())
    _, *resumed = run(folder, 4, ckpt_path=folder / "half.ckpt")
    for ours, theirs in zip(resumed, whole, strict=True):
        assert all(value.equal(theirs[name]) for name, value in ours.items())


@pytest.mark.dist
@pytest.mark.slow
def test_a_resumed_run_is_bit_equal_and_its_checkpoint_is_whole(tmp_path):
    run_ranks(_check_resumed, tmp_path, timeout_s=300)
