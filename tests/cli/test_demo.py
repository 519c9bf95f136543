"""The demo's own doing, with small parts: the order, what is told, what is kept, what is drawn."""

import re
import signal
import subprocess
import sys
from contextlib import chdir
from functools import partial
from types import SimpleNamespace

import PIL.Image
import pytest

from cloc.cli import demo
from cloc.cli.config.compose import compose_config
from cloc.cli.tasks.demo import PARTS, Part, _minutes, _signals_to, run_all
from cloc.errors import UserError
from tests.helpers.warm import Forked

SIZES = ("train=32", "val=8", "novel=8", "samples_per_shard=16")
SHORT = ("batch_size=8", "data.num_workers=0", "eval.every=0", "logger=[jsonl]", "log_every=1")
MODEL = (
    "model.tower.config.vision_cfg={image_size: 64, patch_size: 16, width: 64, layers: 1}",
    "model.tower.config.embed_dim=64",
)


def small():
    """The demo's own parts, of which only the sizes are others."""
    found = []
    for part in PARTS:
        words = part.words
        if words[0] == "prepare":
            words = (*words, *SIZES)
        if words[0] == "train":
            words = (*words, *SHORT, *MODEL, "steps=3", "checkpoint_every=2")
        if words[0] == "evaluate":
            words = (*words, "limit=8", "gallery=1")
        found.append(part._replace(words=words))
    return found


def started(place, words):
    """A training, without the seconds that a new interpreter takes."""
    assert words[:3] == [sys.executable, "-m", "cloc"]
    return Forked(words[2:], module="cloc", cwd=place, out=place / "out", err=place / "err")


@pytest.mark.slow
@pytest.mark.rare
def test_it_ends_with_pictures_and_a_table_and_goes_on_where_it_was(tmp_path, capsys, monkeypatch):
    stand_in = SimpleNamespace(Popen=partial(started, tmp_path))
    monkeypatch.setattr("cloc.cli.tasks.demo.subprocess", stand_in)
    with chdir(tmp_path):
        run_all(small())
        said = capsys.readouterr().out
        whole = r"about \d\d minutes"
        assert re.search(rf"^6 parts, {whole} on two cores\n", said)
        assert re.search(rf"^1/6 20,000 scenes; {whole} to go\n", said, re.MULTILINE)
        assert "the first picture of found boxes: runs/demo/first_boxes.png" in said
        assert "runs/demo_clip" in said.rpartition("6/6")[2]
        for name in ("first_boxes.png", "found_boxes.png"):
            with PIL.Image.open(f"runs/demo/{name}") as picture:
                assert picture.size == (3 * 512 + 4 * 8, 2 * 512 + 3 * 8)
        before = (tmp_path / "runs/demo/metrics.json").stat().st_mtime
        run_all(small())
        said = capsys.readouterr().out
        assert "runs/demo/report.html is there" in said
        assert "runs/demo/open_clip/parity.json is there" in said
        assert (tmp_path / "runs/demo/metrics.json").stat().st_mtime == before


def test_its_parts_are_commands_that_compose():
    for part in PARTS:
        words = [word for word in part.words[1:] if not word.startswith("twin=")]
        assert compose_config(part.words[0], words)


def test_a_part_that_fails_ends_it_with_one_line(tmp_path):
    wrong = Part("wrong", (1, 1), ("train", "experiment=nothing"), trains=tmp_path)
    with chdir(tmp_path), pytest.raises(UserError, match="train experiment=nothing has failed"):
        run_all([wrong])


def test_a_signal_is_the_trainings_to_heed():
    code = (
        "import signal, sys; signal.signal(15, lambda *_: sys.exit(143))\n"
        "print(1, flush=True); signal.pause()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    before = signal.getsignal(signal.SIGTERM)
    with _signals_to(process):
        process.stdout.readline()
        signal.raise_signal(signal.SIGTERM)
        assert process.wait(20) == 143
    assert signal.getsignal(signal.SIGTERM) is before
    process.stdout.close()


def test_an_error_beside_it_ends_the_training():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    with pytest.raises(ZeroDivisionError), _signals_to(process):
        raise ZeroDivisionError
    assert process.returncode == -signal.SIGTERM


def test_it_takes_no_arguments():
    with pytest.raises(UserError, match="demo takes no arguments, not steps=3"):
        demo.main(["steps=3"])


def test_minutes_are_told_as_people_tell_them():
    assert [_minutes(x) for x in (12.2, 1.6, 1.0, 0.0)] == [
        *("12 minutes", "2 minutes", "60 seconds", "1 seconds")
    ]
