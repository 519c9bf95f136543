"""What a model finds for phrases, and its drawing, on an embedder that reads what is painted."""

import numpy as np
import PIL.Image
import pytest

from cloc.errors import UserError
from cloc.models.embedder import ModelEmbedder
from cloc.models.show import CELLS, draw, found_boxes, heat_maps, see
from tests.helpers.models import make_model
from tests.helpers.oracle import SIZE, Constant, Oracle, painted

RED, BLUE = ("red", (2, 4, 12, 14)), ("blue", (20, 8, 30, 18))
BOX = np.array([[1, 2, 30, 18]])
GAP, TIMES = 8, 16  # around panels, and how often a small picture is enlarged


def test_found_boxes_are_pixels_one_a_phrase_cut_at_the_edges():
    image = painted(RED, BLUE)
    found = found_boxes(Oracle(), image, ["blue", "red"])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [BLUE[1], RED[1]], atol=1e-3)
    wide = image.crop((0, 0, SIZE, 20))  # the frame is more than the picture
    assert found_boxes(Constant(), wide, ["red"]).tolist() == [[0, 0, SIZE, 20]]
    assert found_boxes(Constant(grounds=False), image, ["red"]) is None


def test_a_heat_map_is_hottest_where_the_phrase_is():
    values = heat_maps(Oracle(), painted(RED, BLUE), ["red", "blue"])
    assert values.shape == (2, CELLS, CELLS)
    for heat, (_, box) in zip(values, (RED, BLUE), strict=True):
        row, column = np.unravel_index(heat.argmax(), heat.shape)
        x, y = (column + 0.5) * SIZE / CELLS, (row + 0.5) * SIZE / CELLS
        reach = 1.5 * SIZE / CELLS  # of the box whose similarity stands at its centre
        assert box[0] - reach <= x <= box[2] + reach
        assert box[1] - reach <= y <= box[3] + reach
    assert heat_maps(Oracle(), painted(RED), []).shape == (0, CELLS, CELLS)


def test_a_panel_per_phrase_side_by_side_and_without_one_the_boxes_alone():
    image = painted(RED, BLUE)
    side = SIZE * TIMES
    two = draw(image, see(Oracle(), image, ["red", "blue"]), [[1.0, 1.0, 9.0, 9.0]])
    assert two.size == (2 * side + 3 * GAP, side + 2 * GAP)
    none = draw(image, see(Oracle(), image, []), [[1.0, 1.0, 9.0, 9.0]])
    assert none.size == (side + 2 * GAP, side + 2 * GAP)
    plain = np.asarray(draw(image, see(Oracle(), image, [])))
    assert (np.asarray(none) != plain).any()


def test_a_loaded_model_shows_what_it_finds():
    """A picture of Pillow's; a phrase that is there twice has one panel."""
    model = ModelEmbedder(make_model())
    image = PIL.Image.new("RGBA", (40, 20), (255, 0, 0, 0))
    shown = model.show(image, ["a red star", "a red star", "a dog"], BOX)
    assert shown.mode == "RGB"
    assert shown.size == (2 * 512 + 3 * GAP, 256 + 2 * GAP)
    assert model.show(image, []).size == (512 + 2 * GAP, 256 + 2 * GAP)


def test_a_plain_clip_has_nothing_to_show_a_phrase_with():
    model = ModelEmbedder(make_model(region_head=None))
    image = PIL.Image.new("RGB", (40, 20))
    with pytest.raises(UserError, match="plain CLIP, without a region head; images"):
        model.show(image, ["a red star"])
    assert model.show(image, [], BOX).size == (512 + 2 * GAP, 256 + 2 * GAP)


def test_its_repr_says_what_it_is_on_one_line():
    said = repr(ModelEmbedder(make_model()))
    assert "\n" not in said
    assert "32 x 32 px" in said
    assert "region head" in said
    assert "no region head" in repr(ModelEmbedder(make_model(region_head=None)))
