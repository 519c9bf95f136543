"""What a person sees while a job runs."""

import io

from data_prep.progress import Progress

DROP = {"stage": "filter", "what": "regions", "reason": "score", "count": 1200}


def marker(*drops):
    return {"input": {"samples": 100}, "drops": list(drops)}


def test_shards_images_drops_failures_and_the_time_left_are_told(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("data_prep.progress.time.monotonic", lambda: now[0])
    progress = Progress(total=10, done=4, out=io.StringIO())
    now[0] = 20.0
    progress.add(marker(DROP, DROP))
    progress.add(None)
    said = "5 of 10 shards; 1 failed; 5.0 images/s; left out: regions score 2,400; "
    assert progress.line() == said + "0 min 40 s left"


def test_without_a_terminal_there_is_a_line_every_so_often_and_a_last_one(monkeypatch):
    now, out = [0.0], io.StringIO()
    monkeypatch.setattr("data_prep.progress.time.monotonic", lambda: now[0])
    with Progress(total=4, done=0, out=out, every_s=30) as progress:
        for seconds in (10, 20, 31, 40):
            now[0] = float(seconds)
            progress.add(marker())
    lines = out.getvalue().splitlines()
    assert [line.split(";")[0] for line in lines] == ["3 of 4 shards", "4 of 4 shards"]
    assert "left" not in lines[-1]
