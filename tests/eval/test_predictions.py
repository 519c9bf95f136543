"""One example through an embedder that reads what is painted: guesses, boxes and heatmaps."""

import numpy as np
import PIL.Image
import pytest

from cloc.eval.predictions import look, pictures
from cloc.models.embedder import ModelEmbedder
from tests.helpers.models import make_model
from tests.helpers.oracle import SIZE, Constant, LowerCase, Oracle, example

RED, BLUE = ("red", (2, 4, 12, 14)), ("blue", (20, 8, 30, 18))
SHAPES = [(SIZE, 1), (20, 1), (20, 3)]  # height of what is kept, and how often it is enlarged


def shaped(shown, height, times):
    """The upper part of the picture, enlarged: the frame then pads it and scales it down again."""
    image = shown.image.crop((0, 0, SIZE, height)).resize(
        (SIZE * times, height * times), PIL.Image.Resampling.NEAREST
    )
    return shown._replace(image=image, boxes=shown.boxes * np.float32(times))


def test_guesses_are_the_nearest_phrase_of_the_image():
    item = look(Oracle(), example(RED, BLUE))
    assert item.guesses == ["red", "blue"]
    assert item.correct == [True, True]
    swapped = look(Oracle(), example(RED, BLUE, phrases=["blue", "red"]))
    assert swapped.guesses == ["red", "blue"]
    assert swapped.correct == [False, False]
    (same,) = set(look(Constant(), example(RED, BLUE)).guesses)
    assert same == "red"


@pytest.mark.parametrize(("height", "times"), SHAPES)
def test_predicted_boxes_are_pixels_of_the_image(height, times):
    """Also where the frame is padded and scaled; one box per region, repeated phrases included."""
    shown = shaped(example(RED, BLUE, RED), height, times)
    item = look(Oracle(), shown)
    assert item.predicted.dtype == np.float32
    blurred = times if times > 1 else 0  # scaling down mixes the outermost pixel with black
    np.testing.assert_allclose(item.predicted, shown.boxes, rtol=0, atol=blurred + 1e-3)


def test_predicted_boxes_end_at_the_image():
    """The whole padded frame is more than the image."""
    item = look(Constant(), shaped(example(RED), 20, 2))
    assert item.predicted.tolist() == [[0, 0, 64, 40]]
    assert look(Constant(grounds=False), example(RED)).predicted is None


@pytest.mark.parametrize(("height", "times"), SHAPES)
def test_heatmaps_peak_where_the_object_lies(height, times):
    shown = shaped(example(RED, BLUE), height, times)
    item = look(Oracle(), shown, heatmaps=2, cells=16)
    assert [phrase for phrase, _ in item.heatmaps] == ["red", "blue"]
    cell = np.array(shown.image.size) / 16
    for (_, values), box in zip(item.heatmaps, shown.boxes, strict=True):
        assert values.shape == (16, 16)
        row, column = np.unravel_index(values.argmax(), values.shape)
        peak = (np.array([column, row]) + 0.5) * cell
        reach = 1.5 * cell + times  # of the box around a cell, and its rounding to frame pixels
        assert (box[:2] - reach < peak).all()
        assert (peak < box[2:] + reach).all()
        column, row = ((box[:2] + box[2:]) / 2 / cell).astype(int)
        assert values[row, column] == values.max() > values.min()


def test_as_many_heatmaps_as_asked_of_the_first_phrases():
    shown = example(RED, BLUE, RED)
    assert len(look(Oracle(), shown).heatmaps) == 2  # red only once
    assert [p for p, _ in look(Oracle(), shown, heatmaps=1).heatmaps] == ["red"]


@pytest.mark.parametrize("make", [Constant, lambda: ModelEmbedder(make_model())])
def test_an_image_without_regions_has_nothing_to_show(make):
    item = look(make(), example())
    assert (item.guesses, item.correct, item.heatmaps) == ([], [], [])
    assert item.predicted.shape == (0, 4)


def test_a_trained_models_answers_have_the_right_shapes():
    item = look(ModelEmbedder(make_model()), shaped(example(RED, BLUE), 20, 2), cells=4)
    assert item.predicted.shape == (2, 4)
    assert (item.predicted >= 0).all()
    assert (item.predicted <= [64, 40, 64, 40]).all()
    assert [values.shape for _, values in item.heatmaps] == [(4, 4)] * 2


def test_pictures_draw_both_kinds_of_boxes_and_the_heatmaps():
    item = look(Oracle(), example(RED, BLUE))
    found = pictures([item, item])
    assert {name: len(sheets) for name, sheets in found.items()} == {
        "pictures/boxes": 1,
        "pictures/heatmaps": 1,
    }
    far = item._replace(predicted=item.predicted + 3)  # else the true boxes lie on the predicted
    sheets = [
        pictures([shown])["pictures/boxes"][0].tobytes()
        for shown in (item, far, far._replace(predicted=None), far._replace(boxes=far.boxes + 1))
    ]
    assert len({hash(sheet) for sheet in sheets}) == 3  # the first and third look alike
    assert hash(sheets[0]) == hash(sheets[2])
    without = look(Constant(grounds=False), example(RED, BLUE), heatmaps=0)
    assert set(pictures([without])) == {"pictures/boxes"}
    assert pictures([]) == {}


def test_phrases_that_are_read_alike_are_one_guess():
    item = look(LowerCase(), example(RED, BLUE, phrases=("RED", "blue")), cells=2)
    again = look(LowerCase(), example(RED, RED, phrases=("Red", "red")), heatmaps=0, cells=2)
    assert (item.correct, item.guesses) == ([True, True], ["RED", "blue"])
    assert (again.correct, again.guesses) == ([True, True], ["Red", "Red"])
    assert again.predicted is not None
    assert (again.predicted[0] == again.predicted[1]).all()
