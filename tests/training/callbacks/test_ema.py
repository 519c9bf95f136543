"""The moving average against its definition, in the trainer's state, in its file, and back."""

import lightning as L
import pytest
import torch

from cloc.errors import UserError
from cloc.training.callbacks.ema import EMA
from tests.helpers.fit import Batches, fit, make_module
from tests.helpers.models import make_model, model_batch


class Follow(EMA):
    """Also keeps the weights of every step."""

    def on_train_start(self, trainer, pl_module):
        super().on_train_start(trainer, pl_module)
        self.seen = [copied(pl_module.model)]

    def on_train_batch_end(self, trainer, pl_module, *rest):
        super().on_train_batch_end(trainer, pl_module, *rest)
        self.seen.append(copied(pl_module.model))


def copied(model):
    return {name: x.detach().clone() for name, x in model.state_dict().items()}


def run(folder, steps, *, decay=0.5, warmup=10.0, kind=Follow, **settings):
    model = make_model()
    model.tower.clip.visual.conv1.weight.requires_grad_(False)
    ema = kind(decay=decay, warmup=warmup)
    trainer = fit(
        make_module(model, lr=0.1, steps=4),
        [model_batch(model)] * steps,
        folder,
        callbacks=[ema],
        **settings,
    )
    return trainer, ema, model


@pytest.mark.parametrize(
    ("warmup", "decays"),
    [(1.0, [0.5] * 4), (4.0, [1 / 4, 2 / 5, 0.5, 0.5]), (10.0, [0.1, 2 / 11, 0.25])],
)
def test_the_average_is_its_definition(tmp_path, warmup, decays):
    _, ema, _ = run(tmp_path, len(decays), warmup=warmup)
    for name, average in ema.average.items():
        expected = ema.seen[0][name].double()
        for decay, weights in zip(decays, ema.seen[1:], strict=True):
            expected = decay * expected + (1 - decay) * weights[name].double()
        torch.testing.assert_close(average.double(), expected, rtol=0, atol=1e-6)
    assert (ema.average["region_head.corners"] - ema.seen[-1]["region_head.corners"]).norm() > 1e-4


def test_a_checkpoint_holds_every_weight_the_frozen_ones_too(tmp_path):
    trainer, ema, model = run(tmp_path, 3)
    trainer.save_checkpoint(tmp_path / "all.ckpt")
    found = torch.load(tmp_path / "all.ckpt", weights_only=True)["average"]
    assert found.keys() == model.state_dict().keys()
    frozen = "tower.clip.visual.conv1.weight"
    assert frozen not in ema.average
    for name, value in found.items():
        assert value.equal(ema.average.get(name, model.state_dict()[name])), name


@pytest.mark.filterwarnings("ignore:.*your dataloader is not resumable")
def test_a_resumed_average_is_bit_equal(tmp_path):
    """The state goes through a file that is read with weights_only."""
    _, whole, _ = run(tmp_path, 4)
    trainer, _, _ = run(tmp_path, 2)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    model = make_model(seed=7)  # its weights come from the checkpoint
    model.tower.clip.visual.conv1.weight.requires_grad_(False)
    ema = Follow(decay=0.5, warmup=10.0)
    module = make_module(model, lr=0.1, steps=4)
    batches = [model_batch(model)] * 4
    half = fit_from(module, batches, tmp_path, ema, saved=tmp_path / "half.ckpt")
    assert half.global_step == 4
    assert ema.updates == whole.updates == 4
    for name, average in ema.average.items():
        assert average.equal(whole.average[name]), name


def fit_from(module, batches, folder, ema, *, saved):
    """Steps 3 and 4 with what was saved after step 2."""
    trainer = L.Trainer(
        default_root_dir=folder,
        accelerator="cpu",
        max_steps=4,
        logger=False,
        callbacks=[ema],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, Batches(batches), ckpt_path=saved, weights_only=True)
    return trainer


def test_inside_averaged_the_model_is_the_average_and_afterwards_itself(tmp_path):
    _, ema, model = run(tmp_path, 3)
    before = copied(model)
    with ema.averaged(model):
        inside = copied(model)
    assert {n for n in before if not inside[n].equal(before[n])} == set(ema.average)
    assert all(inside[name].equal(average) for name, average in ema.average.items())
    assert all(value.equal(before[name]) for name, value in copied(model).items())
    with pytest.raises(ZeroDivisionError), ema.averaged(model):
        _ = 1 / 0
    assert all(value.equal(before[name]) for name, value in copied(model).items())


def test_another_models_average_is_refused(tmp_path):
    ema = EMA(decay=0.5, warmup=10.0)
    ema.average = {"x": torch.zeros(2)}
    with pytest.raises(UserError, match="other parameters than this run trains"):
        run(tmp_path, 1, kind=lambda *args, **kwargs: ema)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"decay": 1.0}, r"ema\.decay=1\.0; choose above 0 and below 1"),
        ({"decay": 0.0}, r"ema\.decay=0\.0"),
        ({"warmup": 0.5}, r"ema\.warmup=0\.5; choose 1 \(none\) or more"),
    ],
)
def test_impossible_decays_are_refused(given, says):
    with pytest.raises(UserError, match=says):
        EMA(**{"decay": 0.9, "warmup": 10.0, **given})
