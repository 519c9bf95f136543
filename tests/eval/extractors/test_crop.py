"""A crop is the pixels of its box."""

import numpy as np
import PIL.Image

from cloc.eval.benchmarks.region_classification import RegionClassification
from cloc.eval.extractors.crop import crop, crops, extractor
from cloc.interfaces import Embedder
from tests.helpers.oracle import Oracle, example, split

A = example(("red", (0, 0, 8, 8)), ("blue", (16, 16, 24, 32)))
B = example(("green", (4, 4, 12, 12)))


def test_a_crop_holds_its_box_alone_and_nothing_from_outside_the_picture():
    picture = PIL.Image.new("RGB", (32, 20), (9, 9, 9))
    found = crop(picture, np.array((28.4, -3, 40, 7.6), np.float32))
    assert found.size == (4, 8)
    assert np.asarray(found).min() == 9
    first, second = crops(A.image, A.boxes)
    assert (np.asarray(first) == (255, 0, 0)).all()
    assert (np.asarray(second) == (0, 0, 255)).all()


def test_an_oracle_on_crops_is_perfect():
    assert isinstance(extractor(Oracle()), Embedder)
    found = RegionClassification().run(extractor(Oracle()), split(A, B))
    assert (found["top1"], found["within_image"]) == (1, 1)
