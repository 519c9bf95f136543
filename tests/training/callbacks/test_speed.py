"""The arithmetic of speed, with a clock that only the test moves."""

from types import SimpleNamespace

import lightning as L
import pytest

from cloc import dist
from cloc.interfaces import Term
from cloc.training.callbacks import speed
from cloc.training.callbacks.speed import Speed
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


def lines(monkeypatch, tmp_path, times, *, every_n_steps):
    """What `Speed` logs over steps of these times, three images each."""
    steps, kept, model = Steps(times), Kept(), make_model()
    monkeypatch.setattr(speed, "time", SimpleNamespace(perf_counter=lambda: steps.now))
    module = make_module(model, losses={"steps": steps})
    callbacks = [Speed(every_n_steps=every_n_steps), steps]
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
