"""Benchmarks in the loop: when they run, in which mode, under which names."""

import pytest

from cloc.training.callbacks.benchmarks import Benchmarks
from tests.helpers.fit import Kept, fit, make_module
from tests.helpers.models import make_model, model_batch


def test_every_so_many_steps_but_not_after_the_last(tmp_path):
    model, kept, modes = make_model(), Kept(), []

    def measure(measured):
        assert measured is model
        modes.append(measured.training)
        return {"grounding": {"miou": len(modes) / 10}, "x@crop": {"top1": 1.0}}

    callback = Benchmarks(measure, every_n_steps=2)
    fit(
        make_module(model), [model_batch(model)] * 6, tmp_path, callbacks=[callback], loggers=[kept]
    )
    found = [(step, row) for step, row in kept.rows if "val/grounding.miou" in row]
    assert found == [
        (2, {"val/grounding.miou": 0.1, "val/x@crop.top1": 1.0}),
        (4, {"val/grounding.miou": 0.2, "val/x@crop.top1": 1.0}),
    ]
    assert modes == [False, False]
    assert model.training
    assert all(module.training for module in model.modules())


@pytest.mark.filterwarnings("ignore:.*in eval mode at the start of training")
def test_a_model_in_evaluation_mode_stays_so(tmp_path):
    model = make_model()
    callback, module = Benchmarks(lambda model: {}, every_n_steps=1), make_module(model)
    model.eval()
    fit(module, [model_batch(model)] * 2, tmp_path, callbacks=[callback])
    assert not model.training
