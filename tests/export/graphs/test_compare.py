"""The record of graphs against their model, with the modules themselves as the graphs."""

import json

import pytest
import torch

from cloc.errors import UserError
from cloc.export.graphs.compare import write_graph_parity
from cloc.export.graphs.trace import graph_parts
from tests.export.graphs.test_trace import ROPE
from tests.helpers.models import NATIVE, make_model
from tests.helpers.probe import probe_of


def record(model, folder, spoil=lambda name, inputs, outputs: outputs):
    eager = {part.name: part.module for part in graph_parts(model)}

    def run(name, inputs):
        found = eager[name](*inputs)
        return spoil(name, inputs, found if isinstance(found, tuple) else (found,))

    probe = probe_of(model)
    write_graph_parity(folder, model, probe, run=run, eager=eager, loader="itself")
    return json.loads((folder / "parity.json").read_text())


@pytest.mark.parametrize(
    ("config", "parts", "outputs"),
    [
        (NATIVE, {}, {"image", "tokens", "text", "region", "box"}),
        (NATIVE, {"region_head": {"kind": "prompter"}}, {"image", "tokens", "text", "region"}),
        (NATIVE, {"region_head": None}, {"image", "tokens", "text"}),
        (ROPE, {"region_head": None}, {"image", "tokens", "text"}),
    ],
    ids=["all", "no box head", "no region head", "fixed size"],
)
def test_every_output_is_recorded_whole_and_one_by_one_and_at_another_size(
    tmp_path, config, parts, outputs
):
    model = make_model(config, **parts).train()
    found = record(model, tmp_path)
    assert model.training
    other = {"image", "tokens"} if config is NATIVE else set()
    assert set(found["outputs"]) == (
        outputs
        | {f"{name}, one by one" for name in outputs}
        | {f"{name}, other size" for name in other}
    )
    assert all(error["max_error"] < 1e-5 for error in found["outputs"].values())


def other_where(wanted, of=0):
    """The output number `of` of a call is off by 2e-4 where `wanted` holds."""

    def spoil(name, inputs, outputs):
        if not wanted(name, inputs):
            return outputs
        return tuple(x + 2e-4 if i == of else x for i, x in enumerate(outputs))

    return spoil


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (other_where(lambda name, x: name == "text_encoder"), "exported text differs"),
        (
            other_where(lambda name, x: name == "image_encoder" and len(x[0]) == 1),
            "exported image, one by one differs",
        ),
        (
            other_where(lambda name, x: name == "prompter" and x[1].shape[1] == 1),
            "exported region, one by one differs",
        ),
        (
            other_where(lambda name, x: name == "grounder" and x[1].shape[1] > 1),
            "exported box differs",
        ),
        (
            other_where(lambda name, x: name == "image_encoder" and x[0].shape[2] > 32),
            "exported image, other size differs",
        ),
        # of tokens up to 3 or so, 2e-4 is less than the tolerance; NaN is never
        (
            lambda name, x, y: (y[0], y[1] * torch.nan) if name == "image_encoder" else y,
            "exported tokens differs",
        ),
    ],
)
def test_one_wrong_output_at_one_size_is_an_error(tmp_path, spoil, says):
    with pytest.raises(UserError, match=says):
        record(make_model(), tmp_path, spoil)
    assert not (tmp_path / "parity.json").exists()


def test_a_graph_that_its_runtime_cannot_run_is_an_error_with_the_reason(tmp_path):
    def spoil(name, inputs, outputs):
        if name == "prompter":
            raise RuntimeError("no kernel\nfor Strange")
        return outputs

    says = (
        r"itself cannot run the exported prompter on \[2, 4, 4, 32\], \[2, 3, 4\]: no kernel for S"
    )
    with pytest.raises(UserError, match=says):
        record(make_model(), tmp_path, spoil)
    assert not (tmp_path / "parity.json").exists()
