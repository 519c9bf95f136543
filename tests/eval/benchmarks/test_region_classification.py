"""Top-1, class mean and the choice among the phrases of an image, by hand."""

import pytest
import torch

from cloc.errors import UserError
from cloc.eval.benchmarks.region_classification import RegionClassification
from tests.helpers.oracle import Constant, Oracle, example, split

LEFT, MIDDLE, RIGHT = (0, 0, 8, 8), (12, 0, 20, 8), (24, 0, 32, 8)
SPLIT = split(
    example(("red", LEFT), ("blue", MIDDLE), ("red", RIGHT)),
    example(),
    example(("red", LEFT), ("red", RIGHT)),  # a single phrase: no choice within the image
    example(("green", LEFT), ("pink", MIDDLE), ("blue", RIGHT)),
)
CHANCE = {"top1_chance": 0.25, "class_mean_chance": 0.25}


class Reddish(Oracle):
    """Takes every blue region for red."""

    def regions(self, x, boxes, valid):
        out = super().regions(x, boxes, valid)
        blue = out[..., 2] > 0
        return torch.where(blue[..., None], self.texts(["red"]), out)


def test_an_oracle_is_perfect():
    found = RegionClassification(batch_size=2).run(Oracle(), SPLIT)
    assert found == pytest.approx(
        {"top1": 1, "class_mean": 1, "within_image": 1, "within_image_chance": (3 / 2 + 3 / 3) / 6}
        | CHANCE
    )


def test_ties_count_as_wrong():
    found = RegionClassification().run(Constant(), SPLIT)
    assert (found["top1"], found["class_mean"], found["within_image"]) == (0, 0, 0)


def test_by_hand_where_one_class_is_wrong():
    found = RegionClassification().run(Reddish(), SPLIT)
    assert found["top1"] == pytest.approx(6 / 8)  # 2 of the 8 boxes are blue
    assert found["class_mean"] == pytest.approx(3 / 4)
    assert found["within_image"] == pytest.approx(4 / 6)


def test_unlabelled_boxes_are_left_out():
    a = SPLIT.examples[0]
    found = RegionClassification().run(Reddish(), split(a._replace(labels=("", "blue", "red"))))
    assert found["top1"] == pytest.approx(1 / 2)


def test_class_mean_is_over_the_classes_that_occur():
    found = RegionClassification().run(Reddish(), split(SPLIT.examples[0]))
    assert found["top1"] == pytest.approx(2 / 3)
    assert found["class_mean"] == pytest.approx(1 / 2)  # red 2 of 2, blue 0 of 1


def test_a_class_is_the_mean_of_its_prompts():
    swapped = SPLIT._replace(
        classes={"red": ["red", "red", "blue"], "blue": ["blue", "blue", "red"]},
        examples=[SPLIT.examples[0]],
    )
    assert RegionClassification().run(Oracle(), swapped)["top1"] == 1
    tied = swapped._replace(classes={"red": ["red", "blue"], "blue": ["blue", "red"]})
    with pytest.warns(UserWarning, match="classes red, blue alike"):  # one class in all
        assert RegionClassification().run(Oracle(), tied)["top1_chance"] == 1


def test_synonyms_are_another_protocol_under_a_name_of_its_own():
    alone = SPLIT._replace(examples=[SPLIT.examples[0]], classes={"red": ["red"], "blue": ["blue"]})
    both = alone._replace(synonyms={"red": ["red", "blue"], "blue": ["blue", "red"]})
    plain = RegionClassification().run(Oracle(), alone)
    with pytest.warns(UserWarning, match="reads the classes red, blue alike"):
        found = RegionClassification().run(Oracle(), both)
    assert {name: found[name] for name in plain} == plain
    assert found["class_mean_synonyms_chance"] == found["top1_synonyms_chance"] == 1
    apart = alone._replace(synonyms={"red": ["red", "blue", "blue"], "blue": ["blue"]})
    found = RegionClassification().run(Oracle(), apart)
    assert (found["top1"], found["top1_synonyms"]) == (1, 1)
    assert found["class_mean_synonyms_chance"] == found["top1_synonyms_chance"] == 0.5
    some = alone._replace(synonyms={"blue": ["blue", "sky"]})
    assert RegionClassification().run(Oracle(), some)["class_mean_synonyms"] == 1


def test_a_metric_without_a_case_is_left_out():
    alone = split(SPLIT.examples[2])
    assert set(RegionClassification().run(Oracle(), alone)) == {"top1", "class_mean"} | set(CHANCE)
    without = SPLIT._replace(classes={})
    assert set(RegionClassification().run(Oracle(), without)) == {
        "within_image",
        "within_image_chance",
    }
    assert RegionClassification().run(Oracle(), split(example())) == {}


def test_an_unknown_label_is_named():
    odd = SPLIT.examples[0]._replace(labels=("red", "zebra", "red"))
    with pytest.raises(
        UserError, match=r"split 'val': label 'zebra' of a box .* 4 classes; add it"
    ):
        RegionClassification().run(Oracle(), split(odd))


def test_a_class_without_a_prompt_is_named():
    silent = SPLIT._replace(classes={**SPLIT.classes, "blue": []})
    with pytest.raises(UserError, match="class 'blue' has no prompt; give it at least one"):
        RegionClassification().run(Oracle(), silent)
