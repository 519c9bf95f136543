"""The same answers, asked for once; kept in a file, asked for once in all."""

import pytest
import torch

from cloc.eval.answer_cache import Memo, features_of
from cloc.eval.benchmarks.grounding import Grounding
from cloc.eval.benchmarks.region_classification import RegionClassification
from cloc.eval.benchmarks.region_retrieval import RegionRetrieval
from cloc.eval.encode import grounded_boxes, image_vectors, region_vectors, text_vectors
from cloc.eval.features import Features
from cloc.eval.runner import evaluate
from cloc.interfaces import Embedder
from tests.helpers.oracle import Constant, Oracle, example, prepare, split

A = example(("red", (0, 0, 8, 8)), ("blue", (16, 16, 24, 32)))
B = example(("green", (4, 4, 12, 12)))


class Counting(Oracle):
    """Notes of how many pictures and texts it is asked."""

    def __init__(self):
        self.asked = {"images": 0, "texts": [], "regions": 0, "ground": 0}

    def images(self, x):
        self.asked["images"] += len(x)
        return super().images(x)

    def texts(self, texts):
        self.asked["texts"] += texts
        return super().texts(texts)

    def regions(self, x, boxes, valid):
        self.asked["regions"] += len(x)
        return super().regions(x, boxes, valid)

    def ground(self, x, phrases):
        self.asked["ground"] += len(x)
        return super().ground(x, phrases)


def ask(embedder, *examples, batch_size=2):
    """All that benchmarks ask, as one list of numbers."""
    found = [v for _, v in image_vectors(embedder, examples, batch_size=batch_size)]
    found += [v.flatten() for _, v in region_vectors(embedder, examples, batch_size=batch_size)]
    grounded = grounded_boxes(
        embedder, examples, phrases=lambda e: e.phrases, batch_size=batch_size
    )
    found += [torch.cat([own, boxes]).flatten() for _, own, boxes in grounded]
    words, rows = text_vectors(embedder, ["red", "blue", "red"], batch_size=batch_size)
    return torch.cat([*found, words[rows].flatten()])


def test_is_an_embedder():
    assert isinstance(Memo(Oracle()), Embedder)


def test_a_picture_and_a_text_are_asked_for_once_and_answered_alike():
    inner = Counting()
    memo = Memo(inner)
    for examples in ((A,), (B, A), (A, B, A)):
        torch.testing.assert_close(ask(memo, *examples), ask(Oracle(), *examples))
    assert inner.asked == {"images": 2, "texts": ["red", "blue"], "regions": 2, "ground": 2}


def test_other_boxes_or_phrases_on_the_same_picture_are_another_question():
    inner = Counting()
    memo = Memo(inner)
    other = example(("red", (0, 0, 8, 8)), ("blue", (16, 16, 24, 31)))
    renamed = A._replace(phrases=("blue", "red"))
    ask(memo, A)
    for changed in (other, renamed):
        torch.testing.assert_close(ask(memo, changed), ask(Oracle(), changed))
    assert (inner.asked["regions"], inner.asked["ground"]) == (2, 3)


def test_a_picture_that_says_nothing_of_itself_is_asked_for_again():
    inner = Counting()
    memo = Memo(inner)
    silent = [e._replace(digest=b"") for e in (A, B)]
    for examples in (silent, silent[::-1]):
        torch.testing.assert_close(ask(memo, *examples), ask(Oracle(), *examples))
    assert inner.asked["images"] == 4


def test_what_cannot_ground_still_cannot():
    memo = Memo(Constant(grounds=False))
    assert memo.ground(prepare([A.image], [A.boxes]).images, [["red"]]) is None
    for _ in range(2):
        found = grounded_boxes(memo, [A, B], phrases=lambda e: e.phrases, batch_size=1)
        assert list(found) == []


def test_benchmarks_of_one_evaluation_share_the_regions_and_phrases():
    inner = Counting()
    benchmarks = {"a": RegionClassification(), "b": RegionRetrieval(), "c": Grounding()}
    found = evaluate({"": inner}, splits=[split(A, B)], benchmarks=benchmarks)
    assert inner.asked["regions"] == 2
    assert len(inner.asked["texts"]) == len(set(inner.asked["texts"]))
    alone = {name: b.run(Oracle(), split(A, B)) for name, b in benchmarks.items()}
    assert found == alone


def test_a_second_evaluation_asks_nothing_and_a_stopped_one_goes_on(tmp_path):
    path = tmp_path / "kept/features.sqlite"

    class Stops(Counting):
        def regions(self, x, boxes, valid):
            if self.asked["regions"] == 1:
                raise KeyboardInterrupt
            return super().regions(x, boxes, valid)

    features = Features(path)
    with pytest.raises(KeyboardInterrupt):
        ask(Memo(Stops(), features), A, B, batch_size=1)
    features.close()
    second, third = Counting(), Counting()
    for inner in (second, third):
        features = Features(path)
        torch.testing.assert_close(ask(Memo(inner, features), A, B), ask(Oracle(), A, B))
        features.close()
    assert second.asked == {"images": 0, "texts": ["red", "blue"], "regions": 1, "ground": 2}
    assert third.asked == {"images": 0, "texts": [], "regions": 0, "ground": 0}


def test_another_embedder_forgets():
    assert features_of(Oracle()) is not features_of(Oracle())
