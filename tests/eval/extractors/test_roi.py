"""RoIAlign over known patches, and over those of a model."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cloc.errors import UserError
from cloc.eval.extractors.roi import RoIEmbedder, extractor, look_at_patches
from cloc.heads.roi_align import pool_boxes
from cloc.interfaces import Embedder
from cloc.models.embedder import ModelEmbedder
from tests.helpers.models import EVA, NATIVE, SIGLIP, make_model, random_pixels
from tests.helpers.oracle import LowerCase, Oracle
from tests.helpers.patches import SIDE, Cells, coloured

RAMP = np.repeat(np.arange(4) / 4, 8)  # of the red of four columns of patches, 8 pixels each
PICTURE = coloured(np.broadcast_to(RAMP, (SIDE, SIDE)))


def red(vectors):
    """Undoes the scaling to unit length: the last number was 0.1."""
    return vectors[..., 0] / vectors[..., 3] * 0.1


def regions(embedder, pictures, boxes):
    return embedder.regions(*embedder.prepare(pictures, boxes))


def test_a_box_is_the_mean_of_the_map_inside_it():
    boxes = np.array([[0, 0, 8, 32], [16, 8, 24, 24], [8, 0, 24, 32], [4, 4, 28, 28]], np.float32)
    found = red(regions(extractor(Cells()), [PICTURE], [boxes]))[0]
    # between the centres of patches the map is linear, so a box that is symmetric about a centre
    # (or about the middle of two) has the value there; at the border the outermost patch goes on
    torch.testing.assert_close(found[1:], torch.tensor([0.5, 0.375, 0.375]), atol=2e-3, rtol=0)
    points = np.clip((np.arange(6) + 0.5) / 6 - 0.5, 0, None) * 0.25  # six bilinear ones
    assert abs(found[0] - points.mean()) < 2e-3


def test_a_box_that_the_frame_cuts_is_what_is_left_of_it():
    wide = coloured(np.broadcast_to(np.repeat(RAMP, 2), (SIDE, 2 * SIDE)))
    embedder = extractor(Cells(geometry="crop"))  # shows columns 16 to 48: red of .25 and .5
    cut, same = regions(embedder, [wide], [np.array([[0, 0, 24, 32], [16, 0, 24, 32]], float)])[0]
    torch.testing.assert_close(cut, same)


def test_values_are_asked_for_by_name():
    box = [np.array([[8, 0, 24, 32]], np.float32)]
    found = regions(RoIEmbedder(Cells(), values=True), [PICTURE], box)[0, 0]
    torch.testing.assert_close(found[2], regions(RoIEmbedder(Cells()), [PICTURE], box)[0, 0, 0])


@pytest.mark.parametrize("config", [NATIVE, EVA])
def test_of_a_model_it_is_the_mean_projected_patch(config):
    model = make_model(config, region_head=None)
    embedder, x = extractor(ModelEmbedder(model)), random_pixels(0, 2)
    boxes = torch.tensor([[[0.1, 0.2, 0.6, 0.9], [0, 0, 1, 1]], [[0.5, 0, 1, 0.5], [0, 0, 0, 0]]])
    with torch.no_grad():
        dense = model.tower.dense(model.tower.images(x).tokens)
        pooled = pool_boxes(dense, boxes, model.tower.grid, 3)
    found = embedder.regions(x, boxes, torch.ones(2, 2).bool())
    assert torch.equal(found, F.normalize(pooled, dim=-1))
    assert found.dtype == torch.float32
    assert not found.requires_grad


def test_padding_changes_nothing_and_no_box_gives_none():
    embedder = RoIEmbedder(Cells())
    boxes = [np.array([[0, 0, 9, 9], [3, 4, 30, 20]], np.float32), np.array([[8, 8, 20, 30]])]
    x, framed, valid = embedder.prepare([PICTURE] * 2, boxes)
    found = embedder.regions(x, framed, valid)
    framed[1, 1] = float("nan")
    again = embedder.regions(x, framed, valid)
    assert torch.equal(found[valid], again[valid])
    assert torch.equal(regions(embedder, [PICTURE], boxes[1:])[0, 0], found[1, 0])
    assert regions(embedder, [PICTURE], [np.zeros((0, 4))]).shape == (1, 0, 4)
    assert regions(embedder, [], []).shape == (0, 0, 4)


def test_the_rest_is_the_encoders_own_and_it_cannot_ground():
    class Patched(LowerCase):
        patches = Cells.patches
        grid = (4, 4)

    embedder = extractor(Patched())
    assert isinstance(embedder, Embedder)
    x = embedder.prepare([PICTURE], [np.zeros((0, 4))]).images
    assert torch.equal(embedder.images(x), LowerCase().images(x))
    assert torch.equal(embedder.texts(["red"]), LowerCase().texts(["red"]))
    assert embedder.tokens(["A"]) == [b"a"]
    assert embedder.ground(x, [["red"]]) is None


def test_an_encoder_without_patches_is_refused_in_one_line():
    with pytest.raises(
        UserError, match=r"^roi: this encoder has no patches.*take one of crop"
    ) as error:
        extractor(Oracle())
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match=r"^roi: this tower pools by attention"):
        extractor(ModelEmbedder(make_model(SIGLIP, region_head=None)))


def test_a_look_gives_the_shape_of_a_picture_and_of_the_grid():
    blank, grid = look_at_patches(Cells((2, 8)), "roi")
    assert blank.shape == (SIDE, SIDE, 3)
    assert grid == (2, 8)
