"""Patches weighted by what a mask covers of them, in whatever frame the encoder has."""

import numpy as np
import PIL.Image
import pytest
import torch
import torch.nn.functional as F

from cloc.data.samples.orientation import upright
from cloc.errors import UserError
from cloc.eval.extractors.mask_pool import covered, extractor
from cloc.interfaces import Embedder
from cloc.models.embedder import ModelEmbedder
from tests.helpers.models import SIGLIP, make_model
from tests.helpers.oracle import LowerCase, Oracle
from tests.helpers.patches import SIDE, Cells, coloured

RAMP = np.repeat(np.arange(4) / 4, 8)
PICTURE = coloured(np.broadcast_to(RAMP, (SIDE, SIDE)))
BOX = np.array([[0, 0, 8, 8]], np.float32)  # what the box is does not matter


def red(vectors):
    return vectors[..., 0] / vectors[..., 3] * 0.1


def mask(*spans, size=(SIDE, SIDE)):
    """One mask (x0, y0, x1, y1 in whole pixels) each, [n, height, width]."""
    masks = np.zeros((len(spans), *size), bool)
    for one, (x0, y0, x1, y1) in zip(masks, spans, strict=True):
        one[y0:y1, x0:x1] = True
    return masks


def regions(embedder, picture, masks):
    boxes = np.repeat(BOX, len(masks), 0)
    return embedder.regions(*embedder.prepare_masked([picture], [boxes], [masks]))[0]


def test_a_mask_of_everything_is_the_mean_and_one_of_a_patch_that_patch():
    cells = Cells()
    whole, one = regions(extractor(cells), PICTURE, mask((0, 0, 32, 32), (16, 8, 24, 16)))
    patches = cells.patches(cells.prepare([PICTURE], [BOX]).images)[0][0]
    torch.testing.assert_close(whole, F.normalize(patches.mean(0), dim=0))
    torch.testing.assert_close(one, F.normalize(patches[6], dim=0))


def test_a_half_covered_patch_weighs_half():
    # the first column of patches (red 0) whole, the second (red .25) half, the last (.75) a quarter
    masks = mask((0, 0, 12, 32)) | mask((30, 0, 32, 32))
    expected = (0.5 * 0.25 + 0.25 * 0.75) / 1.75
    found = red(regions(extractor(Cells()), PICTURE, masks))
    assert abs(found[0] - expected) < 2e-3


def areas(masks, size, corner, grid, steps=64):
    """The share of each patch by looking at many points of it; the picture of (width, height)
    `size` lies at `corner` (x0, y0, x1, y1) of the frame."""
    rows, columns = grid
    y, x = np.meshgrid(*((np.arange(n * steps) + 0.5) / (n * steps) for n in grid), indexing="ij")
    u = (x - corner[0]) / (corner[2] - corner[0]) * size[0]
    v = (y - corner[1]) / (corner[3] - corner[1]) * size[1]
    inside = (u >= 0) & (u < size[0]) & (v >= 0) & (v < size[1])
    u, v = u.clip(0, size[0] - 1).astype(int), v.clip(0, size[1] - 1).astype(int)
    hit = (masks[:, v, u] & inside).reshape(len(masks), rows, steps, columns, steps)
    return hit.mean((2, 4)).reshape(len(masks), -1)


def test_shares_are_exact_for_any_place_of_the_picture_in_the_frame():
    rng = np.random.default_rng(0)
    masks = rng.random((3, 13, 21)) < 0.4
    size, probe = (21, 13), np.array([9.0, 5, 12, 8])
    for corner in ((0, 0, 1, 1), (0, 0.19, 1, 0.81), (-0.31, 0, 1.31, 1)):
        x0, y0, x1, y1 = corner
        scale = np.array([(x1 - x0) / 21, (y1 - y0) / 13] * 2)
        where = probe * scale + [x0, y0, x0, y0]
        found = covered(masks, probe, where, (3, 5))
        np.testing.assert_allclose(found, areas(masks, size, corner, (3, 5)), atol=0.02)
        assert found.min() >= 0
        assert found.max() <= 1 + 1e-6
    full = covered(masks | True, probe, probe / [21, 13, 21, 13], (3, 5))
    np.testing.assert_allclose(full, 1, rtol=1e-6)


@pytest.mark.parametrize("geometry", ["pad", "squash", "crop"])
@pytest.mark.parametrize("size", [(64, 32), (32, 64), (256, 32)])
def test_a_mask_meets_its_pixels_in_every_frame(geometry, size):
    """What a mask covers is painted red; nothing else is, so what it pools is red, and red only."""
    width, height = size
    x0, y0 = width // 2 - 8, height // 2 - 8
    masks = mask((x0, y0, x0 + 16, y0 + 16), size=(height, width))
    found = regions(extractor(Cells((32, 32), geometry)), coloured(masks[0].astype(float)), masks)
    assert red(found) > 0.75  # the resampled border of the mask, 1 of 2 to 16 pixels, is darker
    beside = np.roll(masks, 16, axis=2)  # right of it, and visible in no centre crop of a tall one
    if geometry != "crop" or height < width:
        again = regions(extractor(Cells((32, 32), geometry)), coloured(masks[0] * 1.0), beside)
        assert red(again).nan_to_num() < 0.3


