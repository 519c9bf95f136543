"""How much of the start's skill is left: measured once, logged, and guarded by a floor."""

import json

import pytest

from cloc.errors import UserError
from cloc.training.callbacks.retention import Retention
from tests.helpers.fit import Kept, fit, make_module
from tests.helpers.models import make_model, model_batch

START = {"image_text_retrieval": {"i2t_r@1": 0.8, "t2i_r@1": 0.5, "i2t_r@1_chance": 0.1, "x": 0.0}}


def figures(*values):
    """`measure` that gives the start's figures first and then its `i2t_r@1` times each value."""
    left = [1.0, *values]

    def measure(model):
        assert not model.training
        share = left.pop(0) if len(left) > 1 else left[0]
        return {
            name: {k: v * (share if k == "i2t_r@1" else 1) for k, v in metrics.items()}
            for name, metrics in START.items()
        }

    return measure


def guard(folder, measure, *, floor=None, then="stop", saved=None):
    return Retention(
        measure,
        path=folder / "retention.json",
        every_n_steps=2,
        floor=floor,
        then=then,
        regional=["region_text", "grounding"],
        save=lambda trainer: (saved if saved is not None else []).append(trainer.global_step),
    )


def run(folder, callback, *, steps=5):
    model, kept = make_model(), Kept()
    module = make_module(model)
    batches = [model_batch(model)] * steps
    fit(module, batches, folder, callbacks=[callback], loggers=[kept])
    rows = [(s, r) for s, r in kept.rows if any(key.startswith("retention/") for key in r)]
    return module, rows


def test_the_start_is_measured_once_and_shares_of_it_are_logged_after_the_last_step_too(tmp_path):
    module, rows = run(tmp_path, guard(tmp_path, figures(0.9, 0.7, 0.6)))
    assert json.loads((tmp_path / "retention.json").read_text()) == START
    assert [step for step, _ in rows] == [2, 4, 5]
    name = "retention/image_text_retrieval."
    assert set(rows[0][1]) == {f"{name}i2t_r@1", f"{name}t2i_r@1"}  # no chance, nothing of a 0
    assert [row[f"{name}i2t_r@1"] for _, row in rows] == pytest.approx([0.9, 0.7, 0.6])
    assert [row[f"{name}t2i_r@1"] for _, row in rows] == pytest.approx([1.0] * 3)
    assert module.model.training


def test_below_the_floor_the_run_saves_and_stops(tmp_path):
    saved = []
    callback = guard(tmp_path, figures(0.95, 0.7), floor=0.9, saved=saved)
    says = r"after step 4 image_text_retrieval\.i2t_r@1 is 0\.700 of what .*floor=0\.9; the checkp"
    with pytest.raises(UserError, match=says):
        run(tmp_path, callback)
    assert saved == [4]


def test_or_it_halves_the_weights_of_the_regional_losses_and_goes_on(tmp_path):
    callback = guard(tmp_path, figures(0.95, 0.7, 0.8), floor=0.9, then="lower")
    before = dict(make_module(make_model()).weights)
    module, rows = run(tmp_path, callback)
    assert len(rows) == 3
    assert callback.state_dict() == {"halved": 2}
    for name, weight in module.weights.items():
        regional = name in ("region_text", "grounding")
        assert weight == before[name] * (0.25 if regional else 1), name


def test_a_resumed_run_has_its_lowered_weights(tmp_path):
    callback = guard(tmp_path, figures(1.0), floor=0.9, then="lower")
    callback.load_state_dict({"halved": 3})
    module, _ = run(tmp_path, callback, steps=1)
    assert module.weights["region_text"] == make_module(make_model()).weights["region_text"] / 8


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"then": "wait"}, "retention.then=wait; choose stop or lower"),
        ({"floor": 0.0}, "floor=0.0; give"),
    ],
)
def test_settings_that_cannot_be_are_named(tmp_path, options, says):
    with pytest.raises(UserError, match=says):
        guard(tmp_path, figures(), **options)
