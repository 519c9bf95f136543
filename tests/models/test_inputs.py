"""What a person may get wrong with an `Embedder`: one line, what was given and what would work.

The methods are called as they run outside of tests, where no checker of types stands before them.
"""

import inspect
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

import cloc
from cloc.errors import UserError
from cloc.eval.extractors import crop
from cloc.eval.extractors.roi import RoIEmbedder
from cloc.models.embedder import ModelEmbedder
from tests.helpers.models import make_model

PICTURE = PIL.Image.new("RGB", (40, 20), (200, 100, 50))
BOX = [[2, 3, 20, 9]]


@pytest.fixture(scope="module")
def embedders():
    own = ModelEmbedder(make_model())
    return own, RoIEmbedder(own)


@pytest.fixture(scope="module")
def prepared(embedders):
    return embedders[0].prepare([PICTURE, PICTURE], [np.array(BOX), np.zeros((0, 4))])


def call(embedder, method, *args):
    """Both embedders pass on to the same checks."""
    inner = getattr(embedder, "inner", embedder) if method in ("prepare", "texts") else embedder
    with torch.no_grad():
        return _unchecked(inner, method, *args)


def _unchecked(inner, method, *args):
    return inspect.unwrap(getattr(type(inner), method))(inner, *args)


def refused(embedders, method, *args, match, only=None):
    for embedder in embedders if only is None else embedders[:only]:
        with pytest.raises(UserError, match=match) as error:
            call(embedder, method, *args)
        assert "\n" not in str(error.value)
        assert len(str(error.value)) < 400


@pytest.mark.parametrize(
    ("texts", "match"),
    [
        ("a red star", r"texts\('a red star'\) would be 10 texts, a letter .*\(\['a red star'\]\)"),
        ("", r"would be 0 texts"),
        (None, "takes a list of strings, not None; write"),
        (5, "takes a list of strings, not 5"),
        (b"a star", "not b'a star'"),
        ({"a": 1}, "not a dict"),
        ({"a", "b"}, "not a set"),
        (torch.zeros(1, 12), "not a Tensor"),
        (["a", None], "1 of the list is None, not a string"),
        ([["a", "b"]], "0 of the list is a list, not a string"),
        ([b"a"], "0 of the list is b'a', not a string"),
        (np.zeros(2), "0 of the list is 0.0|0 of the list is np"),
        (["caf\udce9"], "0 of the list holds half of a character"),
    ],
)
def test_texts_are_a_list_of_strings(embedders, texts, match):
    refused(embedders, "texts", texts, match=match)


def test_any_order_of_strings_is_a_list_of_texts(embedders):
    model = embedders[0]
    expected = model.texts(["a star", "two"])
    for given in (("a star", "two"), np.array(["a star", "two"]), iter(["a star", "two"])):
        assert torch.equal(call(model, "texts", given), expected)


@pytest.mark.parametrize(
    ("phrases", "match"),
    [
        (["a red star", "b"], "the phrases of picture 0 are 'a red star'; ground takes one list"),
        ("a red star", "ground takes one list of phrases for each picture, .* not 'a red star'"),
        ([["a"]], "phrases of 1 pictures, but x holds 2"),
        ([["a"], [None]], "ground, picture 1: 0 of the list is None"),
        ([["a"], None], "the phrases of picture 1 are None"),
        (None, "not None"),
        ([[["a"]], []], "ground, picture 0: 0 of the list is a list"),
    ],
)
def test_ground_takes_a_list_of_phrases_per_picture(embedders, prepared, phrases, match):
    refused(embedders, "ground", prepared.images, phrases, match=match, only=1)
    plain = ModelEmbedder(make_model(region_head=None))  # which cannot ground, but says this first
    refused([plain], "ground", prepared.images, phrases, match=match)


@pytest.mark.parametrize(
    ("images", "match"),
    [
        (PICTURE, r"a list of pictures, not a single one; write prepare\(\[image, \.\.\.\]"),
        ("dog.jpg", "not 'dog.jpg'"),
        (["dog.jpg"], r"picture 0 is 'dog\.jpg', not one of Pillow's; use PIL\.Image\.open"),
        ([Path("dog.jpg")], r"picture 0 is .*; use PIL\.Image\.open\(path\)"),
        ([np.zeros((4, 4, 3), np.uint8)], r"picture 0 is a ndarray, .*PIL\.Image\.fromarray"),
        (np.zeros((1, 4, 4, 3), np.uint8), "not a ndarray"),
        (torch.zeros(1, 3, 4, 4), "not a Tensor"),
        ([torch.zeros(3, 4, 4)], "picture 0 is a Tensor"),
        ([PICTURE, None], "picture 1 is None"),
        (None, "not None"),
        (5, "not 5"),
        ([PIL.Image.new("RGB", (0, 4))], "picture 0 has no pixels: it is 0x4"),
        ([PIL.Image.new("I", (8, 8))], "picture 0 .* mode I: nobody says .* white; scale it"),
        ([PIL.Image.new("F", (8, 8))], "mode F: nobody says"),
    ],
)
def test_pictures_are_a_list_of_pillows(embedders, images, match):
    refused(embedders, "prepare", images, match=match)
    refused(embedders, "prepare", images, [[]], match=match)


