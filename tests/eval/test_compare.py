"""Results side by side: one protocol on the same data, or another row."""

import json

import pytest
import torch

from cloc.cli import compare as command
from cloc.cli.tasks.compare import short_names
from cloc.errors import UserError
from cloc.eval.compare import labels, read_result, table_of
from cloc.eval.detail import DETAIL, Circumstances, detail_of, write
from cloc.eval.measured import Figures, Measured, cases_of

NAMES = [f"case {i}" for i in range(300)]


def result(
    folder, right, *, key="whatsup_a", partial="", data="a", names=NAMES, controls=None, **about
):
    values = Measured(
        Figures(
            cases={"accuracy": cases_of(right, names)},
            chance={"accuracy": 0.25},
            controls=controls or {},
            about=about,
        )
    )
    told = Circumstances(f"open_clip:{folder.name}", "own: pad", "d", partial, {})
    write(folder, {key: values}, {key: detail_of(key, values, told, {"data": data})})
    return folder


HALF = torch.arange(300) % 2 == 0
MORE = HALF | (torch.arange(300) % 5 == 0)
FEW = HALF.clone()
FEW[1] = True


def test_differences_to_the_first_are_clear_or_not(tmp_path):
    folders = [result(tmp_path / n, r) for n, r in (("a", HALF), ("b", MORE), ("c", FEW))]
    [(column, (first, clear, unclear))] = table_of([read_result(f) for f in folders]).items()
    assert (column.key, column.metric) == ("whatsup_a", "accuracy")
    assert (first.value, first.chance, first.apart) == (0.5, 0.25, None)
    assert clear.apart == pytest.approx(0.1)
    assert clear.is_clear
    assert unclear.apart == pytest.approx(1 / 300)
    assert not unclear.is_clear
    assert first.interval.low < 0.5 < first.interval.high


@pytest.mark.parametrize(
    "other",
    [
        {"partial": "the first 9 examples of each split"},
        {"data": "b"},
        {"protocol": "fitted to dev"},
        {"templates": "clip_7"},
        {"negatives": 3},
        {"key": "whatsup_a@crop"},
    ],
)
def test_another_protocol_other_data_or_a_part_is_never_beside_it(tmp_path, other):
    folders = [result(tmp_path / "a", HALF), result(tmp_path / "b", MORE, **other)]
    table = table_of([read_result(f) for f in folders])
    assert [[cell is None for cell in cells] for cells in table.values()] == [
        [False, True],
        [True, False],
    ]
    names = labels(table)
    assert len(set(names)) == 2
    assert labels(list(table)[:1]) == ["whatsup_a accuracy"]


def with_digest(folder, digest, *, data):
    """As an evaluation leaves it."""
    result(folder, HALF, data=data)
    details = json.loads((folder / DETAIL).read_text())
    for detail in details.values():
        detail["about"] = {"data_digest": digest}
    (folder / DETAIL).write_text(json.dumps(details))
    return read_result(folder)


def test_data_are_the_same_where_their_digests_are_whatever_they_are_called(tmp_path):
    """Shards made anew in a place have the same names and other pictures; a place has two paths."""
    given = {"a": ("1", "data/val"), "b": ("2", "data/val"), "c": ("1", "../data/val")}
    results = [with_digest(tmp_path / n, d, data=path) for n, (d, path) in given.items()]
    table = table_of(results)
    assert [[cell is not None for cell in row] for row in table.values()] == [
        [True, False, True],
        [False, True, False],
    ]
    assert len(set(labels(table))) == 2
    assert "data/val" in labels(table)[0]


def test_a_result_of_before_digests_were_kept_is_known_by_its_name_and_cases(tmp_path):
    results = [
        with_digest(tmp_path / "a", "1", data="val"),
        read_result(result(tmp_path / "b", MORE, data="val")),
        read_result(result(tmp_path / "c", MORE, data="other")),
    ]
    assert [[c is not None for c in row] for row in table_of(results).values()] == [
        [True, True, False],
        [False, False, True],
    ]


