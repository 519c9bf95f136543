"""Every region is a picture of its own, of the original pixels, and only real ones are embedded."""

import numpy as np
import PIL.Image
import pytest
import torch

from cloc.eval.extractors import image_space
from cloc.eval.extractors.crop import crops
from cloc.eval.extractors.image_space import ImageSpaceEmbedder, pixels_of
from cloc.interfaces import Embedder
from tests.helpers.oracle import SIZE, Oracle, example

A = example(("red", (0, 0, 8, 8)), ("blue", (16, 16, 24, 32)))
B = example(("green", (4, 4, 12, 12)))


def prepared(*examples, inner=None, **options):
    embedder = ImageSpaceEmbedder(inner or Oracle(), crops, **options)
    return embedder.prepare([e.image for e in examples], [e.boxes for e in examples])


class Counting(Oracle):
    """Notes how many pictures each call prepares and embeds."""

    def __init__(self):
        self.prepared, self.calls = [], []

    def prepare(self, images, boxes):
        self.prepared.append(len(images))
        return super().prepare(images, boxes)

    def images(self, x):
        self.calls.append(len(x))
        return super().images(x)


class Cutting(Oracle):
    """Says of every box that it is outside of the frame."""

    def prepare(self, images, boxes):
        found = super().prepare(images, boxes)
        return found._replace(valid=found.valid & False)


def test_is_an_embedder():
    assert isinstance(ImageSpaceEmbedder(Oracle(), crops), Embedder)


def test_the_whole_image_then_its_crops_then_black():
    x, boxes, valid = prepared(A, B)
    whole = Oracle().prepare([A.image, B.image], [A.boxes, B.boxes])
    assert x.shape == (2, 3, SIZE, SIZE, 3)
    torch.testing.assert_close(x[:, 0], whole.images)
    torch.testing.assert_close(boxes, whole.boxes)
    assert valid.tolist() == [[True, True], [True, False]]
    assert (x[0, 1] == torch.tensor([255, 0, 0])).all()  # a square crop fills the frame
    assert (x[0, 2, :, 12:20] == torch.tensor([0, 0, 255])).all()  # 8 x 16 in the middle of it
    assert (x[1, 2] == 0).all()


def test_crops_keep_the_detail_of_the_original_pixels():
    fine = np.zeros((256, 256, 3), np.uint8)
    fine[:32:2, :32] = 255  # lines that the frame of 32 pixels cannot show
    x, _, _ = ImageSpaceEmbedder(Oracle(), crops).prepare(
        [PIL.Image.fromarray(fine)], [np.array([[0, 0, 32, 32]], np.float32)]
    )
    assert x[0, 1, ::2].min() == 255
    assert x[0, 1, 1::2].max() == 0


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_regions_are_the_embeddings_of_the_crops(batch_size):
    inner = Counting()
    embedder = ImageSpaceEmbedder(inner, crops, batch_size=batch_size)
    x, boxes, valid = prepared(A, B, inner=inner, batch_size=batch_size)
    torch.testing.assert_close(x, prepared(A, B).images)
    assert inner.prepared[0] == 2  # the whole pictures
    assert max(inner.prepared[1:]) <= batch_size
    found = embedder.regions(x, boxes, valid)
    assert found[0, :, :4].argmax(1).tolist() == [0, 2]
    assert found[1, 0, :4].argmax() == 1
    assert sum(inner.calls) == 3  # only valid crops are encoded
    assert max(inner.calls) <= batch_size
    assert (found[1, 1] == 0).all()


def test_of_large_views_a_few_are_made_and_embedded_at_a_time(monkeypatch):
    inner = Counting()
    monkeypatch.setattr(image_space, "VIEW_BYTES", 3 * 8 * 8 + 1)  # the first of A and another
    x = prepared(A, B, inner=inner).images
    assert inner.prepared[2:] == [2, 1]  # behind the whole pictures and the black one
    inner.calls.clear()
    _, boxes, valid = prepared(A, B)
    monkeypatch.setattr(image_space, "VIEW_BYTES", 2 * 3 * SIZE * SIZE + 1)
    found = ImageSpaceEmbedder(inner, crops).regions(x, boxes, valid)
    assert inner.calls == [2, 1]
    monkeypatch.undo()
    torch.testing.assert_close(found, ImageSpaceEmbedder(inner, crops).regions(x, boxes, valid))
    torch.testing.assert_close(x, prepared(A, B).images)


def test_without_any_valid_crop_there_are_only_zeros():
    embedder = ImageSpaceEmbedder(Oracle(), crops)
    x, boxes, valid = prepared(A, B)
    assert embedder.regions(x, boxes, valid & False).shape == (2, 2, 21)
    x, boxes, valid = prepared(example(), example())
    assert embedder.regions(x, boxes, valid).shape == (2, 0, 21)


def test_texts_and_whole_images_pass_through_and_it_cannot_ground():
    embedder = ImageSpaceEmbedder(Oracle(), crops)
    x, _, _ = prepared(A, B)
    torch.testing.assert_close(embedder.images(x), Oracle().images(x[:, 0]))
    torch.testing.assert_close(embedder.texts(["red"]), Oracle().texts(["red"]))
    assert embedder.ground(x, [["red"], ["blue"]]) is None


def test_a_box_outside_of_the_encoders_frame_is_still_a_picture():
    x, boxes, valid = prepared(A, B, inner=Cutting())
    assert valid.tolist() == [[True, True], [True, False]]
    found = ImageSpaceEmbedder(Cutting(), crops).regions(x, boxes, valid)
    assert found[0, :, :4].argmax(1).tolist() == [0, 2]


def test_what_stands_in_a_padded_slot_changes_nothing():
    embedder = ImageSpaceEmbedder(Oracle(), crops)
    x, boxes, valid = prepared(A, B)
    found = embedder.regions(x, boxes, valid)
    x[1, 2], boxes[1, 1] = 255, 0.5
    torch.testing.assert_close(embedder.regions(x, boxes, valid), found)


@pytest.mark.parametrize(
    ("box", "pixels"),
    [
        ((3.4, 3.6, 9.5001, 8.4), (3, 4, 10, 8)),
        ((3.6, 3.6, 4.4, 4.4), (4, 4, 5, 5)),  # zero pixels after rounding
        ((31.6, 31.7, 32, 32), (31, 31, 32, 32)),  # at the border
        ((-3, -2, 4, 5), (0, 0, 4, 5)),
        ((30, 30, 40, 50), (30, 30, 32, 32)),
    ],
)
def test_pixels_are_cut_at_the_border_and_at_least_one(box, pixels):
    assert pixels_of(np.array(box, np.float32), (32, 32)) == pixels
