"""Data are told apart by what they are, not by where they lie."""

import numpy as np
import pytest

from cloc.eval.benchmarks.grounding import Grounding
from cloc.eval.benchmarks.region_classification import RegionClassification
from cloc.eval.data_digest import of_asked, of_split
from cloc.eval.extractors import crop
from cloc.eval.runner import evaluate
from cloc.interfaces import Split
from tests.helpers.oracle import Constant, Oracle, example, split

BOXES = (("red", (0, 0, 8, 8)), ("blue", (16, 0, 32, 16)))
ONE = example(*BOXES, captions=["red left of blue"], meta={"relation": "left_of"})
TWO = example(("green", (4, 4, 12, 12)))
SPLIT = split(ONE, TWO)


@pytest.mark.parametrize(
    "other",
    [
        split(TWO, ONE),
        split(ONE),
        split(ONE._replace(captions=("red left of", " blue")), TWO),
        split(ONE._replace(phrases=("red", "red")), TWO),
        split(ONE._replace(labels=("red", "green")), TWO),
        split(ONE._replace(meta={"relation": "right_of"}), TWO),
        split(ONE._replace(digest=b"another picture"), TWO),
        split(ONE._replace(key="other"), TWO),
        Split("val", SPLIT.examples, {**SPLIT.classes, "red": ["ruby"]}),
        Split("val", SPLIT.examples, SPLIT.classes, {"red": ["ruby"]}),
    ],
)
def test_pictures_boxes_words_classes_and_what_the_source_recorded_in_order(other):
    assert of_split(other) != of_split(SPLIT)


def test_a_split_read_again_and_under_another_name_is_the_same():
    again = split(*(e._replace(boxes=np.array(e.boxes)) for e in SPLIT.examples), name="novel")
    assert of_split(again) == of_split(SPLIT)


def test_what_was_asked_in_any_order():
    assert of_asked([b"a", b"b"]) == of_asked({b"b", b"a"}) != of_asked([b"a"])


class Own:
    """A benchmark with its own data."""

    own_data = uses_regions = True

    def __init__(self, *examples):
        self.split = split(*examples)

    def run(self, embedder, _):
        return RegionClassification().run(embedder, self.split)


def measured(embedder, *examples):
    benchmarks = {"of_split": RegionClassification(), "grounds": Grounding(), "own": Own(*examples)}
    of = {"": embedder, "crop": crop.extractor(embedder)}
    found = evaluate(of, splits=[SPLIT], benchmarks=benchmarks)
    return {key: values.figures.about["data_digest"] for key, values in found.items()}


def test_every_figure_says_it_whatever_the_encoder_is_and_what_it_was_asked_before():
    found = measured(Oracle(), ONE, TWO)
    assert measured(Constant(), ONE, TWO).items() <= found.items()
    assert {found[key] for key in found if "own" not in key} == {of_split(SPLIT)}
    assert found["own"] == found["own@crop"] != found["of_split"]
    for others in ([ONE], [ONE, example(("pink", (4, 4, 12, 12)))], [ONE, example()]):
        assert measured(Oracle(), *others)["own"] != found["own"]