def test_a_picture_that_breaks_off_is_one_line(embedders, tmp_path):
    PICTURE.resize((400, 400)).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[: len(content) // 2])
    with PIL.Image.open(tmp_path / "a.png") as image:
        refused(embedders, "prepare", [image], [[]], match="picture 0 cannot be shown in RGB")


@pytest.mark.parametrize(
    ("boxes", "match"),
    [
        ([[BOX]], r"boxes\[0\] is of shape \[1, 1, 4\]"),
        ([BOX, BOX], "boxes of 2 pictures, but there are 1; give one array"),
        ([], "boxes of 0 pictures, but there are 1"),
        (BOX, r"boxes\[0\] is of shape \[4\] and int64; give one array \[n, 4\]"),
        ([[[1, 2, 3]]], r"of shape \[1, 3\]"),
        ([[[1, 2, 3, 4], [1]]], r"boxes\[0\] is a list of no shape"),
        ([[["a", "b", "c", "d"]]], r"boxes\[0\] is of shape \[1, 4\] and <U1"),
        ([None], r"boxes\[0\] is of shape \[\] and object"),
        ("boxes", "boxes are 'boxes'"),
        ([[[20, 3, 2, 9]]], r"boxes\[0\]\[0\]=\(20, 3, 2, 9\) is reversed; a box is \(x0, y0, x1"),
        ([[[2, 9, 20, 3]]], "is reversed"),
        ([[[2, 3, 2, 9]]], "is empty"),
        ([[[2, 3, float("nan"), 9]]], "is not finite"),
        ([[[2, 3, float("inf"), 9]]], "is not finite"),
        ([[[2, 3, 400, 9]]], r"\(2, 3, 400, 9\) lies outside the 40x20 picture; boxes are pixels"),
        ([[[-30, 3, 20, 9]]], "lies outside"),
        ([[[41, 3, 41.5, 9]]], "lies outside"),
        ([[BOX[0], [2, 3, 20, 90]]], r"boxes\[0\]\[1\]=\(2, 3, 20, 90\) lies outside"),
        ([[[0.1, 0.2, 1.0000001, 0.9]]], "inside its first pixel; fractions"),
        ([[[0.1, 0.2, 0.5, 0.9]]], "inside its first pixel; fractions are times the width"),
        ([[[0, 0, 1, 1]]], r"\(0, 0, 1, 1\) of a 40x20 picture: that is inside its first pixel"),
    ],
)
def test_pixel_boxes_are_checked(embedders, boxes, match):
    refused(embedders, "prepare", [PICTURE], boxes, match=match)


def test_boxes_of_many_kinds_are_the_same_boxes(embedders):
    model = embedders[0]
    expected = model.prepare([PICTURE], [np.array(BOX)])
    for given in (BOX, np.array(BOX, np.float32), torch.tensor(BOX), np.array(BOX, np.uint8)):
        for one in ([given], (given,)):
            assert torch.equal(call(model, "prepare", [PICTURE], one).boxes, expected.boxes)
    # what rounding has put over an edge is cut there
    over = call(model, "prepare", [PICTURE], [[[-0.4, 0, 40.6, 20]]]).boxes
    assert torch.equal(over, model.prepare([PICTURE], [np.array([[0, 0, 40, 20]])]).boxes)
    assert call(model, "prepare", [PICTURE]).boxes.shape == (1, 0, 4)
    tiny = call(model, "prepare", [PIL.Image.new("RGB", (2, 2))], [[[0, 0, 1, 1]]])
    assert tiny.valid.all()


def test_x_is_what_prepare_gave(embedders, prepared):
    x, boxes, valid = prepared
    for wrong, match in (
        (prepared, r"x is all that prepare gave; give the images of prepare\(\.\.\.\): x, boxes"),
        ([PICTURE], "x is a list; give the images of prepare"),
        (PICTURE, "x is an Image"),
        (x.numpy(), "x is a ndarray"),
        (None, "x is None"),
        (x.float() / 255, r"x is \[2, 3, 32, 32\] in float32; .* in uint8: the model normalises"),
        (x[0], r"x is \[3, 32, 32\] in uint8, a single picture; write x\[None\]"),
        (x.permute(0, 2, 3, 1), r"not \[pictures, 3, height, width\]"),
        (x[:, :, :16], r"but this model sees 32x32 pixels; prepare the pictures with"),
        (x.repeat(1, 1, 2, 2), "but this model sees 32x32"),
    ):
        refused(embedders, "regions", wrong, boxes, valid, match=match, only=1)
        refused(embedders, "patches", wrong, match=match, only=1)
        refused(embedders, "images", wrong, match=match, only=1)
        refused(embedders, "ground", wrong, [["a"], []], match=match, only=1)


def test_regions_take_fractions(embedders, prepared):
    x, boxes, valid = prepared

    def one(*box):
        return torch.tensor([[box], [[0.0, 0, 1, 1]]])

    yes = torch.ones(2, 1, dtype=torch.bool)
    for wrong, counts, match in (
        (boxes.numpy(), valid, "boxes are a ndarray, not a tensor of floats"),
        (BOX, valid, "boxes are a list"),
        (boxes.long(), valid, r"boxes are in torch\.int64, not a tensor of floats"),
        (boxes[:1], valid, r"boxes are \[1, 1, 4\] for 2 pictures"),
        (boxes[0], valid, r"boxes are \[1, 4\] for 2 pictures"),
        (boxes[..., :3], valid, r"boxes are \[2, 1, 3\]"),
        (boxes, valid.float(), r"valid is \[2, 1\] in torch\.float32, not bool \[2, 1\]"),
        (boxes, valid[:, :0], r"valid is \[2, 0\] in torch\.bool"),
        (boxes, [True], "valid is a list"),
        (one(2, 3, 20, 9), yes, r"boxes\[0\]\[0\]=\(2, 3, 20, 9\) passes the frame, .* 0 to 1"),
        (one(-0.5, 0, 1, 1), yes, "passes the frame"),
        (one(0.9, 0, 0.1, 1), yes, "is reversed"),
        (one(0.1, 0, float("nan"), 1), yes, "is not finite"),
    ):
        refused(embedders, "regions", x, wrong, counts, match=match)
    for embedder in embedders:  # rows that do not count may hold anything
        nothing = one(float("nan"), 9, -9, 1)
        assert call(embedder, "regions", x, nothing, ~yes).shape[:2] == (2, 1)
        whole = one(0.0, 0, 1 + 1e-6, 1)
        assert torch.equal(call(embedder, "regions", x, whole), embedder.regions(x, whole, yes))


def test_what_ground_found_goes_into_regions_clipped(embedders, prepared):
    model = embedders[0]
    found = torch.stack(model.ground(prepared.images, [["a star"]] * 2))
    assert model.regions(prepared.images, found.clamp(0, 1)).shape[:2] == (2, 1)


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I;16L"])
def test_sixteen_bits_keep_their_levels(embedders, mode):
    levels = np.linspace(0, 65535, 32 * 32).reshape(32, 32)
    eight = PIL.Image.fromarray((levels.astype(np.uint16) >> 8).astype(np.uint8))
    order = ">u2" if mode == "I;16B" else "<u2"
    sixteen = PIL.Image.frombytes(mode, (32, 32), levels.astype(order).tobytes())
    x = embedders[0].prepare([sixteen, eight], [np.zeros((0, 4))] * 2).images
    assert torch.equal(x[0], x[1])
    assert x[0].float().std() > 60


def test_an_extractor_and_load_say_the_same(embedders):
    crops = crop.extractor(embedders[0])
    with pytest.raises(UserError, match="is reversed"):
        crops.prepare([PICTURE], [np.array([[20, 3, 2, 9]])])
    for wrong in (5, None, ["runs/demo"]):
        with pytest.raises(UserError, match="load takes a path, such as 'runs/demo', not"):
            inspect.unwrap(cloc.load)(wrong)
    with pytest.raises(UserError, match=r"device='teapot' is not here .*; try 'cpu'"):
        cloc.load("runs/none", device="teapot")


def test_no_picture_at_all_gives_nothing_from_every_method(embedders):
    model = embedders[0].model
    for embedder in (*embedders, crop.extractor(embedders[0])):
        for boxes in ([], [np.array(BOX)][:0]):
            x, boxes, valid = embedder.prepare([], boxes)
            assert embedder.images(x).shape == (0, model.tower.dim)
            assert embedder.regions(x, boxes, valid).shape == (0, 0, model.tower.dim)
            assert not embedder.ground(x, [])
        assert embedder.texts([]).shape == (0, model.tower.dim)
        assert embedder.tokens([]) == []


def test_a_closed_picture_is_named(embedders, tmp_path):
    for name in ("a.png", "a.jpg"):
        PICTURE.save(tmp_path / name)
        with PIL.Image.open(tmp_path / name) as picture:
            pass
        refused(embedders, "prepare", [picture], None, match="in RGB: it is closed already")


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (("dog.jpg", ["a"]), r"picture 0 is 'dog\.jpg', not one of Pillow's; use PIL\.Image\.open"),
        (([PICTURE], ["a"]), "picture 0 is a list, not one of Pillow's"),
        ((PICTURE, "a star"), r"show\('a star'\) would be 6 texts"),
        ((PICTURE, ["a", None]), "1 of the list is None, not a string"),
        ((PICTURE, ["a"], [2, 3, 20, 9]), r"boxes\[0\] is of shape \[4\]"),
        ((PICTURE, ["a"], [[20, 3, 2, 9]]), r"boxes\[0\]"),
    ],
)
def test_show_takes_a_picture_phrases_and_pixel_boxes(embedders, given, match):
    refused(embedders, "show", *given, match=match, only=1)