def test_what_the_frame_cuts_off_is_left_out():
    wide = coloured(np.broadcast_to(np.repeat(RAMP, 2), (SIDE, 2 * SIDE)))
    embedder = extractor(Cells(geometry="crop"))
    masks = mask((0, 0, 24, 32), (16, 0, 24, 32), (0, 0, 16, 32), size=(32, 64))
    cut, same, gone = regions(embedder, wide, masks)
    torch.testing.assert_close(cut, same)
    assert (gone == 0).all()


def test_a_photograph_on_its_side_has_masks_of_its_upright_pixels():
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    side = coloured(np.broadcast_to(RAMP, (16, SIDE)))
    side.getexif()[0x0112] = 6
    shown = upright(side)
    assert shown.size == (16, 32)
    masks = mask((0, 0, 16, 8), size=(32, 16))
    torch.testing.assert_close(
        regions(extractor(Cells()), side, masks), regions(extractor(Cells()), shown, masks)
    )


def test_padding_changes_nothing_and_no_box_gives_none():
    embedder = extractor(Cells())
    two, one = mask((0, 0, 9, 9), (3, 4, 30, 20)), mask((8, 8, 20, 30))
    boxes = [np.repeat(BOX, 2, 0), BOX]
    x, framed, valid = embedder.prepare_masked([PICTURE] * 2, boxes, [two, one])
    assert valid.tolist() == [[True, True], [True, False]]
    found = embedder.regions(x, framed, valid)
    assert (found[1, 1] == 0).all()
    x[1, -4 * 16 :] = 77  # the bytes of the shares of the padded slot
    assert torch.equal(embedder.regions(x, framed, valid)[valid], found[valid])
    torch.testing.assert_close(regions(embedder, PICTURE, one)[0], found[1, 0])
    for boxes, masks in ((BOX[:0], None), (BOX[:0], mask())):
        x, framed, valid = embedder.prepare_masked([PICTURE], [boxes], [masks])
        assert embedder.regions(x, framed, valid).shape == (1, 0, 4)
    x, framed, valid = embedder.prepare([], [])
    assert embedder.regions(x, framed, valid).shape == (0, 0, 4)


def test_boxes_and_pixels_are_the_encoders_own():
    cells = Cells(geometry="pad")
    embedder, tall = extractor(cells), PICTURE.resize((20, 50))
    boxes = np.array([[2, 3, 10, 40], [0, 0, 20, 50]], np.float32)
    x, framed, valid = embedder.prepare_masked(
        [tall], [boxes], [mask((0, 0, 9, 9), (1, 1, 2, 2), size=(50, 20))]
    )
    plain = cells.prepare([tall], [boxes])
    torch.testing.assert_close(framed, plain.boxes)
    assert torch.equal(valid, plain.valid)
    assert torch.equal(embedder.images(x), cells.images(plain.images))


def test_the_rest_is_the_encoders_own_and_it_cannot_ground():
    class Patched(LowerCase):
        patches = Cells.patches
        grid = (4, 4)

    embedder = extractor(Patched())
    assert isinstance(embedder, Embedder)
    assert embedder.takes_masks
    x = embedder.prepare([PICTURE], [np.zeros((0, 4))]).images
    assert torch.equal(embedder.texts(["red"]), LowerCase().texts(["red"]))
    assert embedder.tokens(["A"]) == [b"a"]
    assert embedder.ground(x, [["red"]]) is None


@pytest.mark.parametrize(
    ("masks", "match"),
    [
        (None, "picture 0 of the batch has 1 boxes and no mask; mask_pool needs a mask for each"),
        (mask((0, 0, 9, 9)).astype(np.uint8), r"are uint8 \[1, 32, 32\], not bool \[1, 32, 32\]"),
        (mask((0, 0, 9, 9), size=(32, 30)), r"are bool \[1, 32, 30\], not bool \[1, 32, 32\]"),
        (mask((0, 0, 9, 9), (1, 1, 2, 2)), r"bool \[2, 32, 32\], not bool \[1, 32, 32\]"),
        (mask((0, 0, 0, 0)), "mask 0 of picture 0 of the batch is empty; leave the region out"),
    ],
)
def test_masks_that_are_none_are_refused_in_one_line(masks, match):
    with pytest.raises(UserError, match=match) as error:
        extractor(Cells()).prepare_masked([PICTURE], [BOX], [masks])
    assert "\n" not in str(error.value)


def test_without_masks_regions_are_refused():
    with pytest.raises(UserError, match="no mask; mask_pool needs a mask for each box; measure a"):
        extractor(Cells()).prepare([PICTURE], [BOX])


def test_an_encoder_without_patches_is_refused():
    with pytest.raises(UserError, match=r"^mask_pool: this encoder has no patches"):
        extractor(Oracle())
    with pytest.raises(UserError, match=r"^mask_pool: this tower pools by attention"):
        extractor(ModelEmbedder(make_model(SIGLIP, region_head=None)))
