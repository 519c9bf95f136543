"""The arithmetic of speed, with a clock that only the test moves."""

from pathlib import Path
from types import SimpleNamespace

import lightning as L
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from cloc import dist
from cloc.interfaces import Term
from cloc.training.callbacks import speed
from cloc.training.callbacks.grad_norms import GradNorms
from cloc.training.callbacks.speed import Speed, peak_memory
from cloc.training.flops import StepCost
from tests.helpers.fit import Batches, Kept, fit, make_module
from tests.helpers.models import make_model, model_batch


class Steps(L.Callback):
    """A loader, a loss and a callback that take known (waiting, work, elsewhere) times a step."""

    needs = ("image",)

    def __init__(self, times):
        self.times, self.now, self.at = times, 100.0, -1

    def loader(self, batch):
        run = self

        class Loader(Batches):
            def __iter__(self):
                for waiting, _, _ in run.times:
                    run.now += waiting
                    self.waited_s += waiting
                    yield batch

        return Loader([batch] * len(self.times))

    def __call__(self, out, batch):
        self.at += 1
        self.now += self.times[self.at][1]
        return Term(out.image.sum(), {})

    def on_train_batch_end(self, *args):
        self.now += self.times[self.at][2]


def lines(monkeypatch, tmp_path, times, *, every_n_steps, **settings):
    """What `Speed` logs over steps of these times, three images each."""
    steps, kept, model = Steps(times), Kept(), make_model()
    monkeypatch.setattr(speed, "time", SimpleNamespace(perf_counter=lambda: steps.now))
    module = make_module(model, losses={"steps": steps})
    callbacks = [Speed(every_n_steps=every_n_steps, **settings), steps]
    fit(module, steps.loader(model_batch(model)), tmp_path, callbacks=callbacks, loggers=[kept])
    found = [{k: v for k, v in row.items() if k.startswith("speed/")} for _, row in kept.rows]
    return [row for row in found if row]


def line(images_per_s, data_wait_frac):
    return pytest.approx(
        {"speed/images_per_s": images_per_s, "speed/data_wait_frac": data_wait_frac}
    )


def test_images_per_second_and_the_share_of_waiting(monkeypatch, tmp_path):
    found = lines(monkeypatch, tmp_path, [(0.5, 1.0, 0), (0.5, 2.0, 0)], every_n_steps=2)
    assert found == [line(6 / 4.0, 1.0 / 4.0)]


def test_images_are_those_of_all_ranks(monkeypatch, tmp_path):
    monkeypatch.setattr(dist, "world_size", lambda: 4)
    assert lines(monkeypatch, tmp_path, [(1.0, 1.0, 0)], every_n_steps=1) == [line(12 / 2.0, 0.5)]


def test_each_line_is_of_its_own_steps(monkeypatch, tmp_path):
    found = lines(monkeypatch, tmp_path, [(1.0, 2.0, 0), (0.0, 1.5, 0)], every_n_steps=1)
    assert found == [line(1.0, 1 / 3), line(2.0, 0.0)]


def test_time_in_other_callbacks_is_neither_work_nor_waiting(monkeypatch, tmp_path):
    found = lines(monkeypatch, tmp_path, [(0.5, 1.0, 1000.0), (0.5, 1.0, 0)], every_n_steps=2)
    assert found == [line(6 / 3.0, 1 / 3)]


def test_mfu_is_the_share_of_the_peak_that_the_models_own_flops_take(monkeypatch, tmp_path):
    """Three images and four phrases a step; both steps' work and waiting count."""
    times = [(0.5, 1.0, 1000.0), (0.5, 2.0, 0)]
    settings = {"cost": StepCost(per_image=1000, per_phrase=50), "peak_flops": 4000.0}
    found = lines(monkeypatch, tmp_path, times, every_n_steps=2, **settings)
    assert [row["speed/mfu"] for row in found] == [pytest.approx(2 * 3200 / 4.0 / 4000.0)]


@pytest.mark.parametrize("settings", [{"peak_flops": 1e12}, {"cost": StepCost(1, 1)}, {}])
def test_mfu_is_logged_only_where_cost_and_peak_are_given(monkeypatch, tmp_path, settings):
    [row] = lines(monkeypatch, tmp_path, [(0.5, 1.0, 0)], every_n_steps=1, **settings)
    assert "speed/mfu" not in row


def test_memory_is_the_most_this_process_took(tmp_path):
    kept, model = Kept(), make_model()
    callbacks = [Speed(every_n_steps=1)]
    batches = [model_batch(model)]
    fit(make_module(model), batches, tmp_path, callbacks=callbacks, loggers=[kept])
    [(_, row)] = kept.rows
    assert 0.05 < row["memory/peak_gib"] < 100  # importing torch alone takes the first
    status = Path("/proc/self/status").read_text().split()  # proc(5): VmHWM in KiB
    most = int(status[status.index("VmHWM:") + 1]) * 1024
    assert peak_memory(torch.device("cpu")) == pytest.approx(most, rel=0.05)


class HostReads(TorchDispatchMode):
    """At which global steps a tensor's value was read by the host."""

    def __init__(self):
        super().__init__()
        self.trainer, self.steps = None, set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten._local_scalar_dense.default and self.trainer.training:
            self.steps.add(self.trainer.global_step)
        return func(*args, **(kwargs or {}))


class Watch(L.Callback):
    """The mode around the steps of a run."""

    def __init__(self):
        self.reads = HostReads()

    def on_train_start(self, trainer, pl_module):
        self.reads.trainer = trainer
        self.reads.__enter__()

    def on_train_end(self, trainer, pl_module):
        self.reads.__exit__(None, None, None)


def test_no_step_but_those_that_log_reads_from_the_device(tmp_path):
    """Each read would stop the host until the device has done all its work."""
    model, watch = make_model(), Watch()
    callbacks = [Speed(every_n_steps=4), GradNorms(every_n_steps=4), watch]
    module = make_module(model, steps=8)
    batches = [model_batch(model)] * 8
    settings = {"log_every_n_steps": 4, "gradient_clip_val": 1.0, "loggers": [Kept()]}
    fit(module, batches, tmp_path, callbacks=callbacks, **settings)
    assert watch.reads.steps == {4, 8}
