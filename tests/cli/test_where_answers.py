"""The second page of `where`: its cells, what it says of them, and how it looks."""

import json

import pytest

from cloc.cli.config.compose import compose_config, plain
from cloc.cli.matrix.answers_words import FIGURES, contrasts, verdict
from cloc.cli.matrix.cell import write_cell
from cloc.cli.matrix.plan import read_cells
from cloc.cli.matrix.words import changes
from cloc.cli.pages.where_answers import CONTROLS, write_answers
from cloc.cli.tasks.where_answers import planned_answers
from cloc.errors import UserError

ARMS = ["CLIP", "CLOC", "relational CLOC"]
REPAIRS = {
    **{"base": None, "no places": None, "norm balance": None, "AdaptVis": "base"},
    **{"pasted": "base", "PIN": "pasted", "twin": "base"},
}


def config(*overrides):
    return plain(compose_config("where", ["out=runs/x", *overrides]))


def found(value, cfg=None):
    """Every figure of a cell as `value` has it, but for the controls, which are at chance."""
    cells = {}
    for cell in planned_answers(cfg or config(), "train=1"):
        told = {f.metric: value(cell, f.metric) for f in FIGURES}
        told |= {f"{f.metric}_{line}": 0.5 for f in FIGURES for line in CONTROLS}
        told |= {f"{f.metric}_chance": 0.5 for f in FIGURES[1:4]}
        weights = {"decoder": 1000} | ({"pin": 100} if cell.encoding == "PIN" else {})
        cells[cell] = {
            "sizes": {"64": {"answers": told}},
            "weights": weights,
            "questions_per_s": 100.0 + cell.seed,
            "tokens_per_s": 1000.0 + cell.seed,
        }
    return cells


def said(cells):
    return verdict(changes(cells, contrasts(ARMS, REPAIRS), size="64", figures=FIGURES), ARMS)


def test_a_cell_is_an_encoder_a_repair_and_a_seed():
    planned = planned_answers(config(), "train=1")
    assert len(planned) == 3 * 7 * 3
    names = [cell.name for cell in planned]
    assert names[:2] == ["clip-base-0", "cloc-base-0"]
    [pin] = [cell for cell in planned if cell.name == "cloc-pin-2"]
    assert {"decoder.pin={}", "decoder.kinds=[where]"} <= set(pin.words)
    assert pin.recipe()["decoder.connector.places"] is False
    [base] = [cell for cell in planned if cell.name == "cloc-base-2"]
    assert base.recipe()["decoder.connector.norm"] == "none"
    assert base.recipe()["decoder.connector.places"] is True


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("answers.arms=[SigLIP]", r"answers\.arms: no arm is called SigLIP"),
        ("answers.repairs.twin.of=bass", r"answers\.repairs\.twin\.of=bass: no such repair"),
        ("answers.encoding=polar", r"answers\.encoding=polar: no such encoding"),
    ],
)
def test_what_cannot_be_planned_is_one_line(word, told):
    with pytest.raises(UserError, match=told):
        planned_answers(config(word), "")


def test_a_cell_tells_of_its_weights_and_its_speed(tmp_path):
    [cell] = [x for x in planned_answers(config(), "") if x.name == "clip-twin-1"]
    write_cell(tmp_path, cell, {"64": {"answers": {"what": 0.5}}}, {"weights": {"decoder": 3}})
    assert json.loads((tmp_path / "clip-twin-1.json").read_text())["weights"] == {"decoder": 3}
    assert read_cells(tmp_path, [cell])[cell]["weights"] == {"decoder": 3}


def test_repairs_that_gain_behind_a_localized_encoder_add_up():
    def value(cell, metric):
        gain = 0.2 if cell.encoding == "PIN" and metric == "where_acc@0.5" else 0.0
        return 0.3 + 0.2 * ARMS.index(cell.arm) + gain + 0.001 * cell.seed

    told = said(found(value))
    assert any(x.startswith("relational CLOC in place of CLIP") and "+0.400" in x for x in told)
    assert any(x.startswith("PIN changes where by +0.200") for x in told)
    assert any(x.startswith("PIN behind pasted changes where by +0.200") for x in told)
    assert not any(x.startswith("pasted behind base") for x in told)  # said of it as a repair
    assert "twin changes nothing clearly, behind any encoder." in told
    assert told[-1].endswith("does not make them unnecessary: they add up.")


def test_repairs_that_gain_behind_the_first_encoder_alone_are_unnecessary():
    def value(cell, metric):
        gain = 0.2 if cell.encoding == "twin" and cell.arm == "CLIP" else 0.0
        return 0.5 + (gain if metric == "look_alike" else 0) + 0.001 * cell.seed

    told = said(found(value))
    assert "behind CLIP twin (look-alikes +0.200); behind relational CLOC none" in told[-1]
    assert told[-1].endswith("a localized encoder makes them unnecessary.")


def test_nothing_is_said_beyond_its_interval():
    noise = iter([0.9, 0.1, 0.5, 0.3, 0.8] * 200)
    told = said(found(lambda cell, metric: next(noise)))
    assert not any("changes what by" in sentence for sentence in told[:1])
    one = {c: x for c, x in found(lambda c, m: 0.5).items() if c.seed == 0}
    assert said(one) == ["One seed: there are no intervals, so nothing is said of repairs."]
    assert said({}) == ["There are no two cells to compare yet."]


def test_the_page_has_every_figure_its_control_and_what_a_repair_adds(tmp_path):
    cells = found(lambda cell, metric: 0.5 + 0.01 * cell.seed)
    write_answers(tmp_path / "answers.html", list(cells), cells, repairs=REPAIRS, cure="do it")
    page = (tmp_path / "answers.html").read_text()
    for text in (
        "63 of 63 cells",
        "look-alikes",
        "patches in random order",
        "a grey picture",
        "100 of 1,000",
    ):
        assert text in page
    assert "do it" not in page
    write_answers(tmp_path / "none.html", list(cells), {}, repairs=REPAIRS, cure="do it")
    assert "do it" in (tmp_path / "none.html").read_text()
