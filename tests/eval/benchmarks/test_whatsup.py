"""What'sUp: its files as published, pairs and sets, computed a second time from the protocol."""

import json

import numpy as np
import pytest

from cloc.errors import UserError
from tests.helpers.suites import EMPTY, Chance, Encoder, benchmark, lay_out, load, turned

PARTS = {"whatsup_a": ("on", "under"), "whatsup_b": ("in-front", "behind")}


def by_protocol(name, encoder):
    """Individual, pair and set accuracy as the paper defines them, by names of files: option 0 is
    true, a pair is two opposite places of two things, a set all four; denominators n, n / 2, n / 4.
    """
    [rows] = load(name).values()
    right, upright = {}, PARTS[name]
    for number, row in enumerate(rows):
        picture = encoder.image(number, False).double()
        scores = [float(picture @ encoder.text(t).double()) for t in row["caption_options"]]
        words = row["image_path"].split("/")[-1].removesuffix(".jpeg").split("_")
        right[words[0], words[-1], words[1]] = scores[0] > max(scores[1:])
    things = {key[:2] for key in right}
    pairs = [right[*t, a] and right[*t, b] for t in things for a, b in (("left", "right"), upright)]
    wholes = [all(right[*t, r] for r in ("left", "right", *upright)) for t in things]
    n = len(rows)
    relations = {key[2] for key in right}
    means = [np.mean([v for key, v in right.items() if key[2] == r]) for r in relations]
    return {
        "accuracy": sum(right.values()) / n,
        "pair": sum(pairs) / (n / 2),
        "set": sum(wholes) / (n / 4),
        "macro_relation": np.mean(means),
    }


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("seed", range(4))
def test_figures_are_those_of_the_protocol(name, seed, tmp_path):
    lay_out(name, tmp_path)
    found = benchmark(name, tmp_path).run(Chance(seed), EMPTY)
    expected = by_protocol(name, Chance(seed))
    assert {m: found[m] for m in expected} == pytest.approx(expected, abs=1e-12)


def test_half_of_a_pair_is_no_pair(tmp_path):
    """Right on all but one picture of each set: one pair of two is right, and no set."""
    known = lay_out("whatsup_a", tmp_path)
    wrong = {i: (("nothing",),) * 2 if i % 4 == 0 else told for i, told in known.items()}
    found = benchmark("whatsup_a", tmp_path).run(Encoder(wrong), EMPTY)
    assert [found[m] for m in ("accuracy", "pair", "set")] == [0.75, 0.5, 0]
    assert [found[f"{m}_chance"] for m in ("accuracy", "pair", "set")] == [1 / 4, 1 / 16, 1 / 256]


def test_a_record_is_what_the_file_says(tmp_path):
    lay_out("whatsup_b", tmp_path)
    choices = benchmark("whatsup_b", tmp_path).choices()
    [rows] = load("whatsup_b").values()
    assert [list(choice.options) for choice in choices] == [row["caption_options"] for row in rows]
    assert {choice.gold for choice in choices} == {0}
    front = next(c for c in choices if c.tags["relation"] == "in-front")
    assert front.groups == {"pair": "fork tin in-front/behind", "set": "fork tin"}
    assert front.mirrored is None
    left = choices[0]
    assert left.options[left.mirrored] == turned(left.options[0]) != left.options[0]


def test_a_group_that_lacks_a_picture_counts_as_none(tmp_path):
    known = lay_out("whatsup_a", tmp_path)
    file = tmp_path / "controlled_images_dataset.json"
    rows = json.loads(file.read_text())
    file.write_text(json.dumps(rows[1:]))
    found = benchmark("whatsup_a", tmp_path).run(Encoder(known), EMPTY)
    assert found.figures.about["incomplete_groups"] == 2  # the pair and the set
    assert len(found.figures.cases["accuracy"].values) == 15
    assert len(found.figures.cases["pair"].values) == 7
    assert len(found.figures.cases["set"].values) == 3


def test_a_file_of_the_other_part_is_refused(tmp_path):
    lay_out("whatsup_b", tmp_path)
    (tmp_path / "controlled_clevr_dataset.json").rename(tmp_path / "controlled_images_dataset.json")
    with pytest.raises(UserError, match="does not read THING_RELATION_THING"):
        benchmark("whatsup_a", tmp_path).choices()


def test_another_subset_is_refused(tmp_path):
    with pytest.raises(UserError, match="set subset to A or B"):
        benchmark("whatsup_a", tmp_path, subset="C").choices()


def test_one_caption_too_few_is_refused(tmp_path):
    lay_out("whatsup_a", tmp_path)
    file = tmp_path / "controlled_images_dataset.json"
    rows = json.loads(file.read_text())
    rows[2]["caption_options"].pop()
    file.write_text(json.dumps(rows))
    with pytest.raises(UserError, match=r"entry 2: caption_options .* not 4 texts"):
        benchmark("whatsup_a", tmp_path).choices()
