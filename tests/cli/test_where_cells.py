"""Cells of the matrix: their names, their recipe, and what their figures say together."""

import json
import re
from dataclasses import replace
from math import sqrt
from statistics import stdev

import pytest

from cloc.cli.matrix.cell import name_of, scenes_of, write_cell
from cloc.cli.matrix.plan import Cell, cells, read_cells
from cloc.cli.matrix.summary import FIGURES, T, apart, mean_of, over_seeds
from cloc.cli.matrix.words import BALANCED, changes, contrasts, costs, verdict
from cloc.cli.pages.where import write_where
from cloc.errors import UserError

OF = {"experiment": "where", "scenes": "plain", "suspect": "objective"}
ARMS = dict.fromkeys(("CLIP", "CLOC"), OF)
SUSPECTS = dict.fromkeys(ARMS, "objective")
ENCODINGS = {name: {"positions": {"absolute": name}} for name in ("none", "learned")}
PLANNED = cells(ARMS, ENCODINGS, [0, 1, 2], [])
PICK, *_, TOP1, RETRIEVAL = FIGURES


def figures(pick=0.5, top1=0.5, **more):
    return {
        "64": {
            "look_alikes": {"pick": pick, "pick_chance": 0.5, **more},
            "region_classification": {"top1": top1},
            "image_text_retrieval": {"i2t_r@1": 0.3},
        }
    }


def found(pick, top1=lambda cell: 0.5):
    return {cell: {"sizes": figures(pick(cell), top1(cell))} for cell in PLANNED}


def test_a_seed_of_all_comes_before_the_next_seed_and_each_has_a_name_of_its_own():
    assert [cell.seed for cell in PLANNED] == [0] * 4 + [1] * 4 + [2] * 4
    assert len({cell.name for cell in PLANNED}) == 12
    assert PLANNED[0].name == "clip-none-0"
    with pytest.raises(UserError, match="two cells are called clip-learned-0"):
        cells({**ARMS, "clip": ARMS["CLIP"]}, ENCODINGS, [0], [])


def test_a_training_is_told_its_positions_its_seed_and_its_scenes(tmp_path):
    positions = {"absolute": "none", "relative": {"kind": "irpe", "method": "product"}}
    tower = {"positions": positions, "norm_balance": 1.0}
    cell = Cell("CLOC", "where", "plain", "irpe", tower, 2, ("steps=5",))
    words = cell.overrides(tmp_path)
    assert "model.tower.positions.relative={kind:irpe,method:product}" in words
    assert "model.tower.norm_balance=1.0" in words
    assert {"seed=2", f"data.train={tmp_path}/plain/train", "steps=5"} <= set(words)
    two = replace(cell, scenes="plain+pasted").overrides(tmp_path)
    assert f"data.train=['{tmp_path}/plain/train', '{tmp_path}/pasted/train']" in two


def test_a_recipe_is_all_but_seed_and_places():
    one, *others = PLANNED
    same = [cell for cell in others if (cell.arm, cell.encoding) == (one.arm, one.encoding)]
    assert all(cell.recipe() == one.recipe() for cell in same)
    longer = cells(ARMS, ENCODINGS, [0], ["steps=7"])[0]
    other = next(cell for cell in PLANNED if cell.encoding != one.encoding)
    assert longer.recipe()["steps"] == 7 != one.recipe()["steps"]
    assert other.recipe()["model.tower.positions.absolute"] == "learned"
    assert one.recipe()["model.tower.positions.absolute"] == "none"
    [on_less] = cells(ARMS, {"none": ENCODINGS["none"]}, [0], [], "val=3")[:1]
    assert on_less.recipe()["setting"] == "val=3"


def test_a_finished_cell_is_read_again_and_one_of_another_recipe_is_refused(tmp_path):
    cell = PLANNED[3]
    assert read_cells(tmp_path, PLANNED) == {}
    write_cell(tmp_path, cell, figures(1 / 3))
    [(again, told)] = read_cells(tmp_path, PLANNED).items()
    assert again == cell
    assert told["sizes"]["64"]["look_alikes"]["pick"] == 0.33333
    path = tmp_path / f"{cell.name}.json"
    of_another = {**told["recipe"], "steps": 7}
    path.write_text(json.dumps({**told, "recipe": of_another}))
    with pytest.raises(UserError, match=f"{cell.name}.json was measured with steps=7, and this is"):
        read_cells(tmp_path, PLANNED)
    later = {key: value for key, value in told["recipe"].items() if key != "schedule.warmup"}
    path.write_text(json.dumps({**told, "recipe": later}))  # an option that came later
    assert set(read_cells(tmp_path, PLANNED)) == {cell}
    path.write_text("{")
    with pytest.raises(UserError, match=f"{cell.name}.json is damaged"):
        read_cells(tmp_path, PLANNED)


def test_sizes_have_names_and_the_scenes_of_their_longer_side():
    assert [name_of(64), name_of([64, 128])] == ["64", "64x128"]
    assert [scenes_of(64), scenes_of([64, 128])] == ["val64", "val128"]


def test_the_interval_is_students():
    assert mean_of([]) is None
    assert mean_of([0.5]) == (0.5, None, (0.5,))
    three = mean_of([0.1, 0.2, 0.6])
    assert three.mean == pytest.approx(0.3)
    assert three.half == pytest.approx(4.303 * stdev([0.1, 0.2, 0.6]) / sqrt(3))
    assert mean_of([0.0, 1.0] * 20).half == pytest.approx(1.96 * stdev([0, 1] * 20) / sqrt(40))
    assert list(T) == sorted(T, reverse=True)
    assert mean_of([0.2, 0.21, 0.19]).is_clear
    assert not mean_of([0.2, -0.2, 0.3]).is_clear
    assert not mean_of([0.9]).is_clear  # nobody can say


