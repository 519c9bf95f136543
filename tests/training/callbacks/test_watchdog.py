"""Ranks that drift apart or do not come: found, named, ended."""

import os
import threading

import lightning as L
import pytest
import torch
from lightning.fabric.plugins.environments import TorchElasticEnvironment
from torch import nn

from cloc.errors import UserError
from cloc.training.callbacks.watchdog import Watchdog, fingerprint, told_apart
from tests.helpers.fit import fit, make_module
from tests.helpers.models import make_model, model_batch
from tests.helpers.ranks import run_ranks


def threads():
    return [thread.name for thread in threading.enumerate()]


class Drift(L.Callback):
    """On rank `rank`, one bit of one weight is another one after step `step`."""

    def __init__(self, rank, step):
        self.rank, self.step = rank, step

    def on_train_batch_end(self, trainer, module, *args):
        if trainer.global_step == self.step and trainer.global_rank == self.rank:
            weight = module.model.tower.clip.visual.ln_post.weight.data
            weight.view(torch.int32)[3] ^= 1


def several(rank, folder, apart):
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", GROUP_RANK="0")
    two = {"devices": 2, "strategy": "ddp", "plugins": [TorchElasticEnvironment()]}
    model = make_model()
    callbacks = [*([Drift(1, 3)] if apart else []), Watchdog(compare_every=2)]
    seen = []

    class Look(L.Callback):
        def on_train_batch_end(self, *args):
            seen.append("heartbeat" in threads())

    batches = [model_batch(model)] * 5
    settings = {"callbacks": [*callbacks, Look()], **two}
    if apart:
        with pytest.raises(UserError, match=r"rank 1 has other weights than .* at step 4; go on"):
            fit(make_module(model), batches, folder, **settings)
    else:
        fit(make_module(model), batches, folder, **settings)
    assert seen == [True] * (3 if apart else 5)
    assert "heartbeat" not in threads()


@pytest.mark.dist
@pytest.mark.parametrize("apart", [True, False])
def test_every_rank_is_told_which_one_has_other_weights(tmp_path, apart):
    run_ranks(several, tmp_path, apart)


def test_in_a_single_process_nothing_is_done(tmp_path):
    model, watchdog = make_model(), Watchdog(compare_every=1)
    fit(make_module(model), [model_batch(model)] * 2, tmp_path, callbacks=[watchdog])
    assert "heartbeat" not in threads()


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ([(100, 5), (100, 5), (100, 6)], "rank 2 has other weights than the other ranks at step"),
        ([(100, 5), (100, 6)], "rank 1 has other weights"),  # rank 0 is in the right
        ([(100, 6), (100, 5), (100, 5)], "rank 0 has other weights"),
        ([(100, 5), (99, 5), (100, 5)], "rank 1 is at step 99, the other ranks at 100"),
        ([(100, 5)] * 11 + [(99, 5)] * 10, "rank 11, 12, 13, 14, 15, 16, 17, 18 and more is at"),
    ],
)
def test_the_ranks_apart_are_named(found, says):
    assert says in told_apart(found)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_a_fingerprint_sees_every_bit(dtype):
    torch.manual_seed(0)
    net = nn.Linear(3, 5).to(dtype)
    seen = {fingerprint(net)}
    words = {8: torch.int64, 4: torch.int32, 2: torch.int16}[net.weight.element_size()]
    for bit in range(8 * net.weight.element_size()):
        one = torch.tensor(1, dtype=words) << bit
        net.weight.data.view(words)[2, 1] ^= one
        seen.add(fingerprint(net))
        net.weight.data.view(words)[2, 1] ^= one
        assert len(seen) == bit + 2
    assert fingerprint(nn.Identity()) == 0


def test_a_loader_has_no_shorter_limit_than_the_rest():
    with pytest.raises(UserError, match=r"failures\.loader_s is 30\.0, expected failures\.hang_s"):
        Watchdog(loader_s=30.0)


@pytest.mark.parametrize("setting", [{"compare_every": 0}, {"hang_s": 0.0}])
def test_a_setting_out_of_range_is_refused(setting):
    with pytest.raises(UserError, match=r"failures\.compare_every is .* and failures\.hang_s is"):
        Watchdog(**setting)
