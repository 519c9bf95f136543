"""The weights a run leaves: whole at any moment, and what `build_model` can be filled with."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from cloc.models.build import build_model
from cloc.training.callbacks import weights
from cloc.training.callbacks.weights import Weights
from tests.helpers.fit import fit, make_module
from tests.helpers.models import make_model, model_batch


def step_of(folder):
    with safe_open(folder / "model.safetensors", "pt") as file:
        return int(file.metadata()["step"])


def test_every_so_many_steps_and_at_the_end(tmp_path):
    model, seen = make_model(), []

    class Watch(Weights):
        def write(self, model, step):
            super().write(model, step)
            seen.append((step, step_of(tmp_path / "run")))

    callback = Watch(tmp_path / "run", every_n_steps=2)
    fit(make_module(model), [model_batch(model)] * 5, tmp_path, callbacks=[callback])
    assert seen == [(2, 2), (4, 4), (5, 5)]
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "cloc_config.json",
        "model.safetensors",
    ]


def test_the_model_can_be_built_from_what_is_written(tmp_path):
    model = make_model()
    Weights(tmp_path).write(model, 3)
    again = build_model(**json.loads((tmp_path / "cloc_config.json").read_text()))
    again.load_state_dict(load_file(tmp_path / "model.safetensors"))
    for name, value in again.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name


def test_a_write_that_fails_leaves_the_last_weights_whole(tmp_path, monkeypatch):
    model = make_model()
    Weights(tmp_path).write(model, 1)

    def half(state, path, metadata):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(weights, "save_file", half)
    with pytest.raises(OSError, match="disk full"):
        Weights(tmp_path).write(model, 2)
    assert step_of(tmp_path) == 1
    assert load_file(tmp_path / "model.safetensors").keys() == model.state_dict().keys()


def test_it_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    calls = []
    fsync, replace = weights.os.fsync, weights.os.replace
    monkeypatch.setattr(weights.os, "fsync", lambda f: (calls.append("fsync"), fsync(f)))
    monkeypatch.setattr(weights.os, "replace", lambda a, b: (calls.append("name"), replace(a, b)))
    Weights(tmp_path).write(make_model(), 1)
    assert calls == ["fsync", "name"]
