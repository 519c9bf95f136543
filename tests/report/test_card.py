"""The model card: the run's own numbers, and only calls that the model answers."""

import ast
import json
import re

import pytest

from cloc.report.card import model_card

METRICS = {
    "region_classification": {"top1": 0.91234, "top1_chance": 0.0156, "count": 240},
    "grounding/novel": {"acc@0.5": 0.85, "acc@0.5_chance": 0.05, "miou": 0.7},
}
PROVENANCE = {"commit": "abc123", "seed": 7, "packages": {"torch": "2"}}


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "scenes"
    folder.mkdir()
    (folder / "metrics.json").write_text(json.dumps(METRICS))
    (folder / "provenance.json").write_text(json.dumps(PROVENANCE))
    return folder


class Shown:
    """An exporter, as far as the card asks it."""

    library, loads_back = "somelib", True
    usage = 'somelib.load("FOLDER")\n'


def card(run, *, region_head=None, box_head=None, exporter=Shown, size=64):
    tower = {"config": {"vision_cfg": {"image_size": size}}}
    parts = {"tower": tower, "region_head": region_head, "box_head": box_head}
    return model_card(run, description=parts, folder="out", exporter=exporter, license="mit")


def test_numbers_with_a_chance_line_are_a_table_of_the_runs_own(run):
    table = re.findall(r"^\|.*\|$", card(run), re.M)
    assert table == [
        "| benchmark | metric | value | chance |",
        "|---|---|---|---|",
        "| region_classification | top1 | 0.912 | 0.016 |",
        "| grounding/novel | acc@0.5 | 0.850 | 0.050 |",
    ]


def test_where_it_comes_from_and_how_large_its_images_are(run):
    text = card(run)
    assert "\n# scenes\n" in text
    assert "* commit: abc123\n* seed: 7\n" in text
    assert "packages" not in text
    assert "to fit 64 x 64 pixels (height x width), in their own aspect,\ncentred on black" in text
    assert "to fit 48 x 96 pixels (height x width)" in card(run, size=[48, 96])


def test_the_code_is_the_exporters_own_and_clocs_where_it_loads_the_folder(run):
    text = card(run)
    assert "license: mit\nlibrary_name: somelib\n" in text
    assert '```python\nsomelib.load("out")\n```' in text
    assert "cloc.load" in text
    assert "are in `parity.json`" in text
    bare = type("Bare", (Shown,), {"loads_back": False})
    assert "cloc" not in card(run, exporter=bare).split("## Numbers")[0].split("## Use")[1]


def test_the_data_are_named_with_their_licences_and_digest(run):
    data = {"samples": {"a": 12345, "b": 2}, "licenses": {"a": "cc-by-4.0"}, "digest": "d1"}
    (run / "provenance.json").write_text(json.dumps({**PROVENANCE, "data": data}))
    text = card(run)
    assert "* data a: 12,345 samples, licence cc-by-4.0\n" in text
    assert "* data b: 2 samples, licence not recorded\n" in text
    assert "* data digest: d1\n" in text


def test_what_is_missing_is_said(tmp_path):
    text = card(tmp_path)
    assert "Not measured yet: `cloc-pretrain evaluate run=...` writes them." in text
    assert "| benchmark" not in text


@pytest.mark.parametrize(
    ("parts", "regions", "grounds"),
    [
        ({}, False, False),
        ({"region_head": {"kind": "roi_align"}}, True, False),
        ({"region_head": {"kind": "prompter"}, "box_head": {}}, True, True),
    ],
)
def test_only_calls_that_the_model_answers(run, parts, regions, grounds):
    text = card(run, **parts)
    assert ("embedder.regions(" in text) is regions
    assert ("with its region head" in text) is regions
    assert ("embedder.ground(" in text) is grounds
    assert ("finds any" in text) is grounds
    assert ("A CLIP image-text model." in text) is not regions
    for code in re.findall(r"```python\n(.*?)```", text, re.S):
        compile(code, "card", "exec")
        assert "\n\n\n" not in code


def test_the_page_is_markdown_with_metadata_on_top(run):
    text = card(run)
    assert re.match(r"---\nlicense: mit\nlibrary_name: somelib\n.*?\n---\n# ", text, re.S)
    assert text.count("```") % 2 == 0
    assert "{{" not in text
    assert "{%" not in text


def test_a_folder_of_any_name_is_a_string_in_the_code(run):
    parts = {"tower": {"config": {"vision_cfg": {}}}}
    for name in ("it's", 'a "b"', "a\\b", "日本"):
        text = model_card(run, description=parts, folder=name, exporter=Shown, license="mit")
        [load, ours] = re.findall(r"load\((.*)\)", text)
        assert ast.literal_eval(load) == ast.literal_eval(ours) == name
