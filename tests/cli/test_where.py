"""`where` as a whole, small: cells one after another, what is there is kept, the page; and what is
refused before anything is drawn."""

import json
import subprocess
from contextlib import chdir
from functools import partial
from types import SimpleNamespace

import pytest

from cloc.cli import where
from cloc.errors import UserError
from tests.helpers.warm import Forked

FEW = ("train=40", "val=12", "seeds=[0]", "pairs=[2,1]", "sizes=[64,96]")
SMALL = (
    *(*FEW, "chosen=[none,rope_axial]", "pages=[encoders]"),
    "words=[steps=2,batch_size=8,schedule.warmup=1,data.num_workers=0,log_every=1]",
)
ARMS = ("clip", "cloc", "relational_cloc")


def trained(place, words, *, stdout, check):
    """Without the seconds that a new interpreter takes."""
    process = Forked(words[2:], module="cloc", cwd=place, out=place / "out", err=place / "err")
    code = process.wait(300)
    assert code == 0, (place / "err").read_text()
    return SimpleNamespace(returncode=code)


@pytest.mark.slow
@pytest.mark.rare
def test_it_measures_what_is_missing_and_shows_what_is_there(tmp_path, monkeypatch, capsys):
    stand_in = SimpleNamespace(run=partial(trained, tmp_path), DEVNULL=subprocess.DEVNULL)
    monkeypatch.setattr("cloc.cli.matrix.cell.subprocess", stand_in)
    with chdir(tmp_path):
        where.main([*SMALL, "chosen=[none]"])
        assert capsys.readouterr().out.startswith("0 of 3 cells are there; 3 to go\n")
        names = {f"{arm}-none-0" for arm in ARMS}
        cells = {path.stem: path for path in (tmp_path / "runs/where/cells").iterdir()}
        assert cells.keys() == names
        assert list((tmp_path / "runs/where/runs").iterdir()) == []
        before = {path: path.read_bytes() for path in cells.values()}
        where.main(list(SMALL))
        assert capsys.readouterr().out.startswith("3 of 6 cells are there; 3 to go\n")
        assert {path: path.read_bytes() for path in before} == before
    told = json.loads(cells["relational_cloc-none-0"].read_text())["sizes"]
    assert told.keys() == {"64", "96"}
    assert {"look_alikes", "grounding", "region_classification"} <= told["96"].keys()
    assert "wherebench2" in told["64"]
    clip = json.loads(cells["clip-none-0"].read_text())["sizes"]["64"]
    assert "pick" in clip["look_alikes"]  # by its patches, as it has no head
    assert "grounding" not in clip
    page = (tmp_path / "runs/where/where.html").read_text()
    assert "7 of 7 cells are measured" in page
    assert "One seed: there are no intervals" in page


@pytest.mark.slow
@pytest.mark.rare
def test_decoders_behind_its_encoders_with_every_repair(tmp_path, monkeypatch, capsys):
    """The second page: figures with their controls; what others go on from is trained once."""
    stand_in = SimpleNamespace(run=partial(trained, tmp_path), DEVNULL=subprocess.DEVNULL)
    monkeypatch.setattr("cloc.cli.matrix.cell.subprocess", stand_in)
    few = "steps=2,batch_size=2,schedule.warmup=1,data.num_workers=0,decoder.boxes.form=tokens"
    words = ["pages=[answers]", "answers.arms=[CLOC]", "answers.questions=4"]
    with chdir(tmp_path):
        where.main([*FEW, SMALL[-1], *words, f"answers.words=[{few}]"])
    assert capsys.readouterr().out.startswith("0 of 7 answers are there; 7 to go\n")
    folder = tmp_path / "runs/where"
    kept = {path.name for path in (folder / "decoders").iterdir()}
    assert kept == {"cloc-base-0", "cloc-pasted-0"}  # others go on from them
    told = {p.stem: json.loads(p.read_text()) for p in (folder / "cells/answers").iterdir()}
    assert len(told) == 7
    figures = told["cloc-pin-0"]["sizes"]["64"]["answers"]
    lines = ("", "_permuted", "_blind", "_own_head")
    assert {f"where_miou{line}" for line in lines} <= figures.keys()
    assert told["cloc-pin-0"]["weights"]["pin"] > 0
    assert told["cloc-twin-0"]["weights"]["twin"] > 0
    assert set(told["cloc-adaptvis-0"]["steer"]) == {"where", "what", "whether"}
    assert "7 of 7 cells are measured" in (folder / "answers.html").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["seeds=[]"], r"seeds=\[\]"),
        (["seeds=[1,1]"], "one of them twice"),
        (["chosen=[rope]"], r"chosen=\[rope\]: no such encoding; there are none, learned"),
        (["sizes=[]"], r"sizes=\[\]"),
        (["sizes=[64,banana]"], "sizes=.*banana"),
        (["sizes=[70]"], "clip-none-. at 70 pixels: .* divides an image by 8"),
        (["pairs=[0,1]"], "pairs"),
        (["pairs=[2]"], "pairs"),
        (["pairs=[a,b]"], "pairs"),
        (["pairs=3"], "pairs"),
        (["train=0"], "train"),
        (["words=[stepz=3]"], "stepz"),
        (["arms.CLIP.experiment=nobody"], "nobody"),
        (["encodings.none.positions.absolute=polar"], "polar"),
        (["nonsense=1"], "nonsense"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_drawn(words, said, tmp_path, monkeypatch):
    monkeypatch.setattr("cloc.cli.tasks.where.draw_scenes", lambda *_: pytest.fail("it began"))
    with chdir(tmp_path), pytest.raises(UserError, match=said):
        where.main(words)
    assert list(tmp_path.iterdir()) == []
