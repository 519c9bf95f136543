"""Which of two look-alikes a phrase means: by region, on permuted patches, by grounding."""

import pytest
import torch

from cloc.eval.benchmarks.relational_regions import RelationalRegions
from cloc.scenes.depth.generate import scenes
from tests.helpers.oracle import NAMES, SIZE, Constant, Oracle, example, split

BOXES = (2, 8, 8, 24), (24, 8, 30, 24)
MIDDLE = (12, 8, 20, 24)


def scene(twin: str, other: str):
    phrases = [f"{twin} left of {other}", f"{twin} right of {other}"]
    twins = [
        {"region": i, "other": 1 - i, "phrase": phrases[i], "flipped": phrases[1 - i]}
        for i in range(2)
    ]
    things = [(twin, BOXES[0]), (twin, BOXES[1]), (other, MIDDLE)]
    return example(*things, phrases=[*phrases, other], meta={"twins": twins})


SPLIT = split(*[scene(a, b) for a in NAMES for b in NAMES if a != b] * 5, example(("red", MIDDLE)))


class LeftOnly(Oracle):
    """Grounds every phrase at the left half."""

    def ground(self, x, phrases):
        return [torch.tensor([[0, 0, 0.5, 1]]).expand(len(own), 4) for own in phrases]


class BoxOnly(Oracle):
    """Never looks: a box in the left half is "left of" something."""

    def regions(self, x, boxes, valid):
        return torch.nn.functional.one_hot((boxes[..., 0] < 0.5).long(), 2).float()

    def texts(self, texts):
        return torch.eye(2)[[int("left" in text) for text in texts]]


def test_an_oracle_is_perfect_and_falls_to_chance_without_places():
    found = RelationalRegions(batch_size=7).run(Oracle(), SPLIT)
    assert (found["pick"], found["grounding_pick"]) == (1, 1)
    assert 0.2 < found["pick_permuted"] < 0.7
    for name in ("pick", "pick_permuted", "grounding_pick"):
        assert found[f"{name}_chance"] == 0.5


def test_what_was_not_read_off_the_image_is_kept_on_permuted_patches():
    found = RelationalRegions().run(BoxOnly(), SPLIT)
    assert (found["pick"], found["pick_permuted"]) == (1, 1)


def test_ties_count_as_wrong():
    found = RelationalRegions().run(Constant(), SPLIT)
    # The whole frame overlaps both look-alikes, which are of one size, alike.
    assert (found["pick"], found["pick_permuted"], found["grounding_pick"]) == (0, 0, 0)


def test_no_overlap_with_either_is_wrong():
    class Elsewhere(Oracle):
        def ground(self, x, phrases):
            return [torch.tensor([[0, 0.9, 1, 1]]).expand(len(own), 4) for own in phrases]

    assert RelationalRegions().run(Elsewhere(), SPLIT)["grounding_pick"] == 0


def test_always_the_left_one_is_right_half_of_the_time():
    assert RelationalRegions().run(LeftOnly(), SPLIT)["grounding_pick"] == pytest.approx(0.5)


def test_the_grounding_is_left_out_where_the_embedder_cannot_ground():
    found = RelationalRegions().run(Constant(grounds=False), SPLIT)
    assert set(found) == {"pick", "pick_permuted", "pick_chance", "pick_permuted_chance"}


def test_empty_without_twins():
    assert RelationalRegions().run(Oracle(), split(example(("red", MIDDLE)))) == {}


def test_every_twin_is_asked_for_whatever_the_relation():
    """Those of scenes with depth: side by side, in depth, holding, and in a thing's own frame."""
    records = list(scenes("train", 60, seed=0, size=SIZE, twins=1.0, relational=0.0))
    examples = [
        example(*(("red", tuple(map(int, x.box))) for x in r.regions), meta=r.meta)._replace(
            key=r.key
        )
        for r in records
    ]
    cases = RelationalRegions().run(Constant(), split(*examples)).figures.cases["pick"]
    expected = [f"{r.key}: {twin['phrase']}" for r in records for twin in r.meta["twins"]]
    assert list(cases.names) == expected
    words = (" directly left of ", " directly behind ", " in ", " on ", "the nearer of ", "'s own ")
    assert all(any(word in name for name in expected) for word in words)
