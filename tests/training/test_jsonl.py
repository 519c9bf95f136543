"""One JSON object per logged step, appended and on disk at once."""

import json

from cloc.training.jsonl import JSONLLogger


def test_lines_are_step_and_values_and_a_resumed_run_appends(tmp_path):
    JSONLLogger(tmp_path / "run").log_metrics({"a": 1.5, "epoch": 0.0}, 3)
    again = JSONLLogger(tmp_path / "run")
    again.log_metrics({"a": 2.0, "b": 0.25}, 4)
    lines = (tmp_path / "run/metrics.jsonl").read_text().splitlines()  # while `again` lives
    assert [json.loads(line) for line in lines] == [
        {"step": 3, "a": 1.5},
        {"step": 4, "a": 2.0, "b": 0.25},
    ]


def test_a_last_line_that_a_kill_has_cut_off_is_replaced(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 3, "a": 1.5}\n{"step": 4, "a"')
    JSONLLogger(tmp_path).log_metrics({"a": 2.0}, 4)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"step": 3, "a": 1.5}, {"step": 4, "a": 2.0}]


def test_hyperparameters_are_no_lines(tmp_path):
    logger = JSONLLogger(tmp_path)
    logger.log_hyperparams({"a": 1})
    assert not logger.path.exists()
    assert (logger.name, logger.version) == ("jsonl", "")
