"""The pictures of the frame check: painted where their boxes say, and of every kind."""

import numpy as np
import PIL.ImageOps
import pytest

from cloc.eval.conformance_corpus import CORPUS, GROUND, MARKER, NUM_PICTURES


@pytest.mark.parametrize("sheet", CORPUS, ids=lambda sheet: sheet.name)
def test_a_marker_is_exactly_its_box_of_the_upright_picture(sheet):
    levels = 5 if sheet.format == "JPEG" else 0
    for shown, (x0, y0, x1, y1) in enumerate(sheet.boxes):
        picture = sheet.picture(shown)
        assert (picture.format, picture.size) == (sheet.format, sheet.stored_size)
        pixels = np.asarray(PIL.ImageOps.exif_transpose(picture)).astype(int)
        expected = np.full((sheet.height, sheet.width, 3), GROUND)
        expected[y0:y1, x0:x1] = MARKER
        assert np.abs(pixels - expected).max() <= levels
        ground = np.asarray(PIL.ImageOps.exif_transpose(sheet.picture(None))).astype(int)
        assert np.abs(ground - GROUND).max() <= levels


def test_the_corpus_holds_every_kind():
    assert 60 <= NUM_PICTURES <= 70
    aspects = [sheet.width / sheet.height for sheet in CORPUS]
    assert (min(aspects), max(aspects)) == (1 / 8, 8)
    assert {sheet.orientation for sheet in CORPUS} == {*range(1, 9)}
    assert {len(sheet.boxes) for sheet in CORPUS} == {1, 2, 3}
    assert any(sheet.width % 2 and sheet.height % 2 for sheet in CORPUS)
    assert min(min(sheet.width, sheet.height) for sheet in CORPUS) > 1
    boxes = [(box, sheet) for sheet in CORPUS for box in sheet.boxes]
    assert all(
        0 <= x0 < x1 <= s.width and 0 <= y0 < y1 <= s.height for (x0, y0, x1, y1), s in boxes
    )
    assert any(box == (0, 0, s.width, s.height) for box, s in boxes)
    assert any(max(x1 - x0, y1 - y0) <= 4 for (x0, y0, x1, y1), _ in boxes)
    assert any(x1 - x0 == 1 for (x0, _, x1, _), _ in boxes)


def test_no_box_is_its_own_mirror_so_that_no_turn_goes_unseen():
    for sheet in CORPUS:
        if sheet.orientation != 1:
            width, height = sheet.width, sheet.height
            for x0, y0, x1, y1 in sheet.boxes:
                assert (x0, x1) != (width - x1, width - x0)
                assert (y0, y1) != (height - y1, height - y0)


def test_overshoot_of_a_sharpening_filter_is_not_cut_off():
    contrast = np.abs(np.array(MARKER) - GROUND)
    assert (contrast >= 40).all()
    assert (np.maximum(MARKER, GROUND) + 0.15 * contrast).max() <= 255
    assert (np.minimum(MARKER, GROUND) - 0.15 * contrast).min() >= 0
