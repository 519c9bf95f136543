"""ARO: the false caption comes first in two of its sets; its figure is a mean over relations."""

import json

import numpy as np
import pytest

from cloc.errors import UserError
from tests.helpers.suites import EMPTY, Chance, Encoder, benchmark, lay_out, load


def scored(name, encoder, fields):
    """Whether the true caption is above each false one, for each record."""
    [rows] = load(name).values()
    for number, row in enumerate(rows):
        picture = encoder.image(number, False).double()
        true, *false = (float(picture @ encoder.text(row[f]).double()) for f in fields)
        yield row, true > max(false)


@pytest.mark.parametrize("seed", range(3))
def test_relation_figures_are_those_of_the_protocol(seed, tmp_path):
    lay_out("aro_relation", tmp_path)
    found = benchmark("aro_relation", tmp_path, left_out=["near"]).run(Chance(seed), EMPTY)
    right = list(scored("aro_relation", Chance(seed), ("true_caption", "false_caption")))
    relations = {row["relation_name"] for row, _ in right}
    means = {r: np.mean([x for row, x in right if row["relation_name"] == r]) for r in relations}
    assert found["accuracy"] == pytest.approx(np.mean([x for _, x in right]))
    assert found["macro_relation"] == pytest.approx(np.mean(list(means.values())))
    del means["near"]
    assert found["macro_kept_relation"] == pytest.approx(np.mean(list(means.values())))


def test_macro_is_not_micro(tmp_path):
    """Right on the five cases of "on", of nine cases and five relations."""
    known = lay_out("aro_relation", tmp_path)
    on = {i: own if " is on " in own[0][0] else ((), ()) for i, own in known.items()}
    found = benchmark("aro_relation", tmp_path).run(Encoder(on), EMPTY)
    assert found["accuracy"] == 5 / 9
    assert found["macro_relation"] == pytest.approx(1 / 5)
    assert "macro_kept_relation" not in found


@pytest.mark.parametrize("seed", range(3))
def test_attribution_figures_are_those_of_the_protocol(seed, tmp_path):
    lay_out("aro_attribution", tmp_path)
    found = benchmark("aro_attribution", tmp_path).run(Chance(seed), EMPTY)
    right = list(scored("aro_attribution", Chance(seed), ("true_caption", "false_caption")))
    red = [x for row, x in right if row["attributes"] == ["red", "tall"]]
    wet = [x for row, x in right if row["attributes"] == ["wet", "striped"]]
    assert (len(red), len(wet)) == (26, 3)  # pairs of fewer than 25 are not in the published mean
    assert found["accuracy"] == pytest.approx(np.mean(red + wet))
    assert found["macro_attributes"] == pytest.approx((np.mean(red) + np.mean(wet)) / 2)
    assert found["macro_common_attributes"] == pytest.approx(np.mean(red))


@pytest.mark.parametrize("name", ["aro_coco_order", "aro_flickr_order"])
def test_order_figures_are_those_of_the_protocol(name, tmp_path):
    known = lay_out(name, tmp_path)
    number = {text: i for i, (texts, _) in known.items() for text in texts}
    found = benchmark(name, tmp_path).run(Chance(1), EMPTY)
    [rows] = load(name).values()
    encoder, right = Chance(1), []
    for row in rows:
        picture = encoder.image(number[row["caption_options"][0]], False).double()
        scores = [float(picture @ encoder.text(t).double()) for t in row["caption_options"]]
        right.append(scores[0] > max(scores[1:]))
    assert found["accuracy"] == pytest.approx(np.mean(right))
    assert found["accuracy_chance"] == pytest.approx(1 / 5)


def test_records_are_what_the_file_says(tmp_path):
    lay_out("aro_relation", tmp_path)
    [rows] = load("aro_relation").values()
    for choice, row in zip(benchmark("aro_relation", tmp_path).choices(), rows, strict=True):
        assert list(choice.options) == [row["false_caption"], row["true_caption"]]
        assert choice.gold == 1
        image = choice.picture.read().image  # what is painted is the box alone, on black
        assert image.size == (row["bbox_w"], row["bbox_h"])
        assert np.asarray(image).max(-1).min() > 0


def test_the_whole_picture_is_not_what_an_oracle_reads(tmp_path, monkeypatch):
    known = lay_out("aro_relation", tmp_path)
    monkeypatch.setattr("cloc.eval.benchmarks.aro._crop", lambda row, where: (0, 0, 40, 40))
    assert benchmark("aro_relation", tmp_path).run(Encoder(known), EMPTY)["accuracy"] == 0


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"bbox_w": 0}, "a box of 0 x 24 pixels"),
        ({"bbox_x": "3"}, "bbox_x is '3', not a whole number"),
        ({"relation_name": 4}, "relation_name is 4, not a text"),
    ],
)
def test_a_broken_record_is_told(changed, words, tmp_path):
    lay_out("aro_relation", tmp_path)
    file = tmp_path / "visual_genome_relation.json"
    rows = json.loads(file.read_text())
    rows[3].update(changed)
    file.write_text(json.dumps(rows))
    with pytest.raises(UserError, match=f"entry 3: {words}"):
        benchmark("aro_relation", tmp_path).choices()


def test_a_left_out_relation_that_is_none_is_refused(tmp_path):
    lay_out("aro_relation", tmp_path)
    with pytest.raises(UserError, match="left_out names 'nearby'"):
        benchmark("aro_relation", tmp_path, left_out=["nearby"]).choices()


def test_another_source_is_refused(tmp_path):
    with pytest.raises(UserError, match="set source to coco or flickr30k"):
        benchmark("aro_coco_order", tmp_path, source="vg").choices()
