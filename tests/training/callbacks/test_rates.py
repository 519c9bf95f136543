"""A run that goes on has the rates of its configuration, at the step where it stands."""

from functools import partial

import lightning as L
import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR

from cloc.errors import UserError
from cloc.training.callbacks.rates import Rates
from cloc.training.module import CLOCModule
from cloc.training.optim import warmup_cosine
from tests.helpers.fit import LOSSES
from tests.helpers.models import make_model, model_batch

pytestmark = pytest.mark.filterwarnings("ignore:.*your dataloader is not resumable")


class Loader:
    """The batches from `start` on, in the length of the whole run, as the run's own loader."""

    waited_s = 0.0

    def __init__(self, batch, start, steps):
        self.batch, self.start, self.steps = batch, start, steps

    def __len__(self):
        return self.steps

    def __iter__(self):
        return iter([self.batch] * (self.steps - self.start))


class Watch(L.Callback):
    """The rate of every group before every step."""

    def __init__(self):
        self.rates = {}

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        groups = trainer.optimizers[0].param_groups
        self.rates[trainer.global_step] = [group["lr"] for group in groups]


def groups(model, *, lr):
    """The box head waits two steps, as `rates.wait` has it; the others have two rates."""
    every = dict(model.named_parameters())
    late = {"params": [p for name, p in every.items() if "box" in name], "lr": lr / 3, "wait": 2}
    return [{"params": [p for name, p in every.items() if "box" not in name], "lr": lr}, late]


def run(folder, *, lr, warmup, steps, until=None, start=0, schedule=warmup_cosine, callback=None):
    """Weights and rates by step, of a run that was stopped after `until` steps."""
    torch.manual_seed(0)
    model = make_model().train()
    losses = {name: loss() for name, loss in LOSSES.items()}
    module = CLOCModule(
        model,
        losses=losses,
        weights=dict.fromkeys(losses, 1.0),
        optimizer=partial(torch.optim.AdamW, lr=lr),
        schedule=partial(schedule, warmup=warmup, steps=steps),
        groups=partial(groups, lr=lr),
    )
    watch = Watch()
    trainer = L.Trainer(
        default_root_dir=folder,
        accelerator="cpu",
        devices=1,
        max_steps=until or steps,
        logger=False,
        callbacks=[watch, callback or Rates()],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    path = folder / f"{start}.ckpt" if start else None
    trainer.fit(module, Loader(model_batch(model), start, until or steps), ckpt_path=path)
    folder.mkdir(exist_ok=True)
    trainer.save_checkpoint(folder / f"{trainer.global_step}.ckpt")
    return {name: x.clone() for name, x in model.state_dict().items()}, watch.rates


def test_unchanged_settings_give_the_same_rates_and_weights_to_the_bit(tmp_path):
    whole, rates = run(tmp_path / "whole", lr=0.01, warmup=3, steps=8)
    _, first = run(tmp_path / "cut", lr=0.01, warmup=3, steps=8, until=5)
    again, second = run(tmp_path / "cut", lr=0.01, warmup=3, steps=8, start=5)
    assert {**first, **second} == rates
    assert sorted(second) == [5, 6, 7]
    assert all(torch.equal(again[name], x) for name, x in whole.items())


def by_definition(step, *, lr, warmup, steps):
    """Of both groups."""
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=lr)
    schedule = warmup_cosine(optimizer, warmup=warmup, steps=steps)
    [factor] = schedule.lr_lambdas
    late = 0.0 if step < 2 else factor(step) * min((step - 1) / warmup, 1.0)
    return [lr * factor(step), lr / 3 * late]


def test_a_finished_run_goes_on_by_other_settings_at_the_step_where_it_stands(tmp_path):
    run(tmp_path, lr=0.01, warmup=1, steps=4)
    new = {"lr": 0.003, "warmup": 3, "steps": 8}
    _, rates = run(tmp_path, **new, start=4)
    assert sorted(rates) == [4, 5, 6, 7]
    for step, found in rates.items():
        assert found == pytest.approx(by_definition(step, **new), rel=1e-12)
    _, rest = run(tmp_path, **{**new, "steps": 10}, start=8)
    assert sorted(rest) == [8, 9]
    assert rest[8] == pytest.approx(by_definition(8, **{**new, "steps": 10}), rel=1e-12)


def test_without_the_callback_the_old_rate_would_go_on(tmp_path):
    run(tmp_path, lr=0.01, warmup=1, steps=4)
    _, rates = run(tmp_path, lr=0.003, warmup=3, steps=8, start=4, callback=L.Callback())
    assert rates[4] == [0.0, 0.0]  # the end of the old schedule
    assert rates[5][0] > 0.005


def test_a_rate_in_a_tensor_stays_that_tensor(tmp_path):
    """A compiled or captured step holds on to it."""
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([{"params": [weight], "lr": torch.tensor(0.5)}])
    schedule = warmup_cosine(optimizer, warmup=1, steps=4)
    held = optimizer.param_groups[0]["lr"]
    from cloc.training.callbacks.rates import set_rates

    set_rates(schedule, [0.25])
    assert optimizer.param_groups[0]["lr"] is held
    assert held == 0.25


def cosine(optimizer, *, warmup, steps):
    return CosineAnnealingLR(optimizer, steps)


def test_a_schedule_of_another_kind_goes_on_as_it_was_and_cannot_be_changed(tmp_path):
    given = {"lr": 0.01, "warmup": 1, "steps": 6, "schedule": cosine}
    _, whole = run(tmp_path / "whole", **given)
    run(tmp_path / "cut", **given, until=3)
    _, rest = run(tmp_path / "cut", **given, start=3)
    assert rest == {step: whole[step] for step in (3, 4, 5)}
    with pytest.raises(UserError, match=r"resume_changes=\['steps'\]: CosineAnnealingLR is no L"):
        run(tmp_path / "cut", **given, start=3, callback=Rates(changed=["steps"]))
