"""Exported graphs as an encoder: the answers of the model they were made of."""

import json

import numpy as np
import PIL.Image
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from cloc.errors import UserError
from cloc.eval.conformance import check
from cloc.eval.encoders.encoder import of_model, open_encoder
from cloc.eval.encoders.onnx import REQUIRED
from cloc.export.formats.onnx import ONNX
from tests.helpers.models import NATIVE, TEXT, VISION, make_model
from tests.helpers.probe import probe_of
from tests.helpers.tracing import without_type_checks

CPU = torch.device("cpu")
SMALL = {
    **NATIVE,
    "vision_cfg": {**VISION, "layers": 1},
    "text_cfg": {**TEXT, "layers": 1},
}


@pytest.mark.slow
@pytest.mark.rare  # of the four graphs, half a minute
def test_graphs_answer_as_the_model_they_were_made_of(tmp_path):
    model = make_model(SMALL)
    with without_type_checks():
        ONNX().export(model, tmp_path, probe_of(model))
    ours, theirs = (of_model(model, "x", device=CPU), open_encoder(f"onnx:{tmp_path}", device=CPU))
    assert (theirs.frame, theirs.has_regions) == (ours.frame, True)
    assert check(theirs.embedder).failing == []
    pixels = np.random.default_rng(0).integers(0, 256, (40, 25, 3), dtype=np.uint8)
    photos = [PIL.Image.fromarray(pixels), PIL.Image.new("RGB", (9, 30), (9, 200, 9))]
    boxes = [np.array([[1, 2, 20, 30]], np.float32), np.zeros((0, 4), np.float32)]
    answers = []
    for encoder in (ours.embedder, theirs.embedder):
        prepared = encoder.prepare(photos, boxes)
        grounded = encoder.ground(prepared.images, [["a red star", "x"], []])
        regions = encoder.regions(*prepared)[prepared.valid]
        words = encoder.texts(["a dog", "two red stars"])
        answers.append([encoder.images(prepared.images), regions, words, grounded[0]])
        assert grounded[1].shape == (0, 4)
    for found, wanted in zip(*answers, strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4)
    tokens, grid = theirs.embedder.patch_tokens(prepared.images)
    assert grid == model.tower.grid
    with torch.no_grad():
        wanted = model.tower.images(prepared.images).tokens
    torch.testing.assert_close(tokens, wanted, rtol=0, atol=1e-4)
    assert theirs.embedder.tokens(["A dog"]) == theirs.embedder.tokens(["a dog"])
    (tmp_path / "prompter.onnx").unlink()
    with pytest.raises(UserError, match=r"no prompter.onnx; take extractors=\[crop\]"):
        theirs.embedder.regions(*prepared)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"has no tokenizer\.json, so texts cannot be read"):
        open_encoder(f"onnx:{tmp_path}", device=CPU)


def folder_of(path):
    """All of a folder but the graphs' contents."""
    config = {"image_size": [32, 32], "background": [255, 255, 255]}
    (path / "onnx_config.json").write_text(json.dumps(config))
    Tokenizer(WordLevel({"": 0}, "")).save(str(path / "tokenizer.json"))
    for graph in REQUIRED:
        (path / graph).write_bytes(b"no graph")
    return config


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("image_size", "a", "image_size is 'a', not 2 whole numbers; export it again"),
        ("image_size", [32], r"image_size is \[32\], not 2 whole numbers"),
        ("background", [1, 2, True], r"background is \[1, 2, True\], not 3 whole numbers"),
        ("background", None, "background"),
    ],
)
def test_a_configuration_that_is_none_is_told(tmp_path, key, value, says):
    config = folder_of(tmp_path)
    (tmp_path / "onnx_config.json").write_text(json.dumps(config | {key: value}))
    with pytest.raises(UserError, match=rf"onnx_config\.json.*{says}"):
        open_encoder(f"onnx:{tmp_path}", device=CPU)


def test_graphs_and_tokenizers_that_are_missing_or_damaged_are_told(tmp_path):
    folder_of(tmp_path)
    graphs = open_encoder(f"onnx:{tmp_path}", device=CPU).embedder
    x = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    with pytest.raises(
        UserError, match=r"image_encoder\.onnx cannot be run by onnxruntime .*again"
    ):
        graphs.images(x)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(UserError, match=r"tokenizer\.json cannot be read .*; export it again"):
        open_encoder(f"onnx:{tmp_path}", device=CPU)
    (tmp_path / "text_encoder.onnx").unlink()
    with pytest.raises(UserError, match=r"has no text_encoder\.onnx; export it again"):
        open_encoder(f"onnx:{tmp_path}", device=CPU)
