"""Ties, shuffled options, means, groups and their chance, on choices made here."""

import numpy as np
import PIL.Image
import pytest
import torch
import torch.nn.functional as F

from cloc.eval.choices import Choice, measure_choices, mirrored_option, unique_names
from cloc.eval.suite_pictures import Picture
from cloc.interfaces import Example
from tests.helpers.suites import SIDE, Chance, Encoder, Same


def picture(number: int) -> Picture:
    def read() -> Example:
        pixels = np.full((SIDE, SIDE, 3), 255, np.uint8)
        pixels[:, : SIDE // 2] = (number // 64 + 1, number % 64 * 4, 7)
        image = PIL.Image.fromarray(pixels)
        return Example(f"{number}", image, (), np.zeros((0, 4), np.float32), (), (), {})

    return Picture(f"{number}", read)


def choices(count: int, options: int, **changed) -> list[Choice]:
    return [
        Choice(
            name=f"case {i}",
            picture=picture(i % 400),
            options=tuple(f"says {i} {k}" for k in range(options)),
            gold=0,
            **{key: make(i) for key, make in changed.items()},
        )
        for i in range(count)
    ]


def measured(encoder, cases, **given):
    return measure_choices(encoder, cases, batch_size=64, **given)


class Prepositions(Encoder):
    """Sees nothing and likes the one preposition better than the next."""

    LIKED = ("left", "right", "under", "on")

    def image(self, number, mirrored):
        return F.one_hot(torch.tensor(0), 8).float()

    def text(self, text):
        place = next(i for i, word in enumerate(self.LIKED) if f" {word} " in f" {text} ")
        return F.normalize(torch.tensor([1.0, place, 0, 0, 0, 0, 0, 0]), dim=0)


def sets(count: int) -> list[Choice]:
    """What'sUp-like: four pictures of two things, with four captions each."""
    said = {p: f"a mug {p} of a pan" for p in Prepositions.LIKED}
    return [
        Choice(
            name=f"{i} {p}",
            picture=picture(4 * i + k),
            options=(f"{said[p]} {i}", *(f"{said[q]} {i}" for q in said if q != p)),
            gold=0,
            tags={"relation": p},
            groups={"pair": f"{i} {k // 2}", "set": f"{i}"},
        )
        for i in range(count)
        for k, p in enumerate(Prepositions.LIKED)
    ]


def test_a_constant_preposition_gets_a_quarter_no_pair_and_no_set():
    found = measured(Prepositions({}), sets(6), each=("relation",))
    assert [found[m] for m in ("accuracy", "pair", "set")] == [0.25, 0, 0]
    assert [found[f"{m}_chance"] for m in ("accuracy", "pair", "set")] == [1 / 4, 1 / 16, 1 / 256]
    assert [found[f"accuracy_{p}"] for p in Prepositions.LIKED] == [1, 0, 0, 0]
    assert found["macro_relation"] == 0.25
    assert found["accuracy_blind"] == 0.25


@pytest.mark.parametrize("seed", range(3))
def test_random_vectors_are_within_three_sigma_of_chance(seed):
    count, options = 1200, 4
    found = measured(Chance(seed), choices(count, options))
    sigma = (0.25 * 0.75 / count) ** 0.5
    assert abs(found["accuracy"] - 0.25) < 3 * sigma
    assert found["accuracy_chance"] == 0.25


def test_ties_are_wrong_wherever_the_true_option_stands():
    for gold in range(3):
        cases = choices(5, 3, tags=lambda i: {"kind": "x"})
        moved = [Choice(**{**vars(c), "gold": gold}) for c in cases]
        assert measured(Same({}), moved)["accuracy"] == 0


def test_a_difference_below_a_tie_is_a_tie():
    class Nearly(Same):
        def text(self, text):
            return super().text(text) * (1 + 1e-7 * text.endswith(" 0"))

    class Above(Same):
        def text(self, text):
            return super().text(text) * (1 - 1e-5 * (not text.endswith(" 0")))

    assert measured(Nearly({}), choices(5, 2))["accuracy"] == 0
    assert measured(Above({}), choices(5, 2))["accuracy"] == 1


class Earlier(Encoder):
    """Cheats: of the texts of one call, an earlier one is nearer to every picture."""

    def image(self, number, mirrored):
        return torch.tensor([1.0, 0.0])

    def texts(self, texts):
        angle = torch.linspace(0, 1.5, len(texts) + 1)[1:]
        return torch.stack([angle.cos(), angle.sin()], 1)


def test_nothing_is_won_by_being_encoded_first():
    cases = choices(400, 2)
    found = measure_choices(Earlier({}), cases, batch_size=4096)
    assert abs(found["accuracy"] - 0.5) < 3 * (0.25 / 400) ** 0.5
    other = measure_choices(Earlier({}), cases, batch_size=4096, seed=1)
    assert other["accuracy"] != found["accuracy"]


def test_the_mean_over_a_tag_differs_from_the_share_of_cases():
    """Right on the 8 cases of one relation and wrong on the 2 of the other."""
    cases = choices(10, 2, tags=lambda i: {"relation": "on" if i < 8 else "to the left of"})
    truth = {i: ((f"says {i} {int(i >= 8)}",),) * 2 for i in range(10)}
    found = measured(Encoder(truth), cases, each=("relation",))
    assert found["accuracy"] == 0.8
    assert found["macro_relation"] == 0.5
    assert (found["accuracy_on"], found["accuracy_to_the_left_of"]) == (1, 0)


def test_a_case_without_a_tag_is_in_no_mean_over_it():
    cases = choices(4, 2, tags=lambda i: {"relation": "on"} if i < 2 else {})
    truth = {i: ((f"says {i} {int(i >= 2)}",),) * 2 for i in range(4)}
    found = measured(Encoder(truth), cases)
    assert (found["accuracy"], found["macro_relation"]) == (0.5, 1)


def test_a_group_is_right_where_every_member_is():
    cases = choices(6, 2, groups=lambda i: {"pair": f"{i // 2}"})
    truth = {i: ((f"says {i} {int(i in (1, 4, 5))}",),) * 2 for i in range(6)}
    found = measured(Encoder(truth), cases)
    assert found["accuracy"] == 0.5
    assert found["pair"] == pytest.approx(1 / 3)
    assert found.figures.cases["pair"].names == ["0", "1", "2"]
    assert found.figures.cases["pair"].values.tolist() == [0, 1, 0]


def test_choices_of_different_length_have_the_mean_of_their_chances():
    cases = [*choices(1, 2), *choices(1, 5)]
    found = measured(Encoder({0: (("says 0 0",),) * 2}), cases)
    assert found["accuracy"] == 1
    assert found["accuracy_chance"] == (1 / 2 + 1 / 5) / 2


def test_options_that_are_read_alike_tie_and_are_counted():
    class Short(Encoder):
        def tokens(self, texts):
            return [text.split(" of")[0].encode() for text in texts]

        def text(self, text):
            return super().text(text.split(" of")[0])

    same = Choice(name="a", picture=picture(0), options=("red of a", "red of b"), gold=0)
    told = Choice(name="b", picture=picture(0), options=("red of a", "blue of b"), gold=0)
    found = measured(Short({0: (("red",),) * 2}), [same, told])
    assert found["accuracy"] == 0.5
    assert found.figures.about["read_alike"] == 1


def test_a_score_that_is_no_number_is_refused():
    class Broken(Same):
        def text(self, text):
            return super().text(text) * torch.nan

    with pytest.raises(ValueError, match="is not finite"):
        measured(Broken({}), choices(2, 2))


def test_the_mirrored_option_says_the_same_with_left_and_right_swapped():
    options = ("A cup to the left of a can", "A cup on a can", "A cup to the right of a can")
    assert mirrored_option(options, 0) == 2
    assert mirrored_option(options, 2) == 0
    assert mirrored_option(options, 1) is None
    assert mirrored_option(("left", "leftover"), 0) is None


def test_names_that_stand_twice_are_counted_on():
    assert unique_names(["a", "b", "a", "a"]) == ["a", "b", "a~2", "a~3"]
