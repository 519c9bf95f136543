"""Exported graphs as an encoder: the answers of the model they were made of."""

import numpy as np
import PIL.Image
import pytest
import torch

from cloc.errors import UserError
from cloc.eval.conformance import check
from cloc.eval.encoders.encoder import of_model, open_encoder
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
    assert theirs.embedder.tokens(["A dog"]) == theirs.embedder.tokens(["a dog"])
    (tmp_path / "prompter.onnx").unlink()
    with pytest.raises(UserError, match=r"no prompter.onnx; take extractors=\[crop\]"):
        theirs.embedder.regions(*prepared)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"has no tokenizer\.json, so texts cannot be read"):
        open_encoder(f"onnx:{tmp_path}", device=CPU)
