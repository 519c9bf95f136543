"""An encoder in half precision: other sums, the same contract."""

import numpy as np
import PIL.Image
import pytest
import torch
import torch.nn.functional as F

from cloc.errors import UserError
from cloc.eval.encoders.encoder import Encoder, of_model
from cloc.eval.encoders.precision import in_precision
from cloc.eval.extractors import roi, roi_value
from tests.helpers.models import NATIVE, make_model
from tests.helpers.vectors import Vectors

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def full():
    return of_model(make_model(NATIVE), "mine", device=CPU)


@pytest.fixture(scope="module")
def half(full):
    return in_precision(full, "bf16-mixed", device=CPU)


@pytest.fixture(scope="module")
def prepared(full):
    rng = np.random.default_rng(0)
    images = [PIL.Image.fromarray(rng.integers(0, 256, (40, 30, 3), np.uint8)) for _ in range(2)]
    boxes = np.array([[2, 2, 20, 30], [5, 9, 28, 39]], np.float32)
    return full.embedder.prepare(images, [boxes, boxes[:1]])


def answers(embedder, prepared):
    x, boxes, valid = prepared
    return {
        "images": embedder.images(x),
        "texts": embedder.texts(["a dog", "two cats"]),
        "regions": embedder.regions(x, boxes, valid)[valid],
        "roi": roi.extractor(embedder).regions(x, boxes, valid)[valid],
        "roi_value": roi_value.extractor(embedder).regions(x, boxes, valid)[valid],
    }


def test_vectors_are_float32_of_unit_length_and_near_those_of_full_precision(full, half, prepared):
    exact, rounded = answers(full.embedder, prepared), answers(half.embedder, prepared)
    for name, vectors in rounded.items():
        assert vectors.dtype == torch.float32, name
        assert torch.allclose(vectors.norm(dim=-1), torch.ones(()), atol=1e-6), name
        assert not vectors.equal(exact[name]), name
        assert F.cosine_similarity(vectors, exact[name], dim=-1).min() > 0.999, name


def test_boxes_are_float32_and_texts_are_read_alike(full, half, prepared):
    found = half.embedder.ground(prepared.images, [["a dog"], []])
    assert [(own.dtype, len(own)) for own in found] == [(torch.float32, 1), (torch.float32, 0)]
    assert half.embedder.tokens(["A"]) == full.embedder.tokens(["A"])


def test_it_stands_behind_the_name_and_its_vectors_are_kept_apart(full, half):
    assert half.name == "mine bf16-mixed"
    assert half.digest not in ("", full.digest)
    assert in_precision(full, "32-true", device=CPU) is full
    unknown = in_precision(full._replace(digest=""), "16-mixed", device=CPU)
    assert unknown.digest == ""


def test_what_goes_is_said(full):
    with pytest.raises(UserError, match="precision=fp8; choose 32-true, bf16-mixed, 16-mixed"):
        in_precision(full, "fp8", device=CPU)
    graphs = Encoder(Vectors(4), "onnx:x", None, "own", "", runs_in_torch=False)
    with pytest.raises(UserError, match="precision=bf16-mixed: onnx:x is run by onnxruntime"):
        in_precision(graphs, "bf16-mixed", device=CPU)


def test_an_encoder_without_patches_has_none_here_either():
    mine = in_precision(Encoder(Vectors(4), "m", None, "own", ""), "bf16-mixed", device=CPU)
    assert not hasattr(mine.embedder, "patches")
