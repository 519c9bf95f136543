"""cloc_macc and fgclip_top1: oracles, a count of one's own, subsets by size and frequency."""

import numpy as np
import pytest
from PIL import Image

from cloc.errors import UserError
from cloc.eval.benchmarks.box_classification import ClocMacc, FgclipTop1
from cloc.eval.templates import read_templates
from tests.helpers.oracle import Constant, example, split
from tests.helpers.region_mocks import Colours, Hashed, Opposite, prototype

LEFT, MIDDLE, RIGHT = (0, 0, 8, 8), (12, 0, 20, 8), (24, 0, 32, 8)
BOTH = pytest.mark.parametrize("benchmark", [ClocMacc(batch_size=2), FgclipTop1(batch_size=2)])


def big(*things, factor=10, key="key", meta=None):
    """A picture `factor` times as large, so that boxes are of several sizes."""
    small = example(*things, meta=meta)
    size = small.image.width * factor
    image = small.image.resize((size, size), Image.Resampling.NEAREST)
    return small._replace(key=key, image=image, boxes=small.boxes * factor)


SPLIT = split(
    big(("red", LEFT), ("blue", MIDDLE), ("red", RIGHT), key="a"),
    example(),
    example(("red", LEFT), ("green", RIGHT))._replace(key="b"),
    big(("green", (0, 0, 3, 3)), ("red", RIGHT), key="c"),
)


class Reddish(Colours):
    """Takes every blue region for red."""

    def regions(self, x, boxes, valid):
        out = super().regions(x, boxes, valid)
        out[out[..., 2] > 0.5] = self.texts(["red"])
        return out


@BOTH
def test_an_oracle_is_perfect_and_its_opposite_never_right(benchmark):
    found = benchmark.run(Colours(), SPLIT)
    assert all(found[name] == 1 for name in ("top1", "macc", "top5", "macc_top5"))
    assert found["top1_chance"] == found["macc_chance"] == 0.25
    assert found["top5_chance"] == 1  # four classes
    wrong = benchmark.run(Opposite(), SPLIT)
    assert (wrong["top1"], wrong["macc"]) == (0, 0)


@BOTH
def test_ties_count_as_wrong(benchmark):
    found = benchmark.run(Constant(), SPLIT)
    assert (found["top1"], found["macc"], found["macc_small"]) == (0, 0, 0)


def test_the_class_mean_is_not_the_share_of_boxes():
    found = ClocMacc().run(Reddish(), SPLIT)
    assert found["top1"] == pytest.approx(6 / 7)  # one of seven boxes is blue
    assert found["macc"] == pytest.approx(2 / 3)  # red 4 of 4, green 2 of 2, blue 0 of 1


def test_names_are_those_of_the_boxes_and_the_same_for_every_encoder():
    names = [m.run(e, SPLIT).figures.cases["macc"].names for m in (ClocMacc(), FgclipTop1())
             for e in (Colours(), Constant())]  # fmt: skip
    assert names[0] == ["a:0", "a:1", "a:2", "b:0", "b:1", "c:0", "c:1"]
    assert all(own == names[0] for own in names)


@BOTH
def test_by_a_count_of_ones_own(benchmark):
    encoder = Hashed()
    found = benchmark.run(encoder, SPLIT)
    templates = benchmark.run(Constant(), SPLIT).figures.about["templates"]
    classes = list(SPLIT.classes)
    vectors = {c: prototype(encoder, [t.replace("{}", c) for t in templates]) for c in classes}
    rows = []
    for one in SPLIT.examples:
        for box, label in zip(one.boxes, one.labels, strict=True):
            region = encoder.region(one.image, box)
            order = sorted(classes, key=lambda c, region=region: -vectors[c] @ region)
            area = (box[2] - box[0]) * (box[3] - box[1])
            rows.append((label, order[0] == label, area))
    right = np.array([row[1] for row in rows])
    areas, labels = np.array([row[2] for row in rows]), np.array([row[0] for row in rows])
    for suffix, chosen in {
        "": areas > 0,
        "_small": areas < 1024,
        "_medium": (areas >= 1024) & (areas < 9216),
    }.items():
        assert found[f"top1{suffix}"] == pytest.approx(right[chosen].mean())
        of_class = [right[chosen & (labels == c)].mean() for c in set(labels[chosen])]
        assert found[f"macc{suffix}"] == pytest.approx(np.mean(of_class))
    assert 0 < found["top1"] < 1  # as drawn: it could have gone either way
    assert "top1_large" not in found  # no box of 96^2 pixels


def test_a_box_of_32_squared_pixels_is_medium_and_of_96_squared_large():
    sides = {"small": 31.9, "medium": 32.0, "large": 96.0}
    for size, side in sides.items():
        one = big(("red", (0, 0, 30, 30)))._replace(boxes=np.array([[0, 0, side, side]], "f"))
        found = ClocMacc().run(Colours(), split(one))
        assert [s for s in sides if f"top1_{s}" in found] == [size]


def test_rare_common_and_frequent_classes_are_those_that_meta_marks():
    marks = {"frequency": {"red": "f", "blue": "r", "green": "c"}}
    marked = split(big(("red", LEFT), ("blue", MIDDLE), ("green", RIGHT), meta=marks))
    found = ClocMacc().run(Reddish(), marked)
    assert (found["macc_frequent"], found["macc_common"], found["macc_rare"]) == (1, 1, 0)
    assert not [name for name in ClocMacc().run(Colours(), SPLIT) if "rare" in name]


def test_each_says_what_a_class_is_called():
    about = {b: b.run(Colours(), SPLIT).figures.about for b in (ClocMacc(), FgclipTop1())}
    assert about[ClocMacc()]["templates"] == ["{}"]
    assert about[FgclipTop1()]["templates"] == list(read_templates("clip_80", key="k"))
    assert "a photo of the large {}." in about[FgclipTop1()]["templates"]
    assert [a["figure"] for a in about.values()] == ["macc", "top1"]


@BOTH
def test_without_classes_or_labels_there_is_nothing_to_measure(benchmark):
    assert benchmark.run(Colours(), SPLIT._replace(classes={})) == {}
    assert benchmark.run(Colours(), split(example())) == {}


@BOTH
def test_a_strange_label_and_a_class_without_prompt_are_named(benchmark):
    odd = SPLIT.examples[0]._replace(labels=("red", "zebra", "red"))
    with pytest.raises(UserError, match=r"^split 'val': label 'zebra' .* 4 classes; add it"):
        benchmark.run(Colours(), split(odd))
    silent = SPLIT._replace(classes={**SPLIT.classes, "blue": []})
    with pytest.raises(UserError, match=r"^split 'val': class 'blue' has no prompt; give it"):
        benchmark.run(Colours(), silent)
