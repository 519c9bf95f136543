"""True against flipped captions, and the two controls."""

import torch

from cloc.eval.benchmarks.spatial_relations import SpatialRelations
from tests.helpers.oracle import NAMES, Constant, Oracle, example, split

LEFT, RIGHT = (2, 8, 10, 24), (20, 8, 28, 24)
CHANCE = {f"accuracy{x}_chance": 0.5 for x in ("", "_permuted", "_blind")}


def scene(left: str, right: str):
    pairs = [
        {"caption": f"{a} {word} of {b}", "flipped": f"{a} {flipped} of {b}"}
        for a, word, b, flipped in (
            (left, "left", right, "right"),
            (right, "right", left, "left"),
        )
    ]
    return example((left, LEFT), (right, RIGHT), meta={"relations": pairs})


SCENES = [scene(a, b) for a in NAMES for b in NAMES if a != b] * 5
SPLIT = split(*SCENES, example(("red", LEFT)))


class FirstText(Constant):
    """Cheats: the first, third, fifth text it is given lies nearer to every image."""

    def texts(self, texts):
        out = super().texts(texts).clone()
        out[1::2] *= -1
        return out


def test_an_oracle_is_perfect_and_loses_it_on_both_controls():
    found = SpatialRelations(batch_size=7).run(Oracle(), SPLIT)
    assert found["accuracy"] == 1
    assert 0.25 < found["accuracy_permuted"] < 0.75
    assert found["accuracy_blind"] == 0  # grey holds no colour: both captions tie
    assert {name: found[name] for name in CHANCE} == CHANCE


def test_ties_count_as_wrong():
    found = SpatialRelations().run(Constant(), SPLIT)
    assert found == {"accuracy": 0, "accuracy_permuted": 0, "accuracy_blind": 0} | CHANCE


def test_an_embedder_cannot_win_by_where_a_text_stands():
    captions = [{"caption": f"yes {i}", "flipped": f"no {i}"} for i in range(200)]
    listed = split(example(("red", LEFT), meta={"relations": captions}))
    found = SpatialRelations(batch_size=1000).run(FirstText(), listed)
    assert 0.4 < found["accuracy"] < 0.6
    other = SpatialRelations(batch_size=1000, seed=1).run(FirstText(), listed)
    assert other["accuracy"] != found["accuracy"]


def test_a_reversed_reader_is_always_wrong():
    class Mirrored(Oracle):
        def images(self, x):
            return super().images(torch.flip(x, dims=[2]))

    assert SpatialRelations().run(Mirrored(), SPLIT)["accuracy"] == 0


def test_empty_without_relations():
    assert SpatialRelations().run(Oracle(), split(example(("red", LEFT)))) == {}
