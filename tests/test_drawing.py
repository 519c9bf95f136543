"""Pictures for people: what is drawn lies where it should, and odd input does not stop a report."""

import base64
import io

import numpy as np
import PIL.Image
import pytest

from cloc.drawing import PALETTE, colour, contact_sheet, draw_boxes, heatmap, to_data_uri

GREY = (120, 120, 120)


def grey(width=200, height=100):
    return PIL.Image.new("RGB", (width, height), GREY)


def changed(image, before=GREY):
    """(x0, y0, x1, y1) around the pixels that are not the background any more."""
    where = (np.asarray(image).astype(int) != before).any(-1)
    ys, xs = np.nonzero(where)
    return (xs.min(), ys.min(), xs.max(), ys.max()) if len(xs) else None


def draw(image, boxes, **options):
    boxes = np.array(boxes, float).reshape(-1, 4)
    options = {"labels": [""] * len(boxes), "colours": ["#ff0000"] * len(boxes)} | options
    return draw_boxes(image, boxes, options.pop("labels"), options.pop("colours"), **options)


def test_a_box_lies_on_its_pixels():
    drawn = draw(grey(), [[40, 20, 120, 70]], long_side=200)
    assert np.abs(np.array(changed(drawn)) - [40, 20, 120, 70]).max() <= 3  # half a line and rim
    assert drawn.getpixel((80, 45)) == GREY  # nothing is filled
    red, green, _ = drawn.getpixel((40, 45))
    assert red > 200 > 60 > green


def test_a_small_image_is_enlarged_with_its_boxes_and_a_large_one_is_not():
    small = draw(grey(50, 25), [[10, 5, 30, 17.5]], long_side=200)
    assert small.size == (200, 100)
    assert np.abs(np.array(changed(small)) - [40, 20, 120, 70]).max() <= 3
    assert draw(grey(900, 300), [], long_side=512).size == (900, 300)


def test_the_given_image_is_not_changed():
    image = grey()
    draw(image, [[10, 10, 50, 50]], labels=["cat"])
    assert changed(image) is None


def test_boxes_are_clipped_to_the_image():
    drawn = np.asarray(draw(grey(), [[-50, -50, 500, 500]], long_side=200)).astype(int)
    for edge in (drawn[0], drawn[-1], drawn[:, 0], drawn[:, -1]):
        assert (edge != GREY).any(-1).all()


def test_a_box_that_is_not_finite_is_left_out():
    assert changed(draw(grey(), [[10, np.nan, 50, 50], [1, 1, np.inf, 9]], long_side=200)) is None


def test_a_reversed_or_empty_box_does_not_stop_the_drawing():
    drawn = draw(grey(), [[120, 70, 40, 20], [5, 5, 5, 5]], labels=["a", "b"], dashed=[True] * 2)
    assert changed(drawn) is not None


def test_a_dashed_box_has_gaps_and_a_solid_one_has_none():
    box = [[40, 20, 160, 80]]
    top = {
        name: np.asarray(draw(grey(), box, dashed=dashed, long_side=200))[20, 45:155]
        for name, dashed in (("solid", []), ("dashed", [True]))
    }
    share = {name: (row != GREY).any(-1).mean() for name, row in top.items()}
    assert share["solid"] == 1
    assert 0.3 < share["dashed"] < 0.9


def test_an_empty_label_draws_no_tag_and_a_label_stays_inside_the_image():
    bare = draw(grey(), [[150, 2, 198, 60]], long_side=200)
    named = draw(grey(), [[150, 2, 198, 60]], labels=["teapot"], long_side=200)
    plate = (np.asarray(named) == (255, 0, 0)).all(-1).sum()
    assert plate > (np.asarray(bare) == (255, 0, 0)).all(-1).sum() + 200
    assert named.size == (200, 100)


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="1 boxes, 2 labels, 1 colours"):
        draw(grey(), [[1, 1, 9, 9]], labels=["a", "b"])


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-300, -7), (1e-9, 2e-9)])
def test_a_heatmap_may_have_any_range(low, high):
    values = np.full((4, 8), float(low))
    values[1, 6] = high
    lit = np.asarray(heatmap(grey(), values, long_side=200)).astype(int).sum(-1)
    y, x = np.unravel_index(lit.argmax(), lit.shape)
    assert (x // 25, y // 25) == (6, 1)
    assert np.allclose(lit, np.asarray(heatmap(grey(), values * 2 + 5, long_side=200)).sum(-1))


def test_values_that_are_not_finite_count_as_the_lowest_and_constants_are_dark():
    dark = np.asarray(heatmap(grey(), np.full((3, 3), 7.0)))
    assert (dark == dark[0, 0]).all()
    assert dark.mean() < np.mean(GREY)
    assert (np.asarray(heatmap(grey(), np.full((3, 3), np.nan))) == dark).all()
    values = np.arange(9.0).reshape(3, 3)
    lowest, lost = values.copy(), values.copy()
    lost[0, 0] = np.nan
    lowest[0, 0] = 1  # the lowest of the rest
    assert (np.asarray(heatmap(grey(), lost)) == np.asarray(heatmap(grey(), lowest))).all()


def test_alpha_is_the_opacity_of_the_brightest_place():
    values = np.eye(2)
    assert changed(heatmap(grey(), values, alpha=0.0, long_side=200)) is None
    brightest = np.asarray(heatmap(grey(), values, alpha=1.0, long_side=200))[2, 2]
    assert np.abs(brightest.astype(int) - (252, 253, 170)).max() <= 2


def test_a_heatmap_needs_two_axes():
    with pytest.raises(ValueError, match=r"shape \[3\], expected \[h w\]"):
        heatmap(grey(), np.zeros(3))


def test_a_contact_sheet_holds_every_image_in_rows():
    reds = [PIL.Image.new("RGB", (20, 10 + i), (200 + i, 0, 0)) for i in range(5)]
    sheet = contact_sheet(reds, 2, gap=4)
    assert sheet.size == (2 * 20 + 3 * 4, 3 * 14 + 4 * 4)
    found = {pixel for _, pixel in sheet.getcolors(10_000)}
    assert {(200 + i, 0, 0) for i in range(5)} < found
    with pytest.raises(ValueError, match="0 images"):
        contact_sheet([], 3)


@pytest.mark.parametrize(("lossless", "form"), [(True, "PNG"), (False, "JPEG")])
def test_a_data_uri_is_the_picture(lossless, form):
    head, _, body = to_data_uri(grey(), lossless=lossless).partition(",")
    image = PIL.Image.open(io.BytesIO(base64.b64decode(body)))
    assert (head, image.format, image.size) == (
        f"data:image/{form.lower()};base64",
        form,
        (200, 100),
    )


def test_colours_start_again_after_the_last():
    assert colour(len(PALETTE)) == colour(0) != colour(1)
