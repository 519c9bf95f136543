"""Edges of a marker, blurred by every filter of Pillow's, against where they are by arithmetic."""

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloc.eval.conformance_corpus import Sheet
from cloc.eval.conformance_edges import Row, cover_of, seen

FILTERS = [PIL.Image.Resampling[name] for name in ("BILINEAR", "BICUBIC", "HAMMING", "LANCZOS")]
GROUND, MARKER = np.array([64.0, 96, 64]), np.array([208.0, 48, 192])


def scaled(size, box, frame, kind):
    """Cover [h, w] of a marker in a picture of `size` that was resized to `frame`."""
    pixels = np.tile(GROUND.astype(np.uint8), (size[1], size[0], 1))
    ground = PIL.Image.fromarray(pixels).resize(frame, kind)
    pixels = pixels.copy()
    pixels[box[1] : box[3], box[0] : box[2]] = MARKER
    image = PIL.Image.fromarray(pixels).resize(frame, kind)
    shown, plain = (np.asarray(x, np.float64).transpose(2, 0, 1) for x in (image, ground))
    return cover_of(shown, plain, MARKER - GROUND)


@settings(max_examples=40)
@given(
    st.integers(60, 200),
    st.integers(60, 200),
    st.integers(40, 250),
    st.integers(40, 250),
    st.integers(0, 19),
    st.integers(0, 19),
    st.sampled_from(FILTERS),
)
def test_edges_are_known_whatever_blurs_them(width, height, w, h, x0, y0, kind):
    box = (x0, y0, x0 + width // 2, y0 + height // 2)
    scale = np.array([w / width, h / height])
    found = seen(scaled((width, height), box, (w, h), kind), (width // 2, height // 2))
    assert found.sharp
    off = np.abs(found.box - np.array(box) * np.tile(scale, 2)) / np.maximum(np.tile(scale, 2), 1)
    assert off.max() < 0.1  # of pixels of the coarser of the two


@pytest.mark.parametrize("kind", FILTERS)
def test_a_line_of_less_than_a_pixel_has_edges_if_it_is_long(kind):
    found = seen(scaled((400, 300), (210, 30, 212, 270), (100, 75), kind), (2, 240))
    assert found.sharp
    assert found.box == pytest.approx([52.5, 7.5, 53, 67.5], abs=0.15)


@pytest.mark.parametrize("kind", FILTERS)
def test_a_speck_has_a_middle_and_an_area(kind):
    found = seen(scaled((400, 300), (210, 130, 214, 133), (100, 75), kind), (4, 3))
    assert not found.sharp
    assert found.centre == pytest.approx([53, 32.875], abs=0.1)
    assert found.area == pytest.approx(0.75, abs=0.1)


def test_what_the_frame_cuts_is_seen_up_to_its_edge():
    cover = scaled((100, 100), (10, 20, 70, 90), (100, 100), PIL.Image.Resampling.BICUBIC)
    found = seen(cover[:60, 30:], (60, 70))
    assert found.box == pytest.approx([0, 20, 40, 60])
    assert found.cut == (True, False, False, True)


def test_what_is_not_there_has_no_place():
    found = seen(np.zeros((5, 5)), (3, 3))
    assert (found.area, found.sharp) == (0, False)
    assert np.isnan(found.centre).all()


def test_colours_may_be_normalised_swapped_or_grey():
    box, frame = (10, 20, 60, 70), (50, 50)
    plain = scaled((100, 100), box, frame, PIL.Image.Resampling.BICUBIC)
    mixes = [np.diag([0.1, 3, 0.7]), np.eye(3)[::-1], np.full((3, 3), 1 / 3)]
    for mix in mixes:
        shown = np.tensordot(
            mix, GROUND[:, None, None] + (MARKER - GROUND)[:, None, None] * plain, 1
        )
        ground = np.broadcast_to((mix @ GROUND)[:, None, None], shown.shape)
        assert cover_of(shown, ground, mix @ (MARKER - GROUND)) == pytest.approx(plain)


def row(given, *, valid=True, frame=(50, 50), box=(10, 20, 60, 70)):
    sheet = Sheet("a", 100, 100, (box,))
    cover = scaled((100, 100), box, frame, PIL.Image.Resampling.BILINEAR)
    found = seen(cover, (box[2] - box[0], box[3] - box[1]))
    return Row(sheet, 0, frame, np.array(given, float), valid, found)


def test_a_row_tells_the_edge_that_is_the_farthest_off():
    assert row([5, 10, 30, 35]).problem() == ""
    assert row([5.5, 10, 30, 35]).problem() == ""
    assert row([4, 10, 30, 36]).problem() == "has its left edge 1.0 px too far left"
    assert row([5, 10, 30, 38]).problem() == "has its bottom edge 3.0 px too far down"
    assert row([5, 10, np.nan, 35]).problem() == "is not finite"
    assert "called invalid" in row([5, 10, 30, 35], valid=False).problem()
    hidden = row([5, 10, 30, 35])._replace(seen=seen(np.zeros((50, 50)), (50, 50)))
    assert hidden.problem() == "is 25.0 x 25.0 px where nothing is painted"
    assert hidden._replace(given=np.array([50.0, 10, 60, 35])).problem() == ""
    sliver = np.array([0, 10, np.float32(1 / 50) * 50 + 1e-7, 35])  # a pixel, in float32
    assert hidden._replace(given=sliver).problem() == ""
    assert "nothing is painted" in hidden._replace(given=sliver * [1, 1, 1.1, 1]).problem()
    assert hidden._replace(valid=False).problem() == ""


def test_a_speck_of_the_wrong_place_or_size_is_told():
    speck = {"box": (40, 40, 44, 43)}
    assert row([20, 20, 22, 21.5], **speck).problem() == ""
    assert row([21, 20, 23, 21.5], **speck).problem() == "has its middle 1.0 px too far right"
    assert row([20, 21, 22, 22.5], **speck).problem() == "has its middle 1.0 px too far down"
    assert row([16, 16, 26, 25.5], **speck).problem().startswith("covers 95.0 px², the marker 3.")


def test_an_edge_may_be_off_by_more_only_where_the_picture_is_enlarged():
    assert {*row([5, 10, 30, 35]).limits().values()} == {0.55}
    large = row([50, 100, 300, 350], frame=(500, 500))
    assert [*large.limits().values()] == pytest.approx([0.5 + 5 * 0.05] * 4, abs=0.01)
    near = row([0, 100, 300, 350], frame=(500, 500), box=(0, 20, 60, 70))
    assert near.limits()["left"] == pytest.approx(0.5 + 5 * 0.175, abs=0.02)
