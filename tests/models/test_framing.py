"""Pictures and boxes in an encoder's frame; of a box that a crop cuts, what is inside."""

import numpy as np
import PIL.Image
import pytest

from cloc.frame import Framing, hidden, into_frame, visible
from cloc.models.framing import in_frame


def test_boxes_that_a_crop_cuts_are_cut_and_counted():
    framing = Framing("crop", 100)
    frame = framing.place(400, 200)  # shows the columns from 100 to 300
    boxes = np.array([[100, 0, 300, 200], [0, 0, 150, 100], [0, 0, 90, 50]], np.float32)
    seen = visible(into_frame(boxes, (400, 200), frame), frame)
    assert seen[:2] == pytest.approx(np.array([[0, 0, 1, 1], [0, 0, 0.25, 0.5]]), abs=1e-6)
    assert seen[2].tolist() == pytest.approx([0, 0, 0.01, 0.25])  # a pixel at the nearest edge
    assert hidden(boxes, (400, 200), frame).tolist() == pytest.approx([0, 2 / 3, 1], abs=1e-6)
    thin = np.array([[0.5, 0.2, 0.502, 0.9]], np.float32)
    assert visible(thin, frame) == pytest.approx(thin)  # thinner than a pixel, and inside


def test_a_batch_of_pictures_and_boxes_padded_to_the_longest_list():
    white = PIL.Image.new("RGBA", (40, 20), (9, 9, 9, 0))
    boxes = [np.array([[0, 0, 20, 20], [10, 0, 40, 10]], np.float32), np.zeros((0, 4), np.float32)]
    for geometry, wanted in (
        ("pad", [[0, 0.25, 0.5, 0.75], [0.25, 0.25, 1, 0.5]]),
        ("squash", [[0, 0, 0.5, 1], [0.25, 0, 1, 0.5]]),
        ("crop", [[0, 0, 0.5, 1], [0, 0, 1, 0.5]]),
    ):
        framing = Framing(geometry, 8)
        prepared = in_frame([white, white], boxes, framing=framing, background=(1, 2, 3))
        assert prepared.images.shape == (2, 3, 8, 8)
        assert prepared.images[0, :, 4, 4].tolist() == [1, 2, 3]
        assert prepared.boxes[0].numpy() == pytest.approx(np.array(wanted))
        assert prepared.valid.tolist() == [[True, True], [False, False]]
