"""The page of a run: everything in one file, nothing to fetch, and good with parts missing."""

import json
import math
import re
from html.parser import HTMLParser

import numpy as np
import PIL.Image
import pytest

from cloc.errors import UserError
from cloc.report.build import GalleryItem, build_report

EVIL = '<script>alert(1)</script> & "quotes" {{ 7 * 7 }}'
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Tags in order, visible text, and whether every tag that opens is closed."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.sources, self.text, self.open = [], [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [v for k, v in attrs if k in ("src", "href", "xlink:href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.text.append(data)


def read(path):
    html = path.read_text(encoding="utf-8")
    page = Page(html)
    assert page.open == []
    return html, page, " ".join(" ".join(page.text).split())


def item(*, phrase="a red star", predicted=True):
    boxes = np.array([[4.0, 4, 30, 30], [40, 10, 60, 50]])
    return GalleryItem(
        image=PIL.Image.new("RGB", (64, 64), (90, 90, 90)),
        phrases=[phrase, "a blue ring"],
        boxes=boxes,
        predicted=boxes + np.array([0, 0, 26, 0]) if predicted else None,
        guesses=["a red heart", "a blue ring"],
        correct=[False, True],
        heatmaps=[(phrase, np.eye(8))],
    )


def make_run(folder, *, grounding=True, lines=3):
    folder.mkdir()
    rows = [
        {"step": i, "train/image_text": 4.0 - i, "train/loss": math.nan if i == 1 else 9.0 - i}
        for i in range(lines)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    metrics = {
        "region_classification@crop": {"top1": 0.123, "top1_chance": 0.0156},
        "region_classification@crop/novel": {"top1": 0.087, "top1_chance": 0.0156},
    }
    if grounding:
        metrics["region_classification"] = {"top1": 0.877, "top1_chance": 0.0156}
        metrics["grounding"] = {"acc@0.5": 0.861, "acc@0.5_chance": 0.119}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "config.yaml").write_text("name: demo # <b>\n")
    (folder / "provenance.json").write_text(json.dumps({"seed": 3, "packages": {"torch": "2.14"}}))
    return folder


def test_the_page_is_one_file_that_fetches_nothing_and_runs_no_script(tmp_path):
    run, twin = make_run(tmp_path / "demo"), make_run(tmp_path / "clip", grounding=False)
    html, page, _ = read(build_report(run, twin=twin, gallery=[item()]))
    assert page.sources
    assert all(source.startswith(("#", "data:image/")) for source in page.sources)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert not re.search(r"url\((?!#)|@import|\son[a-z]+=", html)
    assert sorted(p.name for p in run.iterdir() if "report" in p.name) == ["report.html"]


def test_ids_of_the_page_are_referred_to_without_clash(tmp_path):
    run = make_run(tmp_path / "demo")
    rows = [{"step": i, "train/a": i, "train/b": i} for i in range(3)]  # equal drawings
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    html, page, _ = read(build_report(run))
    assert page.tags.count("svg") == 2
    clips = re.findall(r'<clipPath id="([^"]+)"', html)
    assert len(clips) == len(set(clips)) == 2
    assert set(re.findall(r"url\(#([^)]+)\)", html)) == set(clips)


def test_both_twins_stand_side_by_side_with_the_chance_line(tmp_path):
    run, twin = make_run(tmp_path / "demo"), make_run(tmp_path / "clip", grounding=False)
    _, _, text = read(build_report(run, twin=twin))
    card = text[text.index("Region top-1") :]
    assert re.match(r"Region top-1 0\.877 clip by crop 0\.123 chance 0\.016", card)
    assert re.search(r"Grounding acc@0\.5 0\.861 clip not measured chance 0\.119", text)
    assert re.search(r"demo clip own crop crop top1 val 0\.016 0\.877 0\.123 0\.123", text)
    assert re.search(r"top1 novel 0\.016 \N{EN DASH} 0\.087 0\.087", text)


def test_a_run_without_grounding_and_without_a_twin(tmp_path):
    run = make_run(tmp_path / "clip", grounding=False)
    _, _, text = read(build_report(run, gallery=[item(predicted=False)]))
    assert "Grounding" not in text
    assert "IoU" not in text
    assert "predicted" not in text
    assert re.search(r"Region top-1 0\.123 by crop chance 0\.016 novel 0\.087", text)


