"""What a person's encoder answers, right and wrong, each wrong one on a line."""

import re
import sys
from types import SimpleNamespace

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
import torch
import torch.nn.functional as F

from cloc.errors import UserError
from cloc.eval.conformance import refuse
from cloc.eval.encode import image_vectors, region_vectors
from cloc.eval.encoders.guarded import Guarded
from cloc.eval.runner import Memo
from cloc.interfaces import Example
from tests.helpers.oracle import prepare

X = torch.zeros(2, 3, 8, 8)
BOXES = torch.tensor([[[0, 0, 1, 1], [0, 0, 0.5, 1]]] * 2)
VALID = torch.tensor([[True, True], [True, False]])
NAN = float("nan")


def unit(*shape, dtype=torch.float32):
    return F.normalize(torch.arange(1.0, 1 + np.prod(shape)).view(shape), dim=-1).to(dtype)


def guarded(**methods):
    """An encoder with these, and with right ones for the rest that it must have."""
    right = {
        "prepare": prepare,
        "images": lambda x: unit(len(x), 4),
        "texts": lambda texts: unit(len(texts), 4),
    }
    return Guarded(SimpleNamespace(**right | methods), "mine")


def fails(x):
    raise KeyError("weights")


def ends(x):
    sys.exit("no weights")


WRONG = {
    "raises": (fails, r"raises KeyError: 'weights' \(test_guarded\.py:\d+\); correct it"),
    "ends": (ends, r"raises SystemExit: no weights \(test_guarded\.py:\d+\); correct it"),
    "meta": (lambda x: unit(2, 4).to("meta"), "gives a tensor of the meta device, which holds no"),
    "none": (lambda x: None, "gives NoneType, not a float tensor, vectors of shape [2, d]"),
    "array": (lambda x: unit(2, 4).numpy(), "gives ndarray float32[2, 4], not a float tensor"),
    "list": (lambda x: unit(2, 4).tolist(), "gives list of 2, not a float tensor"),
    "whole": (lambda x: torch.ones(2, 4).long(), "gives Tensor int64[2, 4], not a float tensor"),
    "one row": (lambda x: unit(4), "gives Tensor float32[4], not vectors of shape [2, d]"),
    "few": (lambda x: unit(1, 4), "gives Tensor float32[1, 4], not vectors of shape [2, d]"),
    "deep": (lambda x: unit(2, 3, 4), "gives Tensor float32[2, 3, 4], not vectors"),
    "long": (lambda x: 3 * unit(2, 4), "gives a vector of length 3, not 1; make them unit"),
    "zero": (lambda x: 0 * unit(2, 4), "gives a vector of length 0, not 1; make them unit"),
    "nan": (lambda x: NAN * unit(2, 4), "gives numbers that are not finite"),
    "wide": (lambda x: unit(2, 5), "gives vectors of 5 numbers, but texts of 4; they must share"),
}