def test_a_difference_is_of_pairs_and_its_interval_over_seeds():
    by_seed = {0: 0.1, 1: 0.2, 2: 0.3}
    all_of = found(lambda cell: by_seed[cell.seed] * (cell.arm == "CLOC") + 0.01 * cell.seed)
    change = apart(all_of, PICK, size="64", key="arm", one="CLOC", other="CLIP")
    assert change.values == pytest.approx((0.1, 0.2, 0.3))  # two encodings each, of one seed
    assert apart(all_of, PICK, size="96", key="arm", one="CLOC", other="CLIP") is None
    within = apart(
        all_of, PICK, size="64", key="encoding", one="none", other="learned", within=["CLOC"]
    )
    assert within.mean == pytest.approx(0)
    rows = over_seeds(all_of, PICK, size="64", arm="CLOC", encoding="none")
    assert rows.mean == pytest.approx(0.21)


def told(all_of, encodings=tuple(ENCODINGS)):
    return changes(all_of, contrasts(SUSPECTS, list(encodings)), size="64")


def test_the_guilty_one_is_the_largest_clear_change_of_where():
    noise = {0: 0.0, 1: 0.01, 2: -0.01}
    of_arm = found(lambda cell: 0.3 * (cell.arm == "CLOC") + noise[cell.seed])
    *sentences, last, many = verdict(told(of_arm))
    assert many == "Of 2 comparisons of where, 0 would be clear by chance alone."
    assert last.startswith("Guilty on this data: the objective, whose largest clear change is 0.30")
    assert "Objective: CLOC against CLIP changes look-alikes by +0.300" in sentences[0]
    assert "Position encoding: no change of where is clear of its interval." in sentences
    of_place = found(lambda cell: 0.2 * (cell.encoding == "none") + noise[cell.seed])
    assert "the position encoding" in verdict(told(of_place))[-2]


def test_nothing_is_claimed_inside_intervals_or_of_one_seed():
    wild = {0: 0.4, 1: -0.4, 2: 0.1}
    inside = told(found(lambda cell: wild[cell.seed] * (cell.arm == "CLOC")))
    assert verdict(inside)[-1] == "No suspect is guilty beyond its interval on this data."
    one = {cell: {"sizes": figures(0.5)} for cell in PLANNED if cell.seed == 0}
    assert verdict(told(one)) == [
        "One seed: there are no intervals, so nothing is said of what is guilty."
    ]
    assert verdict([]) == ["There are no two cells to compare yet."]


def test_what_it_costs_is_said():
    steady = {0: 0.0, 1: 0.001, 2: -0.001}
    top1 = found(
        lambda cell: 0.5, lambda cell: 0.8 - 0.1 * (cell.arm == "CLOC") * (1 + steady[cell.seed])
    )
    [line] = costs(told(top1))
    assert line.startswith("CLOC against CLIP costs names of regions -0.100 (95 %: -0.1")
    assert costs(told(found(lambda cell: 0.5))) == [
        "Nothing clearly costs names of regions or retrieval."
    ]


def test_loudness_is_an_encoding_against_the_same_without_balance():
    asked = contrasts(SUSPECTS, ["none", "learned", f"learned{BALANCED}"])
    [loud] = [c for c in asked if c.suspect == "loudness"]
    assert (loud.one, loud.other, loud.within) == (f"learned{BALANCED}", "learned", "CLOC")
    assert [c.one for c in asked if c.suspect == "position encoding"] == ["none"]


def test_encodings_are_compared_in_each_arm_with_regions_and_an_arm_with_the_one_before():
    asked = contrasts({**SUSPECTS, "bare": "region head"}, ["none", "learned"])
    assert [(c.suspect, c.label) for c in asked] == [
        ("objective", "CLOC against CLIP"),
        ("region head", "bare against CLOC"),
        ("position encoding", "none against learned, CLOC"),
        ("position encoding", "none against learned, bare"),
    ]


def test_the_page_shows_what_is_there(tmp_path):
    out = tmp_path / "where.html"
    write_where(out, PLANNED, {}, cure="cloc-pretrain where")
    assert "0 of 12 cells are measured; <code>cloc-pretrain where</code> does the others" in (
        out.read_text()
    )
    some = dict(list(found(lambda cell: 0.7).items())[:9])
    write_where(out, PLANNED, some, cure="cloc-pretrain where")
    page = out.read_text()
    assert "9 of 12 cells" in page
    assert page.count("0.700") >= 4
    assert "not there" in page  # figures that no cell has
    wild = {0: 0.4, 1: -0.4, 2: 0.1}
    for seeds, colour in ((wild, "soft"), ({0: 0.3, 1: 0.31, 2: 0.29}, "run")):
        told = found(lambda cell, of=seeds: 0.5 + of[cell.seed] * (cell.arm == "CLOC"))
        write_where(out, PLANNED, told, cure="cloc-pretrain where")
        changed = re.search(r"CLOC against CLIP.*?</svg>", out.read_text(), re.DOTALL)[0]
        assert f'height="6" fill="var(--{colour})"' in changed
    write_where(out, PLANNED, found(lambda cell: 0.7), cure="cloc-pretrain where")
    assert "does the others" not in out.read_text()
