"""Crops come from the original pixels, and only the real ones are embedded."""

import numpy as np
import PIL.Image
import pytest
import torch

from cloc.eval.benchmarks.region_classification import RegionClassification
from cloc.eval.extractors.crop import CropEmbedder, crop
from cloc.interfaces import Embedder
from tests.helpers.oracle import SIZE, Constant, Oracle, example, split

A = example(("red", (0, 0, 8, 8)), ("blue", (16, 16, 24, 32)))
B = example(("green", (4, 4, 12, 12)))


def prepared(*examples):
    return CropEmbedder(Oracle()).prepare([e.image for e in examples], [e.boxes for e in examples])


class Counting(Oracle):
    """Notes how many pictures each call embeds."""

    def __init__(self):
        self.calls = []

    def images(self, x):
        self.calls.append(len(x))
        return super().images(x)


def test_is_an_embedder():
    assert isinstance(CropEmbedder(Oracle()), Embedder)


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
    x, _, _ = CropEmbedder(Oracle()).prepare(
        [PIL.Image.fromarray(fine)], [np.array([[0, 0, 32, 32]], np.float32)]
    )
    assert x[0, 1, ::2].min() == 255
    assert x[0, 1, 1::2].max() == 0


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_regions_are_the_embeddings_of_the_crops(batch_size):
    inner = Counting()
    embedder = CropEmbedder(inner, batch_size=batch_size)
    x, boxes, valid = prepared(A, B)
    found = embedder.regions(x, boxes, valid)
    assert found[0, :, :4].argmax(1).tolist() == [0, 2]
    assert found[1, 0, :4].argmax() == 1
    assert sum(inner.calls) == 3  # only valid crops are encoded
    assert max(inner.calls) <= batch_size
    assert (found[1, 1] == 0).all()


def test_without_any_valid_crop_there_are_only_zeros():
    embedder = CropEmbedder(Oracle())
    x, boxes, valid = prepared(A, B)
    assert embedder.regions(x, boxes, valid & False).shape == (2, 2, 21)
    x, boxes, valid = prepared(example(), example())
    assert embedder.regions(x, boxes, valid).shape == (2, 0, 21)


def test_texts_and_whole_images_pass_through_and_it_cannot_ground():
    embedder = CropEmbedder(Constant())
    x, _, _ = prepared(A, B)
    torch.testing.assert_close(CropEmbedder(Oracle()).images(x), Oracle().images(x[:, 0]))
    torch.testing.assert_close(CropEmbedder(Oracle()).texts(["red"]), Oracle().texts(["red"]))
    assert embedder.ground(x, [["red"], ["blue"]]) is None


@pytest.mark.parametrize(
    ("box", "size"),
    [
        ((3.4, 3.6, 9.5001, 8.4), (7, 4)),
        ((3.6, 3.6, 4.4, 4.4), (1, 1)),  # zero pixels after rounding
        ((31.6, 31.7, 32, 32), (1, 1)),  # at the border
        ((-3, -2, 4, 5), (4, 5)),
        ((30, 30, 40, 50), (2, 2)),
    ],
)
def test_a_crop_is_cut_at_the_border_and_at_least_one_pixel(box, size):
    found = crop(PIL.Image.new("RGB", (32, 32), (9, 9, 9)), np.array(box, np.float32))
    assert found.size == size
    assert np.asarray(found).min() == 9  # nothing from outside the image


def test_an_oracle_on_crops_is_perfect():
    found = RegionClassification().run(CropEmbedder(Oracle()), split(A, B))
    assert (found["top1"], found["within_image"]) == (1, 1)
