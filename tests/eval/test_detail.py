"""What stands beside every figure, and the cases it is a mean of."""

import errno
import json
from pathlib import Path

import pytest
import torch

from cloc.errors import UserError
from cloc.eval.detail import Circumstances, detail_of, read_cases, write
from cloc.eval.measured import Cases, Figures, Measured, cases_of

ABOUT = Circumstances("open_clip:x", "own: crop 32x32", "d1", "", {"commit": "c"})
NAMES = [f"img{i}#0 ünï" for i in range(40)]
RIGHT = torch.arange(40) % 4 > 0


def measured():
    by_class = Cases(values=RIGHT.double(), names=NAMES, classes=torch.arange(40) % 5)
    return Measured(
        Figures(
            cases={"top1": cases_of(RIGHT, NAMES), "class_mean": by_class},
            chance={"top1": 0.2, "class_mean": 0.2},
            controls={"top1_blind": 0.21},
            about={"protocol": "bare names"},
        )
    )


def test_a_figure_has_its_protocol_chance_interval_and_circumstances():
    found = detail_of("regions@crop/novel", measured(), ABOUT, {"data": "shards"})
    assert (found["protocol"], found["extractor"], found["split"]) == ("regions", "crop", "novel")
    assert (found["encoder"], found["frame"], found["digest"]) == ("open_clip:x", ABOUT.frame, "d1")
    assert (found["data"], found["about"]) == ("shards", {"protocol": "bare names"})
    top1 = found["metrics"]["top1"]
    assert (top1["value"], top1["chance"], top1["cases"]) == (0.75, 0.2, 40)
    assert top1["low"] < 0.75 < top1["high"]
    assert found["metrics"]["top1_blind"] == {"value": 0.21, "chance": None}
    assert set(found["metrics"]) == {"top1", "class_mean", "top1_blind"}
    plain = detail_of("mine", {"score": 0.5, "score_chance": 0.1}, ABOUT, {})
    assert plain["metrics"] == {"score": {"value": 0.5, "chance": 0.1}}
    assert (plain["extractor"], plain["split"]) == ("own", "")


def test_without_room_nothing_is_written_and_what_there_was_stays(tmp_path, monkeypatch):
    write(tmp_path, {"old": measured()}, {"old": {}})
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    text = Path.write_text

    def full(self, *given, **more):
        if self.name == "metrics.json.partial":
            raise OSError(errno.ENOSPC, "No space left on device")
        return text(self, *given, **more)

    monkeypatch.setattr(Path, "write_text", full)
    says = rf"{tmp_path}: the figures cannot be written .No space left on device.; make room"
    with pytest.raises(UserError, match=says):
        write(tmp_path, {"new": {"score": 1.0}}, {})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_is_written_is_read_back_case_by_case(tmp_path):
    results = {"regions@crop": measured(), "mine": {"score": 0.5}}
    write(tmp_path / "new", results, {"regions@crop": {}})
    assert json.loads((tmp_path / "new/metrics.json").read_text())["mine"] == {"score": 0.5}
    cases = read_cases(tmp_path / "new")
    assert set(cases) == {("regions@crop", "top1"), ("regions@crop", "class_mean")}
    for (_, metric), found in cases.items():
        wanted = results["regions@crop"].figures.cases[metric]
        assert list(found.names) == NAMES
        assert found.values.equal(wanted.values)
        assert found.mean() == pytest.approx(wanted.mean())
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == [
        "cases.npz",
        "metrics.json",
        "metrics_detail.json",
    ]
    assert read_cases(tmp_path) == {}
    raw = (tmp_path / "new/cases.npz").read_bytes()
    middle = raw[:200] + bytes(200) + raw[400:]
    for damaged in (b"PK but not whole", b"text", b"", raw[:500], middle):
        (tmp_path / "new/cases.npz").write_bytes(damaged)
        with pytest.raises(UserError, match=r"cases.npz is damaged, or no file of c.*; measure .*"):
            read_cases(tmp_path / "new")
