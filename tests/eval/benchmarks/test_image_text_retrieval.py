"""Images to captions and back, with several and shared captions."""

from functools import partial

import PIL.Image
import pytest
import torch

from cloc.eval import metrics
from cloc.eval.benchmarks.image_text_retrieval import ImageTextRetrieval
from cloc.eval.metrics import similarity
from cloc.eval.pictures import BOXLESS
from cloc.interfaces import Example, Prepared, Split
from tests.helpers.oracle import Constant, Oracle, example, split

LEFT, RIGHT = (0, 0, 8, 8), (24, 0, 32, 8)
SPLIT = split(
    example(("red", LEFT), captions=["red", "a red"]),
    example(("blue", LEFT)),
    example(("green", LEFT), captions=["green", "green"]),
    example(("red", RIGHT), captions=["red"]),
)


class Shifted(Oracle):
    """Takes pictures of red for green ones."""

    def images(self, x):
        return super().images(x[..., [1, 0, 2]])


def test_an_oracle_is_perfect_and_chance_counts_the_matches():
    # Unique captions: red (images 0, 2), a red (image 0), green (image 1); image 3 has none.
    found = ImageTextRetrieval(ks=(1, 2), batch_size=3).run(Oracle(), SPLIT)
    assert found["t2i_r@2"] == found["i2t_r@2"] == 1
    assert found["i2t_r@1_chance"] == pytest.approx((2 / 3 + 1 / 3 + 1 / 3) / 3)
    assert found["t2i_r@1_chance"] == pytest.approx((2 / 3 + 1 / 3 + 1 / 3) / 3)
    # "a red" looks like "red" to the oracle: it ties for the last image, and so does that image
    # for "a red"; ties count against.
    assert found["i2t_r@1"] == pytest.approx(2 / 3)
    assert found["t2i_r@1"] == pytest.approx(2 / 3)


def test_a_shared_caption_finds_any_of_its_images():
    same = split(
        *[example(("red", LEFT), captions=["red"])] * 2, example(("blue", LEFT), captions=["blue"])
    )
    found = ImageTextRetrieval(ks=(1,)).run(Oracle(), same)
    assert (found["i2t_r@1"], found["t2i_r@1"]) == (1, 1)
    assert found["t2i_r@1_chance"] == pytest.approx((2 / 3 + 1 / 3) / 2)


def test_the_wrong_images_are_not_found():
    found = ImageTextRetrieval(ks=(1,)).run(Shifted(), SPLIT)
    assert (found["i2t_r@1"], found["t2i_r@1"]) == (0, 0)


def test_ties_count_against():
    found = ImageTextRetrieval(ks=(1,)).run(Constant(), SPLIT)
    assert (found["i2t_r@1"], found["t2i_r@1"]) == (0, 0)


def test_empty_without_captions():
    assert ImageTextRetrieval().run(Oracle(), split(SPLIT.examples[1])) == {}


def wide(width):
    return PIL.Image.new("L", (width, 1))


def test_the_scores_of_a_large_split_exist_a_part_at_a_time(monkeypatch):
    """Of 3,000 pictures and 12,000 captions no more than `SCORES`, a quarter of them."""
    scores = []

    def counted(a, b):
        scores.append(len(a) * len(b))
        return similarity(a, b)

    class Numbered(Constant):
        """Of a picture its width and of a caption its number, and of both the bits."""

        def prepare(self, images, boxes):
            numbers = torch.tensor([image.size[0] for image in images])
            nothing = torch.zeros(len(images), 0, 4)
            return Prepared(numbers, nothing, nothing[..., 0] > 0)

        def images(self, x):
            return ((x[:, None] >> torch.arange(12)) % 2 * 2.0 - 1) / 12**0.5

        def texts(self, texts):
            return self.images(torch.tensor([int(text.split()[0]) for text in texts]))

    monkeypatch.setattr(metrics, "similarity", counted)
    words = ("", " a", " b", " c")
    examples = [
        Example(f"{i}", partial(wide, i), tuple(f"{i}{w}" for w in words), BOXLESS, (), (), {})
        for i in range(1, 3001)
    ]
    found = ImageTextRetrieval(batch_size=500).run(Numbered(), Split("val", examples, {}))
    assert (found["i2t_r@1"], found["t2i_r@1"], found["t2i_r@10"]) == (1, 1, 1)
    assert 0.9 * metrics.SCORES < max(scores) <= metrics.SCORES
    assert sum(scores) == 2 * 3000 * 12000
