"""What a person sees of an evaluation: benchmarks, pictures, images/s and the time that is left."""

import io
import time

import pytest
from rich.console import Console

from cloc import terminal
from cloc.eval.answer_cache import Memo
from cloc.eval.encode import image_vectors
from cloc.eval.watch import watched
from tests.helpers.oracle import Oracle, example


@pytest.fixture
def screen(monkeypatch):
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120, markup=False, emoji=False)
    monkeypatch.setattr(terminal, "plain_console", lambda: console)
    return out


def test_the_pass_of_a_benchmark_is_shown_with_images_a_second_and_what_is_left(screen):
    with watched(2, hidden=False) as (start, watch):
        start("zero_shot")
        watch("image", 0, 640)
        watch("image", 64, 640)
        watch("image", 128, 640)
        time.sleep(0.3)  # the screen is drawn ten times a second
        start("grounding")
        time.sleep(0.3)
    shown = screen.getvalue()
    assert "zero_shot" in shown
    assert "1/2" in shown
    assert "evaluated" in shown
    assert "2/2" in shown
    passing = [line for line in shown.splitlines() if "  image" in line]
    assert any("128/640" in line and "images/s" in line for line in passing)


def test_nothing_is_written_where_nobody_looks_on(screen):
    with watched(1, hidden=True) as (start, watch):
        start("zero_shot")
        watch("image", 0, 3)
        watch("image", 3, 3)
    assert not screen.getvalue().strip()


def test_every_batch_is_told_and_what_is_known_is_not_counted():
    told = []
    memo = Memo(Oracle(), watch=lambda *words: told.append(words))
    boxes = [("red", (0, 0, 8, 8)), ("blue", (0, 0, 8, 8)), ("green", (0, 0, 8, 8))]
    pictures = [example(box)._replace(digest=bytes([i])) for i, box in enumerate(boxes)]
    list(image_vectors(memo, pictures, batch_size=2))
    assert told == [("image", 0, 3), ("image", 2, 3), ("image", 3, 3)]
    told.clear()
    list(image_vectors(memo, pictures, batch_size=2))
    assert told == [("image", 0, 0)]
