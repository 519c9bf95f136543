"""Phrases to boxes, with repeated phrases and the blind guesses, by hand."""

import pytest
import torch

from cloc.eval.benchmarks.grounding import Grounding
from tests.helpers.oracle import Constant, Oracle, example, split

SPLIT = split(
    example(("red", (0, 0, 8, 16)), ("blue", (16, 0, 32, 16)), ("green", (0, 24, 4, 28))),
    example(),
    example(("blue", (4, 4, 28, 28))),
)
TWICE = example(("red", (24, 0, 32, 32)), ("red", (0, 0, 16, 32)), ("blue", (16, 0, 24, 32)))


class LeftHalf(Constant):
    """Grounds every phrase at the left half of the frame."""

    def ground(self, x, phrases):
        return [torch.tensor([[0, 0, 0.5, 1]]).expand(len(own), 4) for own in phrases]


def test_an_oracle_is_perfect():
    found = Grounding(batch_size=2).run(Oracle(), SPLIT)
    for metric in ("acc@0.5", "miou", "acc@0.5_unique", "miou_unique"):
        assert found[metric] == pytest.approx(1)


def test_the_whole_frame_by_hand():
    found = Grounding().run(Constant(), SPLIT)
    areas = [128 / 1024, 256 / 1024, 16 / 1024, 576 / 1024]
    assert found["miou"] == pytest.approx(sum(areas) / 4)
    assert found["acc@0.5"] == 1 / 4


def test_best_overlap_over_all_boxes_of_the_phrase():
    found = Grounding().run(LeftHalf(), split(TWICE))
    # "red" (once, for two boxes): exactly its second box. "blue", the only unique one: beside it.
    assert (found["acc@0.5"], found["miou"]) == (0.5, 0.5)
    assert (found["acc@0.5_unique"], found["miou_unique"]) == (0, 0)


def test_an_overlap_of_one_half_is_a_hit():
    found = Grounding().run(LeftHalf(), split(example(("red", (0, 0, 16, 16)))))
    assert (found["miou"], found["acc@0.5"]) == (0.5, 1)


def test_the_unique_subset_is_left_out_where_every_phrase_repeats():
    repeated = split(example(*[("red", box) for box in ((0, 0, 8, 8), (8, 8, 16, 16))]))
    found = Grounding().run(LeftHalf(), repeated)
    assert "acc@0.5" in found
    assert not [name for name in found if "unique" in name]


def test_the_centre_box_has_the_mean_size_and_the_middle_of_the_frame():
    middle = split(example(("red", (8, 8, 24, 24))), example(("red", (12, 4, 20, 28))))
    found = Grounding().run(Constant(), middle)
    # mean size 12 x 20: its overlaps are 12 x 16 of 16 x 16 + 48 and 8 x 20 of 12 x 20 + 32
    assert found["miou_centre_box"] == pytest.approx((192 / 304 + 160 / 272) / 2)
    assert found["acc@0.5_centre_box"] == 1


def test_the_random_box_has_a_size_of_the_split_at_a_random_place():
    # One box, 16 wide and full height: a guess at offset t in [0, 1/2] of the frame overlaps
    # (1/2 - t) / (1/2 + t); its mean is 2 ln 2 - 1, and IoU >= 1/2 for t <= 1/6, a third.
    found = Grounding(draws=2000).run(Constant(), split(example(("red", (0, 0, 16, 32)))))
    assert found["miou_random_box"] == pytest.approx(2 * torch.tensor(2).log().item() - 1, abs=0.02)
    assert found["acc@0.5_random_box"] == pytest.approx(1 / 3, abs=0.03)


def test_the_random_box_depends_on_the_seed_alone():
    runs = [Grounding(seed=seed).run(Constant(), SPLIT)["miou_random_box"] for seed in (0, 0, 1)]
    assert runs[0] == runs[1] != runs[2]


def test_chance_is_the_better_of_the_two_guesses():
    found = Grounding().run(Constant(), SPLIT)
    for metric in ("acc@0.5", "miou", "acc@0.5_unique", "miou_unique"):
        lines = found[f"{metric}_centre_box"], found[f"{metric}_random_box"]
        assert found[f"{metric}_chance"] == max(lines)
    assert found["miou_centre_box"] != found["miou_random_box"]


def test_empty_where_the_embedder_cannot_ground():
    assert Grounding().run(Constant(grounds=False), SPLIT) == {}
