"""What the region demo prints and draws."""

import numpy as np
import PIL.Image
import pytest

from cloc.cli.tasks import region_answers
from cloc.cli.tasks.region_answers import picture, table
from tests.helpers.oracle import SIZE, Constant, Oracle, painted

RED, BLUE = ("red", (2, 4, 12, 14)), ("blue", (20, 8, 30, 18))
GAP, TIMES = 8, 16  # between panels, and how often a small picture is enlarged
TEAL, ORANGE = (0, 194, 168), (255, 122, 26)  # of predicted and of given boxes


def panels(height, things=(RED, BLUE), boxes=(), embedder=None):
    """The picture of "red" and "blue", of which the upper `height` rows are kept."""
    image = painted(*things).crop((0, 0, SIZE, height))
    found, told = picture(embedder or Oracle(), image, ["red", "blue"], boxes)
    assert found.size == (2 * SIZE * TIMES + 3 * GAP, height * TIMES + 2 * GAP)
    pixels, side = np.asarray(found).astype(int), SIZE * TIMES
    starts = GAP, 2 * GAP + side
    return [pixels[GAP : GAP + height * TIMES, at : at + side] for at in starts], told


def has_edge(panel, box, colour):
    """The line is there, on all four sides of the box."""
    x0, y0, x1, y1 = (x * TIMES for x in box)
    near = np.abs(panel - colour).max(-1) < 40
    rims = near[y0 : y0 + 4, x0:x1], near[y1 - 4 : y1 + 4, x0:x1]
    rims += near[y0:y1, x0 : x0 + 4], near[y0:y1, x1 - 4 : x1 + 4]
    return all(rim.any(0).mean() > 0.2 or rim.any(1).mean() > 0.2 for rim in rims)


@pytest.mark.parametrize("height", [SIZE, 20])
def test_a_panel_is_bright_and_has_its_predicted_box_where_the_phrase_is(height):
    """Also where the frame is padded."""
    found, told = panels(height)
    for panel, (_, box), other in zip(found, (RED, BLUE), (BLUE, RED), strict=True):
        x0, y0, x1, y1 = (x * TIMES for x in box)
        middle = panel[y0 + 40 : y1 - 40, x0 + 40 : x1 - 40].mean()
        x0, y0, x1, y1 = (x * TIMES for x in other[1])
        assert middle > 1.3 * panel[y0 + 40 : y1 - 40, x0 + 40 : x1 - 40].mean()
        assert has_edge(panel, box, TEAL)
        assert not has_edge(panel, other[1], TEAL)
    assert "red: 0.0" in told[0]
    assert "predicted at 2,4,12,14" in told[0]
    assert "predicted at 20,8,30,18" in told[1]


def test_given_boxes_are_drawn_too():
    found, _ = panels(SIZE, boxes=[[14.0, 20.0, 30.0, 30.0]])
    assert all(has_edge(panel, (14, 20, 30, 30), ORANGE) for panel in found)


def test_without_a_box_head_there_is_no_predicted_box():
    found, told = panels(SIZE, embedder=Constant(grounds=False))
    assert not any(has_edge(panel, (0, 0, SIZE, SIZE), TEAL) for panel in found)
    assert all("no predicted box: this model has no box head" in line for line in told)


def test_the_table_is_the_similarity_with_the_image_and_with_each_box():
    boxes = [list(map(float, box)) for _, box in (RED, BLUE)]
    rows = table(Oracle(), painted(RED, BLUE), ["red", "a blue"], boxes).splitlines()
    assert rows[0].split() == ["image", "box", "1", "box", "2"]
    found = [[float(x) for x in row[len("a blue") :].split()] for row in rows[1:]]
    assert rows[1].startswith("red ")
    assert found[0][1] > 0.7 > 0.01 > found[0][2]
    assert found[1][2] > 0.7 > 0.01 > found[1][1]


def test_a_photograph_is_upright_as_whoever_gives_a_box_sees_it(tmp_path):
    stored = PIL.Image.new("RGB", (40, 30))
    stored.paste((255, 0, 0), (0, 0, 20, 30))
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    stored.save(tmp_path / "phone.jpg", exif=exif, quality=95)
    stored.save(tmp_path / "plain.jpg", quality=95)
    upright = np.asarray(region_answers._read(tmp_path / "phone.jpg"))
    plain = np.asarray(region_answers._read(tmp_path / "plain.jpg"))
    assert upright.shape == (40, 30, 3)
    assert (upright == np.rot90(plain, -1)).all()
