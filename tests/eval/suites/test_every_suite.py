"""What holds of each suite of captions, made by its YAML file on files in the published format."""

import dataclasses
import json

import pytest
import torch

from cloc.errors import UserError
from cloc.eval.answer_cache import Memo
from tests.helpers.suites import (
    EMPTY,
    SUITES,
    AntiOracle,
    Chance,
    Encoder,
    Same,
    benchmark,
    lay_out,
    truths,
)


@pytest.fixture(params=SUITES)
def suite(request, tmp_path):
    known = lay_out(request.param, tmp_path)
    return request.param, benchmark(request.param, tmp_path), known


def figures(found, *, of=""):
    """The metrics themselves: without lines that stand beside them."""
    return {name: value for name, value in found.items() if name in found.figures.cases}


def test_an_oracle_is_perfect_and_sees_nothing_on_the_controls(suite):
    name, bench, known = suite
    found = bench.run(Encoder(known), EMPTY)
    assert len(figures(found)) >= 1
    assert set(figures(found).values()) == {1.0}
    for control in ("permuted", "blind"):
        lost = {m: found[f"{m}_{control}"] for m in figures(found) if f"{m}_{control}" in found}
        assert lost
        guessed = {m: v for m, v in lost.items() if not name.startswith("vsr") or "flipped" in m}
        assert set(guessed.values()) <= {0.0}


def test_an_anti_oracle_is_always_wrong(suite):
    name, bench, known = suite
    found = figures(bench.run(AntiOracle(known), EMPTY))
    wrong = {m: v for m, v in found.items() if not name.startswith("vsr") or "flipped" in m}
    assert set(wrong.values()) <= {0.0}
    if name.startswith("vsr"):  # no threshold helps: the best of dev is the same answer for all
        assert found["accuracy"] == bench.run(AntiOracle(known), EMPTY)["accuracy_constant"]


def test_ties_are_wrong_and_a_threshold_gives_the_constant_answer(suite):
    name, bench, known = suite
    run = bench.run(Same(known), EMPTY)
    found = figures(run)
    wrong = {m: v for m, v in found.items() if not name.startswith("vsr") or "flipped" in m}
    assert set(wrong.values()) <= {0.0}
    if name.startswith("vsr"):
        assert found["accuracy"] == run["accuracy_constant"] == 5 / 8


def test_every_figure_has_its_chance_and_its_cases(suite):
    _, bench, _ = suite
    found = bench.run(Chance(), EMPTY)
    for metric, cases in found.figures.cases.items():
        assert 0 < found[f"{metric}_chance"] < 1
        assert len(cases.names) == len(set(cases.names)) == len(cases.values)
        assert found[metric] == cases.mean()
    assert found.figures.about["protocol"]


def test_what_is_asked_about_does_not_depend_on_the_encoder(suite):
    _, bench, known = suite
    memos = Memo(Encoder(known)), Memo(Chance())
    for memo in memos:
        bench.run(memo, EMPTY)
    assert memos[0].asked == memos[1].asked
    assert memos[0].asked


def test_names_and_figures_do_not_depend_on_the_order_of_options(suite):
    _, bench, _ = suite
    first, other = (
        bench.run(Chance(), EMPTY),
        dataclasses.replace(bench, seed=5).run(Chance(), EMPTY),
    )
    assert figures(first) == figures(other)
    for metric, cases in first.figures.cases.items():
        assert list(other.figures.cases[metric].names) == list(cases.names)


def test_left_and_right_turn_where_a_mirrored_picture_is_seen(suite):
    name, bench, known = suite
    found = bench.run(Encoder(known), EMPTY)
    metric = "flipped_accuracy_left_right" if name.startswith("vsr") else "accuracy_left_right"
    sided = not any(word in name for word in ("sugarcrepe", "order", "attribution"))
    assert (metric in found) == sided
    if sided:
        assert found[metric] == 1
        assert found[f"{metric}_mirrored"] == 0
        assert found[f"{metric}_mirrored_turned"] == 1
        blind = Encoder({number: (own, own) for number, (own, _) in known.items()})
        assert bench.run(blind, EMPTY)[f"{metric}_mirrored"] == 1  # does not see the mirror


def test_a_suite_reads_its_own_data_and_asks_for_no_region(suite):
    _, bench, _ = suite
    assert type(bench).own_data is True
    assert type(bench).uses_regions is False


def test_a_missing_picture_is_told_in_one_line(suite, tmp_path):
    name, bench, _ = suite
    paths = list(dict.fromkeys(truth.path for truth in truths(name)))
    for path in paths[-2:]:
        (tmp_path / path).unlink()
    with pytest.raises(UserError, match=r"no such picture; \d of \d+ that the") as told:
        bench.run(Same({}), EMPTY)
    assert "\n" not in str(told.value)


def test_a_missing_or_broken_file_is_told_in_one_line(suite, tmp_path):
    _, bench, _ = suite
    files = sorted(tmp_path.rglob("*.json*"))
    for text, words in (("{nonsense", "no JSON"), ("[]", None), ('["x"]', None)):
        for file in files:
            file.write_text(text)
        with pytest.raises(UserError, match=words) as told:
            bench.run(Same({}), EMPTY)
        assert "\n" not in str(told.value)
        assert files[0].parent.name in str(told.value)
    for file in files:
        file.unlink()
    with pytest.raises(UserError, match="no such file; set its root"):
        bench.run(Same({}), EMPTY)


def test_a_record_without_a_field_is_told_in_one_line(suite, tmp_path):
    _, bench, _ = suite
    for file in sorted(tmp_path.rglob("*.json")):
        rows = json.loads(file.read_text())
        first = next(iter(rows.values())) if isinstance(rows, dict) else rows[0]
        del first[next(key for key in first if key != "image_id") if isinstance(first, dict) else 1]
        file.write_text(json.dumps(rows))
    for file in sorted(tmp_path.rglob("*.jsonl")):
        file.write_text(file.read_text().replace('"caption"', '"words"', 1))
    with pytest.raises(UserError, match="entry 0") as told:
        bench.run(Same({}), EMPTY)
    assert "\n" not in str(told.value)


def test_metrics_are_those_of_a_float64_vector_by_hand(suite):
    """The share of right choices, from the cosines of the drawn vectors, one case at a time."""
    name, bench, _ = suite
    if name.startswith("vsr"):
        pytest.skip("has a threshold; see test_vsr.py")
    encoder, right = Chance(seed=3), []
    numbers = {path: i for i, path in enumerate(dict.fromkeys(t.path for t in truths(name)))}
    for choice in bench.choices():
        number = numbers[choice.picture.key.partition("@")[0]]
        picture = encoder.image(number, False).double()
        scores = [float(picture @ encoder.text(text).double()) for text in choice.options]
        best = scores.pop(choice.gold)
        right.append(all(best > other for other in scores))
    found = bench.run(Chance(seed=3), EMPTY)
    assert found["accuracy"] == pytest.approx(sum(right) / len(right), abs=1e-12)
    assert found.figures.cases["accuracy"].values.tolist() == [float(x) for x in right]
    assert torch.get_default_dtype() == torch.float32
