"""Gallery pictures: one colour and number per region, true solid, predicted dashed."""

import numpy as np
import PIL.Image
import pytest

from cloc.drawing import colour
from cloc.report.gallery import GalleryItem, figure

BOXES = np.array([[10.0, 10, 50, 50], [60, 20, 90, 80]])


def item(**changes):
    plain = GalleryItem(
        image=PIL.Image.new("RGB", (100, 100), (90, 90, 90)),
        phrases=["cat", "dog"],
        boxes=BOXES,
        predicted=None,
        guesses=[],
        correct=[],
        heatmaps=[],
    )
    return plain._replace(**changes)


def test_a_region_has_one_colour_and_number_and_its_overlap():
    moved = BOXES + np.array([20, 0, 20, 0])
    shown = figure(item(predicted=moved, guesses=["cat", "cow"], correct=[True, False]))
    first, second = shown.lines
    assert (first.number, first.colour, first.phrase) == (1, colour(0), "cat")
    assert (second.number, second.guess, second.correct) == (2, "cow", False)
    assert first.iou == pytest.approx(800 / 2400)
    assert second.iou == pytest.approx(600 / 3000)
    assert shown.grounded


def test_without_grounding_there_is_no_overlap_and_another_picture():
    bare = figure(item())
    assert [line.iou for line in bare.lines] == [None, None]
    assert [line.correct for line in bare.lines] == [None, None]
    assert not bare.grounded
    assert bare.picture != figure(item(predicted=BOXES + 3)).picture


def test_a_predicted_box_that_is_not_finite_is_not_drawn_and_has_no_overlap():
    lost = BOXES.copy()
    lost[0, 0] = np.nan
    shown = figure(item(predicted=lost))
    assert [line.iou for line in shown.lines] == [0.0, 1.0]


def test_a_picture_without_regions_is_shown():
    empty = figure(item(phrases=[], boxes=np.zeros((0, 4))))
    assert empty.lines == ()
    assert empty.picture.startswith("data:image/jpeg")


def test_heatmaps_keep_their_phrases_and_cover_the_picture():
    maps = [("cat", np.eye(4)), ("dog", 1 - np.eye(4))]
    shown = figure(item(heatmaps=maps))
    assert [phrase for phrase, _ in shown.heatmaps] == ["cat", "dog"]
    assert shown.heatmaps[0][1] != shown.heatmaps[1][1]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"phrases": ["cat"]}, "1 phrases for 2 boxes"),
        ({"predicted": BOXES[:1]}, "1 predicted for 2 boxes"),
        ({"guesses": ["cat"], "correct": [True]}, "1 guesses, 1 correct for 2 boxes"),
        ({"guesses": ["cat", "dog"]}, "0 correct for 2 boxes"),
    ],
)
def test_one_of_each_per_box(changes, says):
    with pytest.raises(ValueError, match=says):
        figure(item(**changes))