def test_the_gallery_says_what_was_guessed_and_how_well_it_was_found(tmp_path):
    _, page, text = read(build_report(make_run(tmp_path / "demo"), gallery=[item()]))
    assert re.search(
        r"1 a red star ✗ a red heart IoU 0\.50 2 a blue ring ✓ a blue ring IoU 0\.43", text
    )
    assert page.tags.count("img") == 2  # the picture and one heatmap


def test_what_was_left_out_is_counted_by_reason_and_source(tmp_path):
    run = make_run(tmp_path / "demo")
    row = {"what": "boxes", "reason": "box_small", "source": "coco", "count": 1200, "first": "s::k"}
    (run / "drops.json").write_text(json.dumps({"samples": 5000, "boxes": 9, "dropped": [row]}))
    _, _, text = read(build_report(run))
    assert "5,000 samples and 9 boxes were read; this was left out:" in text
    assert "boxes box_small coco 1,200 s::k" in text
    (run / "drops.json").write_text(json.dumps({"samples": 5, "boxes": 9, "dropped": []}))
    _, _, text = read(build_report(run))
    assert "5 samples and 9 boxes were read; nothing was left out." in text


def test_words_from_the_data_are_escaped(tmp_path):
    run = make_run(tmp_path / "demo")
    row = {"what": EVIL, "reason": EVIL, "source": EVIL, "count": 1, "first": EVIL}
    (run / "drops.json").write_text(json.dumps({"samples": 1, "boxes": 1, "dropped": [row]}))
    (run / "metrics.json").write_text(json.dumps({f"region_classification@{EVIL}": {"top1": 0.5}}))
    (run / "metrics.jsonl").write_text(json.dumps({"step": 0, f"val/{EVIL}": 1.0}) + "\n")
    (run / "provenance.json").write_text(json.dumps({EVIL: EVIL}))
    (run / "config.yaml").write_text(EVIL)
    html, page, text = read(build_report(run, gallery=[item(phrase=EVIL)]))
    assert "script" not in page.tags
    assert "<script" not in html
    assert text.count("<script>alert(1)</script>") >= 7
    assert "{{ 7 * 7 }}" in text


def test_an_empty_run_says_what_is_missing(tmp_path):
    (tmp_path / "new").mkdir()
    _, _, text = read(build_report(tmp_path / "new"))
    for part in (
        "Not evaluated yet",
        "no metrics.jsonl",
        "No pictures",
        "no drops.json",
        "no provenance.json",
    ):
        assert part in text


def test_a_single_step_draws_a_point_and_lost_values_are_counted(tmp_path):
    html, _, text = read(build_report(make_run(tmp_path / "one", lines=1)))
    assert html.count("<use ") >= 2  # markers: a line through one point shows nothing
    _, _, text = read(build_report(make_run(tmp_path / "three")))
    assert "1 of 3 values are not finite" in text


def test_config_and_provenance_are_folded_in(tmp_path):
    _, page, text = read(build_report(make_run(tmp_path / "demo")))
    assert page.tags.count("details") == 2
    assert "packages.torch 2.14" in text
    assert "name: demo # <b>" in text


def test_equal_input_gives_equal_bytes(tmp_path):
    run = make_run(tmp_path / "demo")
    first = build_report(run, gallery=[item()]).read_bytes()
    assert build_report(run, gallery=[item()]).read_bytes() == first


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match="nowhere: no such run folder"):
        build_report(tmp_path / "nowhere")
    with pytest.raises(UserError, match="nowhere: no such run folder"):
        build_report(make_run(tmp_path / "demo"), twin=tmp_path / "nowhere")


def test_files_that_are_not_what_they_should_be_are_named(tmp_path):
    run = make_run(tmp_path / "demo")
    (run / "provenance.json").write_text("{")
    with pytest.raises(UserError, match=r"provenance\.json is damaged .*; restore it, or move"):
        build_report(run)
    (run / "metrics.json").write_text('{"a": 3}')
    with pytest.raises(UserError, match=r"metrics\.json: not .* cloc-pretrain evaluate run="):
        build_report(run)
