"""Metric keys into cards and tables: splits, extractors, chance lines and controls."""

import math

import pytest

from cloc.report.tables import Column, Key, cards, parse_key, read_metrics, shown_number, tables

RUN = {
    "region_classification": {"top1": 0.9, "top1_chance": 0.01},
    "region_classification@crop": {"top1": 0.3, "top1_chance": 0.01},
    "region_classification/novel": {"top1": 0.8, "top1_chance": 0.02},
    "spatial_relations": {"accuracy": 0.6, "accuracy_permuted": 0.5, "accuracy_chance": 0.5},
    "grounding": {
        "acc@0.5": 0.7,
        "acc@0.5_centre_box": 0.2,
        "acc@0.5_random_box": 0.1,
        "acc@0.5_chance": 0.2,
        "num_queries": 3211.0,
    },
}
TWIN = {
    "region_classification@crop": {"top1": 0.1, "top1_chance": 0.01},
    "region_classification@roi": {"top1": 0.2, "top1_chance": 0.01},
    "region_classification@roi/novel": {"top1": 0.15, "top1_chance": 0.02},
    "grounding": {},
}


def made():
    return {t.title: t for t in tables("demo", RUN, twin="clip", twin_metrics=TWIN)}


@pytest.mark.parametrize(
    ("key", "parts"),
    [
        ("grounding", ("grounding", "", "")),
        ("grounding/novel", ("grounding", "", "novel")),
        ("region_classification@crop/novel", ("region_classification", "crop", "novel")),
    ],
)
def test_a_key_has_three_parts(key, parts):
    assert parse_key(key) == Key(*parts)


def test_every_metric_of_both_runs_is_in_one_row():
    table = made()["region_classification"]
    assert table.columns == (
        Column("demo", ""),
        Column("demo", "crop"),
        Column("clip", "crop"),
        Column("clip", "roi"),
    )
    assert table.groups == [("demo", 2), ("clip", 2)]
    assert [(r.metric, r.split, r.values) for r in table.rows] == [
        ("top1", "", (0.9, 0.3, 0.1, 0.2)),
        ("top1", "novel", (0.8, None, None, 0.15)),
    ]
    assert [r.references for r in table.rows] == [(("chance", 0.01),), (("chance", 0.02),)]
    assert [r.best for r in table.rows] == [0.9, 0.8]


def test_the_columns_of_the_run_come_first_and_of_each_run_its_own_embedding():
    run = {"x@crop": {"m": 0.5}, "x/novel": {"m": 1.0}}
    table = tables("b", run, twin="a", twin_metrics={"x@roi": {"m": 0.1}, "x": {"m": 0.1}})[0]
    assert table.columns == (
        Column("b", ""),
        Column("b", "crop"),
        Column("a", ""),
        Column("a", "roi"),
    )


def test_a_control_is_read_against_the_chance_of_what_it_controls_and_has_no_winner():
    plain, control = made()["spatial_relations"].rows
    assert (plain.control, control.control) == ("", "patches shuffled")
    assert control.references == (("chance", 0.5),)
    assert control.best is None


def test_named_references_stand_for_the_chance_line_and_counts_have_none():
    score, count = made()["grounding"].rows
    assert score.references == (("centre box", 0.2), ("random box", 0.1))
    assert (count.metric, count.is_count, count.references) == ("num_queries", True, ())
    assert made()["grounding"].columns == (Column("demo", ""),)  # the twin's is empty


def test_cards_show_the_own_embedding_and_the_twins_best_extractor():
    first, second, *_ = cards(list(made().values()), run="demo", twin="clip")
    assert (first.metric, first.value, first.extractor) == ("region_classification.top1", 0.9, "")
    assert first.twin == ("roi", 0.2)
    assert first.splits == (("novel", 0.8),)
    assert (second.metric, second.twin) == ("grounding.acc@0.5", None)


def test_a_run_without_an_embedding_of_its_own_is_shown_by_its_best():
    (card,) = cards(tables("clip", TWIN, twin="", twin_metrics={}), run="clip", twin="")
    assert (card.value, card.extractor, card.twin) == (0.2, "roi", None)


def test_at_most_so_many_cards_and_none_for_a_value_that_is_not_finite():
    found = tables("r", RUN, twin="", twin_metrics={})
    assert len(cards(found, run="r", twin="", at_most=2)) == 2
    lost = tables("r", {"grounding": {"miou": math.nan}}, twin="", twin_metrics={})
    assert cards(lost, run="r", twin="") == []


@pytest.mark.parametrize(
    ("value", "is_count", "text"),
    [
        (0.12345, False, "0.123"),
        (None, False, "\N{EN DASH}"),
        (math.nan, False, "not finite"),
        (3211.0, True, "3,211"),
    ],
)
def test_numbers_as_people_read_them(value, is_count, text):
    assert shown_number(value, is_count=is_count) == text


def test_a_run_that_was_not_evaluated_has_no_metrics(tmp_path):
    assert read_metrics(tmp_path) == {}
    (tmp_path / "metrics.json").write_text('{"a": {"m": null, "n": 1}}')
    assert math.isnan(read_metrics(tmp_path)["a"]["m"])


def test_what_shuffling_does_stands_right_below_its_figure():
    """A share that is lost has no line of chance: it is no share of right answers."""
    lines = ("permuted_patches", "psi_patches", "permuted_tokens", "psi_tokens")
    values = {"top1": 0.7, "class_mean": 0.6, "top1_chance": 0.1, "class_mean_chance": 0.1}
    values |= {f"{name}_{line}": 0.5 for name in ("top1", "class_mean") for line in lines}
    [table] = tables("a", {"region_classification": values}, twin="", twin_metrics={})
    names = [row.metric for row in table.rows]
    expected = [
        name for own in ("top1", "class_mean") for name in (own, *(f"{own}_{x}" for x in lines))
    ]
    assert names == expected
    for row in table.rows:
        assert bool(row.control) == (row.metric not in ("top1", "class_mean"))
        assert row.references == (() if "_psi_" in row.metric else (("chance", 0.1),))