@pytest.mark.parametrize(("images", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_told_on_one_line(images, says):
    encoder = guarded(images=images)
    encoder.texts(["a"])
    with pytest.raises(UserError) as error:
        encoder.images(X)
    found = str(error.value)
    assert found.startswith("mine: images ")
    pattern = says if says.startswith("raises") else re.escape(says)
    assert re.search(pattern, found), found
    assert "\n" not in found


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_vectors_of_every_float_type_come_back_alike(dtype):
    weight = torch.nn.Parameter(torch.ones(4, dtype=dtype))
    found = guarded(images=lambda x: unit(2, 4, dtype=dtype) * weight).images(X)
    assert (found.dtype, found.requires_grad) == (torch.float32, False)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(2), rtol=0, atol=1e-6)
    torch.testing.assert_close(found, unit(2, 4), rtol=0, atol=1e-2)


def test_regions_may_be_zero_and_anything_in_padded_rows():
    answer = unit(2, 2, 4)
    answer[1, 1], answer[0, 1] = NAN, 0
    found = guarded(regions=lambda x, boxes, valid: answer).regions(X, BOXES, VALID)
    assert found[VALID].equal(answer[VALID])
    answer[0, 0] = 7
    with pytest.raises(UserError, match="mine: regions gives a vector of length 14, not 1"):
        guarded(regions=lambda x, boxes, valid: answer).regions(X, BOXES, VALID)
    with pytest.raises(UserError, match=r"regions gives Tensor .*\[2, 4\], not .* \[2, 2, d\]"):
        guarded(regions=lambda x, boxes, valid: unit(2, 4)).regions(X, BOXES, VALID)


def test_boxes_patches_and_tokens_have_their_shapes():
    asked = [["a", "b"], []]
    boxes = [torch.zeros(2, 4), torch.zeros(0, 4)]
    assert guarded(ground=lambda x, phrases: None).ground(X, asked) is None
    found = guarded(ground=lambda x, phrases: [own.double() for own in boxes]).ground(X, asked)
    assert [(own.dtype, own.shape) for own in found] == [(torch.float32, b.shape) for b in boxes]
    for wrong in ([], boxes[:1], [boxes[1], boxes[0]], 3, [boxes[0] * NAN, boxes[1]]):
        with pytest.raises(UserError, match=r"^mine: ground gives "):
            guarded(ground=lambda x, phrases, wrong=wrong: wrong).ground(X, asked)
    tokens = unit(2, 6, 4)
    assert guarded(patches=lambda x: (tokens, (2, 3))).patches(X)[0].equal(tokens)
    for wrong in ((tokens, (2, 2)), tokens, (tokens[0], (2, 3)), None):
        with pytest.raises(UserError, match=r"^mine: patches gives .*rows \* columns, d\]"):
            guarded(patches=lambda x, wrong=wrong: wrong).patches(X)
    with pytest.raises(UserError, match=r"patches raises TypeError: .*values"):
        guarded(patches=lambda x: (tokens, (2, 3))).patches(X, values=True)
    assert guarded(tokens=lambda texts: [b"a"]).tokens(["a"]) == [b"a"]
    with pytest.raises(UserError, match=r"tokens gives list of 1, not the bytes of 2 texts"):
        guarded(tokens=lambda texts: [b"a"]).tokens(["a", "b"])


def test_what_it_has_not_is_not_there():
    assert not hasattr(guarded(), "patches")
    assert not hasattr(guarded(tokens=None), "tokens")


class Arrays:
    """As the page about frames shows one: a plain tuple, NumPy's boxes."""

    def prepare(self, images, boxes):
        upright = [PIL.ImageOps.exif_transpose(image) for image in images]
        return tuple(part.numpy() for part in prepare(upright, boxes))

    def pixels(self, x):
        return torch.as_tensor(x).permute(0, 3, 1, 2)

    def images(self, x):
        return unit(len(x), 4)

    def texts(self, texts):
        return unit(len(texts), 4)

    def regions(self, x, boxes, valid):
        return unit(*valid.shape, 4)


def test_a_plain_tuple_of_arrays_is_measured():
    encoder = Memo(Guarded(Arrays(), "mine"))
    refuse(encoder.inner)
    picture = PIL.Image.new("RGB", (9, 7))
    example = Example("a", picture, (), np.array([[0, 0, 4, 4]], np.float32), ("x",), ("",), {})
    assert [row.shape for _, row in image_vectors(encoder, [example], batch_size=2)] == [(4,)]
    assert [own.shape for _, own in region_vectors(encoder, [example], batch_size=2)] == [(1, 4)]
    with pytest.raises(UserError, match=r"mine: prepare gives NoneType, not \(pixels, boxes, val"):
        guarded(prepare=lambda images, boxes: None).prepare([picture], [example.boxes])


def test_one_look_tells_what_is_wrong_before_any_data_are_read():
    guarded().look()
    with pytest.raises(UserError, match="texts gives vectors of 3 numbers, but images of 4"):
        guarded(texts=lambda texts: unit(len(texts), 3)).look()
    with pytest.raises(UserError, match="prepare raises TypeError: no pictures"):
        guarded(prepare=_no_pictures).look()


def _no_pictures(images, boxes):
    raise TypeError("no pictures")
