"""Pairs of pictures and captions: who reads all, nothing, the opposite, or at random."""

import numpy as np
import PIL.Image
import pytest
import torch
import torch.nn.functional as F

from cloc.errors import UserError
from cloc.eval.benchmarks.wherebench import CHANCE, METRICS, WhereBench
from cloc.eval.measured import Measured
from cloc.interfaces import Prepared, Split
from cloc.scenes.wherebench.items import RELATIONS, item
from cloc.scenes.wherebench.versions import VERSIONS
from tests.eval.wherebench.encoder import Reader
from tests.helpers.oracle import Constant

EMPTY = Split("val", (), {})
PAIRS = 20
WHEREBENCH = WhereBench(pairs=PAIRS, size=64)
NAMES = [*METRICS, *(f"{relation}_{metric}" for relation in RELATIONS for metric in METRICS)]
MIRRORED = ("left_right", "count_side", "place")


@pytest.fixture(scope="module")
def of_reader():
    return WHEREBENCH.run(Reader(), EMPTY)


class Drawn:
    """Vectors drawn anew for every picture and text, or the same for all of a kind."""

    def __init__(self, *, pictures=True, texts=True):
        self.drawn = {"pictures": pictures, "texts": texts}
        self.rng = torch.Generator().manual_seed(0)

    def prepare(self, images, boxes):
        slots = torch.zeros(len(images), 0, 4)
        return Prepared(torch.zeros(len(images), 1), slots, slots[..., 0] > 0)

    def images(self, x):
        return self.vectors(len(x), "pictures")

    def texts(self, texts):
        return self.vectors(len(texts), "texts")

    def regions(self, x, boxes, valid):
        raise NotImplementedError

    def ground(self, x, phrases):
        return None

    def vectors(self, count, kind):
        found = torch.randn(count, 512, generator=self.rng)
        same = torch.linspace(-1, 1, 512).expand(count, -1)
        return F.normalize(found if self.drawn[kind] else same, dim=1)


def test_who_reads_all_is_right_everywhere(of_reader):
    assert {name: of_reader[name] for name in NAMES} == dict.fromkeys(NAMES, 1.0)


def test_who_reads_the_opposite_is_wrong_everywhere():
    few = WhereBench(pairs=6, size=64)
    found = few.run(Reader(sign=-1), EMPTY)
    assert {name: found[name] for name in NAMES} == dict.fromkeys(NAMES, 0.0)


def test_a_reader_loses_left_and_right_on_patches_in_no_order(of_reader):
    for relation in ("left_right", "above_below"):
        three_errors = 3 * 0.5 / (2 * PAIRS) ** 0.5
        assert of_reader[f"{relation}_text_permuted"] == pytest.approx(0.5, abs=three_errors)
    assert of_reader["group_permuted"] < 0.3


def test_a_mirror_inverts_what_is_read_where_sides_decide_and_is_no_line_elsewhere(of_reader):
    names = {name for name in of_reader if name.endswith("text_mirrored")}
    assert names == {"text_mirrored", *(f"{relation}_text_mirrored" for relation in MIRRORED)}
    assert {of_reader[name] for name in names} == {0.0}


def test_lines_stand_beside_the_figures(of_reader):
    assert isinstance(of_reader, Measured)
    for name in NAMES:
        assert of_reader[f"{name}_chance"] == CHANCE[name.rpartition("_")[2]]
    for relation, line in VERSIONS[1].bag_of_patches.items():
        assert of_reader[f"{relation}_image_bag"] == line
    controls = of_reader.figures.controls
    of_all = [controls[f"{relation}_text_permuted"] for relation in RELATIONS]
    assert controls["text_permuted"] == pytest.approx(np.mean(of_all))
    assert of_reader.figures.about["version"] == 1


def test_cases_are_pictures_captions_and_items(of_reader):
    cases = of_reader.figures.cases
    assert len(cases["text"].values) == len(cases["image"].values) == 2 * PAIRS * len(RELATIONS)
    assert len(cases["place_group"].values) == PAIRS
    assert cases["place_text"].names[:2] == ["place-00000-picture0", "place-00000-picture1"]
    assert cases["place_image"].names[0] == "place-00000-caption0"
    assert cases["place_group"].names[1] == "place-00001"


def test_one_vector_for_everything_is_wrong_everywhere():
    found = WhereBench(pairs=3, size=64).run(Constant(), EMPTY)
    assert {found[name] for name in NAMES} == {0.0}  # ties


def test_scores_at_random_are_at_the_chance_lines():
    many = WhereBench(pairs=300, size=64)
    scores = torch.rand(200_000, 2, 2, generator=torch.Generator().manual_seed(0))
    true, false = scores.diagonal(dim1=1, dim2=2), scores.flip(2).diagonal(dim1=1, dim2=2)
    group = (true.amin(1) > false.amax(1)).double().mean()
    assert group == pytest.approx(CHANCE["group"], abs=3 * (5 / 36 / 200_000) ** 0.5)
    part = many._relation(Drawn(), "place", torch.zeros(512))
    for metric in METRICS:
        p, cases = CHANCE[metric], len(part.cases[metric].values)
        assert part.cases[metric].mean() == pytest.approx(p, abs=3 * (p * (1 - p) / cases) ** 0.5)


def test_captions_alone_and_pictures_alone_get_half_of_one_metric_and_nothing_of_the_rest():
    few = WhereBench(pairs=10, size=64)
    found = few.run(Drawn(pictures=False), EMPTY)
    assert [found[metric] for metric in METRICS] == [0.5, 0.0, 0.0]
    assert found["text_blind"] == 0.5
    found = few.run(Drawn(texts=False), EMPTY)
    assert [found[metric] for metric in METRICS] == [0.0, 0.5, 0.0]


def test_pictures_are_drawn_when_they_are_looked_at_and_one_batch_at_a_time():
    held = []

    class Counts(Drawn):
        def prepare(self, images, boxes):
            assert all(isinstance(image, PIL.Image.Image) for image in images)
            held.append(len(images))
            return super().prepare(images, boxes)

    WhereBench(pairs=5, size=64, batch_size=4).run(Counts(), EMPTY)
    assert max(held) == 4
    assert callable(item("place", 0, size=64).examples[0][1])


@pytest.mark.parametrize(
    ("wrong", "words"), [({"pairs": 0}, "pairs to 1"), ({"size": 63}, "set size=224")]
)
def test_what_cannot_be_drawn_is_refused(wrong, words):
    with pytest.raises(UserError, match=words):
        WhereBench(**wrong)