def test_results_of_before_without_a_common_case_are_of_other_data(tmp_path):
    other = [f"other {name}" for name in NAMES]
    names = {"a": NAMES, "b": other, "c": NAMES, "d": other}
    lines = {"accuracy_blind": 0.25}  # which has no cases, and stands with its figure
    folders = [result(tmp_path / n, HALF, names=x, controls=lines) for n, x in names.items()]
    results = [read_result(folder) for folder in folders]
    cells = table_of(results).values()
    assert [[cell is not None for cell in row] for row in cells] == [
        *[[True, False, True, False]] * 2,
        *[[False, True, False, True]] * 2,
    ]
    assert len(set(labels(table_of(results)))) == 4


def test_prompts_are_told_apart_however_many_and_equal_ones_share_a_row(tmp_path):
    many = [f"a photo of the {{}}, {i} of many." for i in range(80)]
    given = {"a": many, "same": many, "b": [*many[:-1], "the last"]}
    results = [read_result(result(tmp_path / n, HALF, templates=t)) for n, t in given.items()]
    assert len(table_of(results[:2])) == 1
    names = labels(table_of(results))
    assert len(set(names)) == len(names) == 2
    assert all(len(name) < 120 for name in names)


def test_figures_without_kept_cases_are_told_apart_without_an_interval(tmp_path):
    folders = [result(tmp_path / n, r) for n, r in (("a", HALF), ("b", MORE))]
    (folders[1] / "cases.npz").unlink()
    [(_, cells)] = table_of([read_result(f) for f in folders]).items()
    assert cells[1].apart == pytest.approx(0.1)
    assert cells[1].apart_interval is None
    assert not cells[1].is_clear


def test_the_command_prints_a_table_and_writes_a_page(tmp_path, capsys, monkeypatch):
    a, b, c = (str(result(tmp_path / n, r)) for n, r in (("a", HALF), ("b", MORE), ("<c>", FEW)))
    monkeypatch.setenv("COLUMNS", "160")
    command.main([a, b, c, f"out={tmp_path}/page.html"])
    printed = " ".join(capsys.readouterr().out.split())
    assert "whatsup_a accuracy │ 0.500 │ 0.600 │ 0.503 │ +0.100 (+0.0" in printed
    assert "│ [+0.003] │ 0.250 │" in printed
    monkeypatch.setenv("COLUMNS", "80")
    command.main([a, b, c])
    printed = " ".join(capsys.readouterr().out.split())
    assert "whatsup_a accuracy │ 0.500 │ 0.600 │ [0.503] │ 0.250 │" in printed
    assert "[in brackets]: not clearly apart from a;" in printed
    page = (tmp_path / "page.html").read_text()
    assert page.count('data-value="0.5"') == 1
    assert "&lt;c&gt;" in page
    assert "<c>" not in page
    assert "http" not in page.replace("http-equiv", "")  # nothing to fetch
    assert not (tmp_path / "page.html.partial").exists()


DAMAGED = {
    "damaged": {"x": 3},
    "empty": {"x": {"metrics": {"y": {}}}},
    "strange": {"x": {"metrics": {"y": {"value": 1}}, "about": 3}},
}


def test_what_was_not_measured_is_one_line(tmp_path):
    measured = result(tmp_path / "a", HALF)
    (tmp_path / "old").mkdir()
    (tmp_path / "old/metrics.json").write_text(json.dumps({"x": {"y": 1}}))
    for name, detail in DAMAGED.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics_detail.json").write_text(json.dumps(detail))
        with pytest.raises(UserError, match="x has no figures"):
            read_result(tmp_path / name)
    for given, says in (
        ([], "give one or more folders"),
        ([str(measured)] * 2, "the same folder twice; give each once"),
        ([str(measured), "results=[x]"], r"^results=\[x\] beside .*: give them in one way"),
        ([f"{tmp_path}/none"], r"none has no metrics_detail.json \(not measured\); cloc-pretrain"),
        ([f"{tmp_path}/old"], r"\(it is of before these were kept\)"),
        ([f"{tmp_path}/damaged"], r"metrics_detail\.json: x has no figures; measure .* again"),
        ([str(measured), "out=nowhere/p.html"], "out=nowhere/p.html: nowhere is no folder"),
    ):
        with pytest.raises(UserError, match=says):
            command.main(given)


def test_names_are_short_where_that_tells_them_apart():
    assert short_names(["runs/a", "runs/b"]) == ["a", "b"]
    assert short_names(["x/a", "y/a"]) == ["x/a", "y/a"]
