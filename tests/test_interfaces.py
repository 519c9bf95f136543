"""What a notebook shows of a batch or of a picture's regions fits on a line."""

import numpy as np
import PIL.Image
import torch

from cloc.interfaces import Example, Prepared
from tests.helpers.models import make_model, model_batch


def test_a_repr_says_types_and_shapes_and_no_values():
    said = repr(model_batch(make_model()))
    assert said.startswith("RegionBatch(images=uint8[")
    assert len(said) < 600
    assert "tensor" not in said
    boxes, valid = torch.zeros(1, 2, 4), torch.ones(1, 2).bool()
    said = repr(Prepared(torch.zeros(1, 3, 8, 8), boxes, valid))
    assert said == "Prepared(images=float32[1, 3, 8, 8], boxes=float32[1, 2, 4], valid=bool[1, 2])"


def test_short_values_stand_as_they_are_and_long_lists_are_counted():
    image = PIL.Image.new("RGB", (4, 4))
    boxes = np.zeros((5, 4), np.float32)
    example = Example("key", image, ("a", "b"), boxes, ("x",) * 5, ("",) * 5, {"n": boxes})
    said = repr(example)
    assert "captions=('a', 'b')" in said
    assert "phrases=tuple of 5" in said
    assert "boxes=float32[5, 4]" in said
    assert "meta={n: float32[5, 4]}" in said
