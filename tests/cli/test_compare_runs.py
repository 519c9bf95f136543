"""What a table of runs says of how they were trained."""

import io
import json

import pytest
from rich.console import Console

from cloc.cli.compare_runs import how_trained, main
from cloc.errors import UserError

METRICS = {"grounding": {"miou": 0.5}}
FACTS = {"parameters": {"total": 1234567, "trained": 4321}}
ROWS = [
    {"step": 0, "speed/images_per_s": 10.0, "memory/peak_gib": 1.5},
    {"step": 9, "speed/images_per_s": 30.0, "memory/peak_gib": 1.25},
    {"step": 19, "speed/images_per_s": 20.0, "retention/a.x": 0.5, "retention/a.y": 0.9},
    {"step": 20, "retention/a.x": 0.97, "retention/a.y": 0.99},
]


def test_each_figure_is_the_runs_own_and_what_is_missing_stays_empty(tmp_path):
    """Median speed, highest memory, the smallest share of the start at the end."""
    run, bare = tmp_path / "run", tmp_path / "bare"
    for folder in (run, bare):
        folder.mkdir()
    (run / "provenance.json").write_text(json.dumps(FACTS))
    (run / "config.yaml").write_text("steps: 20\nbatch_size: 64\n")
    (run / "metrics.jsonl").write_text("\n".join(map(json.dumps, ROWS)) + "\n")
    text = io.StringIO()
    Console(width=100, file=text).print(how_trained([str(run), str(bare)]))
    lines = [line.replace("│", "|") for line in text.getvalue().splitlines()]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if "|" in line]
    assert cells == [
        ["parameters trained", "4,321", ""],
        ["of", "1,234,567", ""],
        ["samples", "1,280", ""],
        ["images/s", "20", ""],
        ["memory, GiB", "1.5", ""],
        ["kept of the start", "0.97", ""],
    ]


def test_names_are_printed_as_they_are(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["set[v2]", "x[/b]", ":star:"]
    for name in names:
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "metrics.json").write_text(json.dumps(METRICS))
    main(names)
    said = capsys.readouterr().out
    for name in ("set[v2]", "b]", ":star:"):
        assert said.count(name) >= 3  # over both tables, and what to open


@pytest.mark.parametrize(
    ("name", "text", "cure"),
    [
        ("metrics.json", '{"grounding": {"mi', r"cloc-pretrain evaluate run=.*run"),
        ("metrics.json", "[1]", r"cloc-pretrain evaluate run=.*run"),
        ("provenance.json", '{"parameters": {', "move it away"),
        ("config.yaml", "steps: [1", "move it away"),
    ],
)
def test_a_damaged_file_of_a_run_is_named_with_its_cure(tmp_path, name, text, cure):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/metrics.json").write_text(json.dumps(METRICS))
    (tmp_path / "run" / name).write_text(text)
    with pytest.raises(UserError, match=f"{name}.*{cure}"):
        main([str(tmp_path / "run")])


def test_a_last_line_that_a_kill_cut_off_and_foreign_values_are_left_out(tmp_path, capsys):
    run = tmp_path / "run"
    run.mkdir()
    (run / "metrics.json").write_text(json.dumps(METRICS))
    (run / "provenance.json").write_text('{"parameters": [1]}')
    (run / "config.yaml").write_text("steps: many\n")
    (run / "metrics.jsonl").write_text('{"step": 1, "speed/images_per_s": 37.5}\n{"step": 2, "sp')
    main([str(run)])
    assert "37.5" in capsys.readouterr().out
