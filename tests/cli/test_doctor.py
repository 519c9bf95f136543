"""`doctor` is `bench what=doctor`, in a word of its own."""

from contextlib import nullcontext

import pytest

from cloc.cli import doctor
from cloc.errors import UserError


def test_it_asks_bench_and_hands_on_the_keys(monkeypatch):
    asked = []
    monkeypatch.setattr(doctor, "main", lambda words, *, ends: asked.append(words))
    doctor.asked(["experiment=demo", "images=8"], ends=nullcontext)
    assert asked == [["what=doctor", "experiment=demo", "images=8"]]


def test_it_shows_the_keys_of_the_run_and_its_own():
    cfg = doctor.composed(["experiment=demo"])
    assert cfg.what == "doctor"
    assert cfg.name == "demo"


def test_what_is_wrong_is_what_bench_says():
    with pytest.raises(UserError, match="what=doctor does not read shards_of_a_job="):
        doctor.asked(["experiment=demo", "shards_of_a_job=3"], ends=nullcontext)
