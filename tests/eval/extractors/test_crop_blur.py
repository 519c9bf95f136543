"""ReCLIP's sum of two scores, with vectors of unit length."""

import torch

from cloc.eval.extractors import blur, crop
from cloc.eval.extractors.crop_blur import extractor
from cloc.interfaces import Embedder
from tests.helpers.oracle import LowerCase, Oracle, example
from tests.helpers.patches import Cells

A = example(("red", (0, 0, 8, 8)), ("blue", (16, 16, 24, 32)))
B = example(("green", (4, 4, 12, 12)))
TEXTS = ["red", "blue", "green", "red and blue"]
GIVEN = [A.image, B.image], [A.boxes, B.boxes]


def test_a_score_is_the_mean_of_crop_and_blur():
    both = extractor(Cells())
    assert isinstance(both, Embedder)
    found = both.regions(*both.prepare(*GIVEN))
    scores = found @ both.texts(TEXTS).T
    parts = [one.extractor(Cells()) for one in (crop, blur)]
    singles = [one.regions(*one.prepare(*GIVEN)) @ one.texts(TEXTS).T for one in parts]
    assert not torch.equal(*singles)
    torch.testing.assert_close(scores, (singles[0] + singles[1]) / 2)
    valid = both.prepare(*GIVEN).valid
    torch.testing.assert_close(found[valid].norm(dim=-1), torch.ones(3))
    assert (found[~valid] == 0).all()


def test_whole_images_and_texts_score_as_they_did_and_it_cannot_ground():
    both, x = extractor(LowerCase()), extractor(LowerCase()).prepare(*GIVEN).images
    whole = LowerCase().images(LowerCase().prepare(*GIVEN).images)
    torch.testing.assert_close(
        both.images(x) @ both.texts(TEXTS).T, whole @ LowerCase().texts(TEXTS).T
    )
    assert both.tokens(["A", "a"]) == [b"a", b"a"]
    assert both.ground(x, [["red"], []]) is None


def test_without_boxes_there_are_no_regions():
    both = extractor(Oracle())
    x, boxes, valid = both.prepare([A.image], [A.boxes[:0]])
    assert both.regions(x, boxes, valid).shape == (1, 0, 42)
