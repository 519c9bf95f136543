"""Saved programs through torch's own loader, at sizes that nothing was traced or compared with.

Their weights are stored as bfloat16, which is the longer way: float32 lacks a step of it.
"""

import json

import pytest
import torch

from cloc.export.formats.torch_export import TorchExport
from cloc.export.weights import round_weights
from cloc.models.embedder import ModelEmbedder
from tests.helpers.models import NATIVE, TEXT, VISION, make_model, random_pixels
from tests.helpers.probe import probe_of
from tests.helpers.rows import random_boxes
from tests.helpers.tracing import without_type_checks

# the graphs are those that test_onnx.py runs, of which this format is torch's own file
pytestmark = [pytest.mark.slow, pytest.mark.rare]

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
    round_weights(model, "bfloat16")
    return model


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    with without_type_checks():
        TorchExport(precision="bfloat16").export(model, folder, probe_of(model))
    return folder


@pytest.fixture(scope="module")
def loaded(folder):
    return [torch.export.load(folder / f"{name}.pt2").module() for name in PARTS]


@torch.no_grad()
@pytest.mark.parametrize(("b", "r"), [(1, 1), (3, 9), (5, 2)])
def test_any_number_of_images_boxes_and_phrases(model, loaded, b, r):
    see, read, regions, ground = loaded
    ours = ModelEmbedder(model)
    pixels, boxes = random_pixels(b, b), random_boxes(1, b, r).float()
    image, tokens = see(pixels)
    torch.testing.assert_close(image, ours.images(pixels), rtol=0, atol=1e-5)
    words = (WORDS * 3)[:r]
    text = read(model.tower.tokenizer()(words, 12))
    torch.testing.assert_close(text, ours.texts(words), rtol=0, atol=1e-5)
    expected = ours.regions(pixels, boxes, torch.ones(b, r, dtype=torch.bool))
    torch.testing.assert_close(regions(tokens, boxes), expected, rtol=0, atol=1e-5)
    expected = torch.stack(ours.ground(pixels, [words] * b))
    found = ground(tokens, text.repeat(b, 1, 1))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_what_the_folder_holds(folder):
    assert {path.name for path in folder.iterdir()} == {
        *(f"{name}.pt2" for name in PARTS),
        "torch_export_config.json",
        "tokenizer.json",
        "parity.json",
    }
    found = json.loads((folder / "parity.json").read_text())
    assert found["loader"] == f"torch {torch.__version__}"
    assert max(error["max_error"] for error in found["outputs"].values()) <= 1e-5
    config = json.loads((folder / "torch_export_config.json").read_text())
    assert config["graphs"]["prompter.pt2"]["inputs"]["boxes"] == ["batch", "boxes", 4]
    assert (config["torch"], config["image_size"]) == (torch.__version__, [32, 32])


def test_half_weights_are_those_of_the_model_rounded_to_them(folder):
    for name in PARTS:
        stored = torch.export.load(folder / f"{name}.pt2").state_dict
        assert {x.dtype for x in stored.values() if x.is_floating_point()} == {torch.bfloat16}
    config = json.loads((folder / "torch_export_config.json").read_text())
    assert (config["dtype"], config["weights"]) == ("float32", "bfloat16")
