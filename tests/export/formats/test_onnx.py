"""Exported graphs in onnxruntime, at sizes that nothing was traced or compared with.

Their weights are stored as float16, which is the longer way: float32 lacks a step of it.
"""

import json
import logging
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from cloc.errors import UserError
from cloc.export.formats import onnx as module
from cloc.export.formats.onnx import ONNX
from cloc.export.weights import round_weights
from cloc.models.embedder import ModelEmbedder
from tests.helpers.models import NATIVE, TEXT, VISION, make_model, random_pixels
from tests.helpers.probe import probe_of
from tests.helpers.rows import random_boxes
from tests.helpers.tracing import without_type_checks

pytestmark = pytest.mark.slow
# of the four graphs, half a minute; tests/export/graphs holds what they are traced from
WHOLE = pytest.mark.rare

SMALL = {
    **NATIVE,
    "vision_cfg": {**VISION, "layers": 1},
    "text_cfg": {**TEXT, "layers": 1},
}
PARTS = ("image_encoder", "text_encoder", "prompter", "grounder")
WORDS = ["a photo of a dog", "two red stars left of a blue ring", "x"]


@pytest.fixture(scope="module")
def model():
    model = make_model(SMALL)
    round_weights(model, "float16")
    return model


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    with without_type_checks(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "EXTERNAL_ABOVE", 1_000_000)  # between the text tower and the others
        ONNX(precision="float16").export(model, folder, probe_of(model))
    return folder


@pytest.fixture(scope="module")
def call(folder):
    def one(name, **inputs):
        session = onnxruntime.InferenceSession(folder / f"{name}.onnx")
        fed = {key: np.asarray(value) for key, value in inputs.items()}
        outputs = [output.name for output in session.get_outputs()]
        return dict(zip(outputs, map(torch.from_numpy, session.run(None, fed)), strict=True))

    return one


@WHOLE
@torch.no_grad()
@pytest.mark.parametrize(("b", "r"), [(1, 1), (3, 9), (5, 2), (2, 0)])
def test_any_number_of_images_boxes_and_phrases(model, call, b, r):
    ours = ModelEmbedder(model)
    pixels, boxes = random_pixels(b, b), random_boxes(1, b, r).float()
    seen = call("image_encoder", pixels=pixels)
    torch.testing.assert_close(seen["image"], ours.images(pixels), rtol=0, atol=1e-5)
    words = (WORDS * 3)[:r] or WORDS
    text = call("text_encoder", tokens=model.tower.tokenizer()(words, 12))["text"]
    torch.testing.assert_close(text, ours.texts(words), rtol=0, atol=1e-5)
    region = call("prompter", tokens=seen["tokens"], boxes=boxes)["region"]
    valid = torch.ones(b, r, dtype=torch.bool)
    expected = ours.regions(pixels, boxes, valid)
    torch.testing.assert_close(region, expected, rtol=0, atol=1e-5)
    box = call("grounder", tokens=seen["tokens"], text=text.repeat(b, 1, 1))["box"]
    expected = torch.stack(ours.ground(pixels, [words] * b))
    torch.testing.assert_close(box, expected, rtol=0, atol=1e-5)


@WHOLE
def test_another_size_goes_through_all_graphs(call):
    """Numbers at other sizes: tests/export/graphs/test_trace.py and `other size` of parity.json."""
    seen = call("image_encoder", pixels=random_pixels(0, 2, size=64)[:, :, :40])
    assert seen["tokens"].shape == (2, 5, 8, 32)
    region = call("prompter", tokens=seen["tokens"], boxes=random_boxes(0, 2, 3).float())["region"]
    torch.testing.assert_close(region.norm(dim=-1), torch.ones(2, 3))


@WHOLE
def test_what_the_folder_holds(folder):
    assert {path.name for path in folder.iterdir()} == {
        *(f"{name}.onnx" for name in PARTS),
        "text_encoder.onnx.data",
        "onnx_config.json",
        "tokenizer.json",
        "parity.json",
    }
    found = json.loads((folder / "parity.json").read_text())
    assert found["loader"] == f"onnxruntime {onnxruntime.__version__}"
    assert max(error["max_error"] for error in found["outputs"].values()) <= 1e-5


@WHOLE
def test_weights_above_the_limit_lie_beside_their_graph(folder):
    assert (folder / "text_encoder.onnx").stat().st_size < 200_000
    assert (folder / "text_encoder.onnx.data").stat().st_size > 1_500_000


@WHOLE
def test_the_configuration_says_what_the_files_say(model, folder):
    config = json.loads((folder / "onnx_config.json").read_text())
    graphs = config.pop("graphs")
    for name, shapes in graphs.items():
        graph = onnx.load(folder / name, load_external_data=False)
        assert [(x.domain, x.version) for x in graph.opset_import if not x.domain] == [("", 20)]
        for kind, values in (("inputs", graph.graph.input), ("outputs", graph.graph.output)):
            of_file = {
                x.name: [d.dim_param or d.dim_value for d in x.type.tensor_type.shape.dim]
                for x in values
            }
            assert of_file == shapes[kind]
    assert graphs["grounder.onnx"]["inputs"]["text"] == ["batch", "phrases", 24]
    assert config.pop("opset") == 20
    assert config["dtype"] == "float32"
    assert (config["mean"], config["std"]) == tuple(model.tower.preprocess.values())
    assert (config["image_size"], config["image_size_multiple_of"]) == ([32, 32], 8)
    assert (config["image_size_free"], config["context_length"]) == (True, 12)


@pytest.mark.parametrize("missing", ["onnxruntime", "onnxscript", "onnx"])
def test_a_missing_package_names_the_extra(model, tmp_path, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    says = rf"format=onnx needs {missing}; pip install 'cloc-pretrain\[onnx\]'"
    with pytest.raises(UserError, match=says):
        ONNX().export(model, tmp_path, probe_of(model))
    assert not list(tmp_path.iterdir())


def test_what_onnx_cannot_hold_is_an_error_with_the_reason(model, tmp_path, monkeypatch, caplog):
    """And the optimizer's remarks, one for each operator that it leaves alone, are not shown."""

    def refuse(*args, **options):
        logging.getLogger("onnxscript.optimizer").warning("Skipping constant folding")
        raise RuntimeError("no operator\nfor aten::strange")

    monkeypatch.setattr(torch.onnx, "export", refuse)
    says = "ONNX cannot hold the image_encoder of this model: no operator for aten::strange"
    with without_type_checks(), pytest.raises(UserError, match=says):
        ONNX().export(model, tmp_path, probe_of(model))
    assert "folding" not in caplog.text


@WHOLE
def test_half_weights_are_those_of_the_model_rounded_to_them(folder):
    found = onnx.load(folder / "text_encoder.onnx").graph.initializer
    large = {x.name: x.data_type for x in found if np.prod(x.dims) > 10_000}
    assert large == {"clip.token_embedding.weight": onnx.TensorProto.FLOAT16}
    assert json.loads((folder / "onnx_config.json").read_text())["weights"] == "float16"
