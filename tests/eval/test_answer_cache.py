"""The same answers, asked for once."""

import torch

from cloc.eval.answer_cache import Memo
from cloc.eval.benchmarks.grounding import Grounding
from cloc.eval.benchmarks.region_classification import RegionClassification
from cloc.eval.benchmarks.region_retrieval import RegionRetrieval
from cloc.eval.runner import evaluate
from cloc.interfaces import Embedder
from tests.helpers.oracle import Constant, Oracle, example, split

A = example(("red", (0, 0, 8, 8)), ("blue", (16, 16, 24, 32)))
B = example(("green", (4, 4, 12, 12)))


class Counting(Oracle):
    """Notes what it is asked for."""

    def __init__(self):
        self.asked = {"images": 0, "texts": [], "regions": 0}

    def images(self, x):
        self.asked["images"] += 1
        return super().images(x)

    def texts(self, texts):
        self.asked["texts"] += texts
        return super().texts(texts)

    def regions(self, x, boxes, valid):
        self.asked["regions"] += 1
        return super().regions(x, boxes, valid)


def prepared(*examples):
    return Oracle().prepare([e.image for e in examples], [e.boxes for e in examples])


def test_is_an_embedder():
    assert isinstance(Memo(Oracle()), Embedder)


def test_equal_batches_are_asked_for_once_and_answered_alike():
    inner = Counting()
    memo = Memo(inner)
    for _ in range(2):
        for batch in (prepared(A), prepared(B), prepared(A, B)):
            torch.testing.assert_close(memo.images(batch.images), Oracle().images(batch.images))
            torch.testing.assert_close(memo.regions(*batch), Oracle().regions(*batch))
    assert (inner.asked["images"], inner.asked["regions"]) == (3, 3)


def test_other_boxes_on_the_same_picture_are_another_question():
    inner = Counting()
    memo = Memo(inner)
    x, boxes, valid = prepared(A)
    torch.testing.assert_close(memo.regions(x, boxes, valid), Oracle().regions(x, boxes, valid))
    flipped = memo.regions(x, boxes.flip(1), valid)
    torch.testing.assert_close(flipped, Oracle().regions(x, boxes.flip(1), valid))
    memo.regions(x, boxes, ~valid)
    assert inner.asked["regions"] == 3


def test_a_text_is_asked_for_once_and_the_order_is_kept():
    inner = Counting()
    memo = Memo(inner)
    for texts in (["blue", "red", "blue"], ["red", "green"], ["green", "blue"]):
        torch.testing.assert_close(memo.texts(texts), Oracle().texts(texts))
    assert inner.asked["texts"] == ["blue", "red", "green"]


def test_what_cannot_ground_still_cannot():
    assert Memo(Constant(grounds=False)).ground(prepared(A).images, [["red"]]) is None
    found = Memo(Oracle()).ground(prepared(A).images, [["red"]])
    torch.testing.assert_close(found[0], Oracle().ground(prepared(A).images, [["red"]])[0])


def test_benchmarks_of_one_evaluation_share_the_regions_and_phrases():
    inner = Counting()
    benchmarks = {"a": RegionClassification(), "b": RegionRetrieval(), "c": Grounding()}
    found = evaluate({"": inner}, splits=[split(A, B)], benchmarks=benchmarks)
    assert inner.asked["regions"] == 1
    assert len(inner.asked["texts"]) == len(set(inner.asked["texts"]))
    alone = {name: b.run(Oracle(), split(A, B)) for name, b in benchmarks.items()}
    assert found == alone
