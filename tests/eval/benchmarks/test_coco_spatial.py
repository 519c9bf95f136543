"""COCO-spatial and GQA-spatial: records, relations, and figures from the protocol."""

import json

import numpy as np
import pytest

from cloc.errors import UserError
from tests.helpers.suites import EMPTY, Chance, Encoder, benchmark, lay_out, load, truths

RELATIONS = {
    "coco_spatial_one": ["left", "right", "top", "left", "bottom"],
    "coco_spatial_two": ["left", "above", "right", "below"],
    "gqa_spatial_one": ["right", "top", "left"],
    "gqa_spatial_two": ["left", "front", "top", "behind"],
}


@pytest.mark.parametrize("name", RELATIONS)
def test_a_record_is_what_the_file_says(name, tmp_path):
    lay_out(name, tmp_path)
    choices = benchmark(name, tmp_path).choices()
    [rows] = load(name).values()
    assert [list(choice.options) for choice in choices] == [row[1:] for row in rows]
    assert [choice.tags["relation"] for choice in choices] == RELATIONS[name]
    assert [choice.picture.key for choice in choices] == [truth.path for truth in truths(name)]
    sided = [choice.mirrored for choice in choices]
    assert sided == [1 if r in ("left", "right") else None for r in RELATIONS[name]]


@pytest.mark.parametrize("name", RELATIONS)
@pytest.mark.parametrize("seed", range(3))
def test_figures_are_those_of_the_protocol(name, seed, tmp_path):
    lay_out(name, tmp_path)
    encoder, right = Chance(seed), []
    [rows] = load(name).values()
    order = list(dict.fromkeys(str(row[0]) for row in rows))
    for number, true, false in rows:
        picture = encoder.image(order.index(str(number)), False).double()
        right.append(
            bool(picture @ encoder.text(true).double() > picture @ encoder.text(false).double())
        )
    relations = np.array(RELATIONS[name])
    means = [np.mean(np.array(right)[relations == r]) for r in set(relations)]
    found = benchmark(name, tmp_path).run(Chance(seed), EMPTY)
    assert found["accuracy"] == pytest.approx(np.mean(right))
    assert found["macro_relation"] == pytest.approx(np.mean(means))
    assert found["accuracy_chance"] == found["macro_relation_chance"] == 0.5


def test_the_mean_over_relations_is_not_the_share_of_cases(tmp_path):
    known = lay_out("coco_spatial_one", tmp_path)
    left = {i: own if "left" in own[0][0] else ((), ()) for i, own in known.items()}
    left[2] = (("A photo of a cup on the left",),) * 2  # the picture that has two captions
    found = benchmark("coco_spatial_one", tmp_path).run(Encoder(left), EMPTY)
    assert found["accuracy"] == 2 / 5
    assert found["macro_relation"] == 1 / 4
    assert (found["accuracy_left"], found["accuracy_top"]) == (1, 0)


@pytest.mark.parametrize("row", [[1, "a"], ["x", "a", "b"], [True, "a", "b"], [1, "a", " "], 3])
def test_another_form_of_a_record_is_refused(row, tmp_path):
    lay_out("coco_spatial_one", tmp_path)
    (tmp_path / "coco_qa_one_obj.json").write_text(json.dumps([row]))
    with pytest.raises(UserError, match=r"entry 0 is .*, not \[number of a picture"):
        benchmark("coco_spatial_one", tmp_path).choices()


def test_another_set_is_refused(tmp_path):
    with pytest.raises(UserError, match="set source to coco or gqa and objects to one or two"):
        benchmark("coco_spatial_one", tmp_path, objects="three").choices()
