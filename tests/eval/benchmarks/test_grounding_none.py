"""Phrases that are not in the picture: AUROC, and a threshold of the other half."""

from itertools import pairwise

import numpy as np
import PIL.Image
import pytest
import torch

from cloc.eval.benchmarks.grounding_none import (
    GroundingNoneBestBox,
    GroundingNoneBoxHead,
    best_threshold,
    is_even,
)
from tests.helpers.oracle import SIZE, Constant, example, split
from tests.helpers.region_mocks import Colours, Hashed, Opposite

LEFT, RIGHT = (0, 0, 8, 16), (16, 0, 32, 16)
BOTH = pytest.mark.parametrize("benchmark", [GroundingNoneBoxHead(), GroundingNoneBestBox()])
SPLIT = split(
    *[
        example((one, LEFT), (other, RIGHT))._replace(key=f"{one}-{other}")
        for one, other in [("red", "blue"), ("green", "pink"), ("red", "pink"), ("blue", "green")]
    ],
    example(),
)


@BOTH
def test_the_mocks(benchmark):
    found = benchmark.run(Colours(), SPLIT)
    assert (found["auroc"], found["accuracy"]) == (1, 1)
    assert found["auroc_chance"] == found["accuracy_chance"] == 0.5
    found = benchmark.run(Constant(), SPLIT)
    assert found["auroc"] == 0  # ties are misses
    assert found["accuracy"] == 0.5  # as many are there as not


def test_the_opposite_has_no_auroc():
    class Hidden(Opposite):
        """Grounds where things are, and says the opposite of what it sees there."""

        _ground = Colours._ground

    assert GroundingNoneBoxHead().run(Hidden(), SPLIT)["auroc"] == 0


def test_both_halves_are_of_some_pictures():
    keys = [e.key for e in SPLIT.examples if e.phrases]
    assert {is_even(key) for key in keys} == {True, False}
    found = GroundingNoneBestBox().run(Colours(), SPLIT).figures
    rest = {name.partition(":")[0] for name in found.cases["accuracy"].names}
    assert rest == {key for key in keys if not is_even(key)}


def test_what_cannot_ground_has_no_figure_of_the_box_head():
    assert GroundingNoneBoxHead().run(Constant(grounds=False), SPLIT) == {}
    assert GroundingNoneBestBox().run(Constant(grounds=False), SPLIT)
    assert GroundingNoneBestBox().run(Colours(), split(example())) == {}


def test_by_a_count_of_ones_own():
    encoder = Hashed()
    found = GroundingNoneBestBox().run(encoder, SPLIT)
    cases = found.figures.cases
    by_key = {e.key: e for e in SPLIT.examples if e.phrases}

    def score(key, phrase):
        own = by_key[key]
        return max(encoder.text(phrase) @ encoder.region(own.image, box) for box in own.boxes)

    # with four colours, of which a picture shows two, the two that it does not show are absent
    there = {(k, p): score(k, p) for k, e in by_key.items() for p in e.phrases}
    colours = {"red", "green", "blue", "pink"}
    absent = {(k, p): score(k, p) for k, e in by_key.items() for p in colours - set(e.phrases)}
    assert found["auroc"] == pytest.approx(
        np.mean([a > b for a in there.values() for b in absent.values()])
    )
    halves = [
        [(s, True) for (k, _), s in there.items() if is_even(k) == even]
        + [(s, False) for (k, _), s in absent.items() if is_even(k) == even]
        for even in (True, False)
    ]
    edges = sorted(s for s, _ in halves[0])
    options = [edges[0] - 1, *[(a + b) / 2 for a, b in pairwise(edges)],
               edges[-1] + 1]  # fmt: skip
    best = max(options, key=lambda t: (sum((s > t) == is_there for s, is_there in halves[0]), -t))
    assert found.figures.about["threshold"] == pytest.approx(best)
    assert found["accuracy"] == pytest.approx(np.mean([(s > best) == t for s, t in halves[1]]))
    assert len(cases["accuracy"].values) == len(halves[1])


class Cut(Colours):
    """Sees the middle square of a wide picture, as a centre crop does; boxes are cut with it."""

    def __init__(self):
        self.looked = []

    def prepare(self, images, boxes):
        cuts = [image.crop((16, 0, 16 + SIZE, SIZE)) for image in images]
        inside = [np.clip(own - [16, 0, 16, 0], 0, SIZE).astype(np.float32) for own in boxes]
        return super().prepare(cuts, inside)

    def regions(self, x, boxes, valid):
        self.looked.append(boxes[valid])
        return super().regions(x, boxes, valid)


def test_a_grounded_box_is_looked_at_where_it_was_found_whatever_the_framing():
    pictures = []
    for one in SPLIT.examples[:2]:
        wide = PIL.Image.new("RGB", (2 * SIZE, SIZE))
        wide.paste(one.image, (16, 0))
        pictures.append(one._replace(image=wide, boxes=one.boxes + np.float32([16, 0, 16, 0])))
    encoder = Cut()
    assert GroundingNoneBoxHead().run(encoder, split(*pictures))["auroc"] == 1
    own = torch.tensor([LEFT, RIGHT, (0, 0, 32, 32), (0, 0, 32, 32)]) / SIZE  # two are not there
    torch.testing.assert_close(torch.cat(encoder.looked), own.repeat(2, 1), atol=1e-4, rtol=0)


def test_the_best_threshold():
    scores = torch.tensor([0.1, 0.4, 0.2, 0.9], dtype=torch.float64)
    assert best_threshold(scores, torch.tensor([False, True, False, True])) == pytest.approx(0.3)
    same = torch.full((4,), 0.5, dtype=torch.float64)
    tied = best_threshold(same, torch.tensor([False, True, False, True]))
    assert tied in (-0.5, 1.5)  # never between what is one
    assert best_threshold(scores, torch.tensor([True] * 4)) == pytest.approx(-0.9)
    assert best_threshold(scores, torch.tensor([False] * 4)) == pytest.approx(1.9)
