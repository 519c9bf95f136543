"""The pages build, their links lead somewhere, and their blocks are run, composed or excused."""

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest
import yaml
from omegaconf import OmegaConf

from cloc.cli.config.compose import composed
from cloc.cli.config.folders import CONFIGS
from cloc.data.samples.record import from_json
from cloc.scenes.depth import generate as depth
from tests.helpers.checkpoints import save_run
from tests.helpers.models import make_model
from tests.helpers.pages import PAGES, ROOT, blocks, check_experiment, check_line, lines
from tests.helpers.warm import Forked

BLOCKS = [block for page in PAGES for block in blocks(page)]
# Pages whose Python is run elsewhere: by test_readme.py, by test_docs.py, and as a whole below.
PYTHON_ELSEWHERE = ("README.md", "docs/using.md", "docs/quickstart.md")
SHELL = ("bash", "")
WIDTH, README_LINES = 160, 120


def named(page):
    return page.relative_to(ROOT).as_posix()


def numbered(found):
    return [f"{named(block.page)}-{number}" for number, block in enumerate(found)]


def of(*languages):
    return [block for block in BLOCKS if block.language in languages and not block.reason]


def test_every_block_is_of_a_kind_that_is_checked_or_says_why_not():
    kinds = (*SHELL, "python", "json", "yaml")
    silent = [block for block in BLOCKS if block.language not in kinds and not block.reason]
    assert not silent
    assert len(BLOCKS) > 50
    for page in PAGES:
        assert len(blocks(page)) * 2 == len(re.findall("^ *```", page.read_text(), re.MULTILINE))


@pytest.mark.parametrize("block", of(*SHELL), ids=numbered(of(*SHELL)))
def test_a_command_would_be_understood(block):
    for words in lines(block.text):
        check_line(words)


@pytest.mark.parametrize("block", of("yaml"), ids=numbered(of("yaml")))
def test_an_experiment_file_changes_keys_that_are_there(block):
    check_experiment(block.text)


@pytest.mark.parametrize("block", of("json"), ids=numbered(of("json")))
def test_an_annotation_is_of_the_schema(block):
    record = from_json("key", b"", "jpg", block.text, named(block.page))
    assert not record.problems
    assert record.captions
    assert any(region.negatives for region in record.regions)
    if record.captions[0].source == "scenes_depth":  # the page says of which scene it is
        settings = {"seed": 0, "size": 64, "twins": 0.4, "relational": 1.0}
        _, drawn = depth.composed("train", 5, **settings)
        assert record.meta == drawn.meta
        assert set(record.captions) <= set(drawn.captions)
        for shown, region in zip(record.regions, drawn.regions, strict=True):
            assert replace(shown, source=region.source) == region


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder with a photograph."""
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    PIL.Image.fromarray(pixels).save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "page", [page for page in PAGES if named(page) not in PYTHON_ELSEWHERE], ids=named
)
def test_python_runs(page, place):
    names = {}
    for block in blocks(page):
        if block.language == "python" and not block.reason:
            exec(block.text, names)


# How a command of the quick start is made smaller here, and how its words are run in one process.
LESS = {"train": ["data.num_workers=0"], "evaluate": ["limit=8", "gallery=2"]}
RUN = """
try:
    sys.argv = {words}
    runpy.run_module("cloc", run_name="__main__", alter_sys=True)
except SystemExit as end:
    assert not end.code, sys.argv
"""


@pytest.mark.slow
def test_the_quick_start_runs_as_copied(place):
    """`runs/demo` is a model that has learned nothing, in place of half an hour."""
    save_run(place / "runs/demo", make_model())
    (place / "all.py").write_text("import runpy\nimport sys\n" + "".join(steps()))
    process = Forked([place / "all.py"], cwd=place, out=place / "out", err=place / "err")
    assert process.wait(300) == 0, (place / "err").read_text()
    metrics = json.loads((place / "runs/smoke/metrics.json").read_text())
    assert "grounding" in metrics
    assert (place / "exports/smoke/parity.json").is_file()
    assert (place / "out").read_text().rstrip().endswith("torch.Size([1, 64])")


def steps() -> Iterator[str]:
    """The blocks one after the other, as Python."""
    for block in blocks(ROOT / "docs/quickstart.md"):
        if block.language == "python":
            yield block.text
            continue
        for words in lines("" if block.reason else block.text):
            yield RUN.format(words=[*words, *LESS.get(words[1], [])])


def test_the_pages_build_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    built = (tmp_path / "concepts/losses/index.html").read_text()
    assert "<math" in built
    assert "$$" not in built
    assert "://fonts." not in built
    assert "resume_changes" in (tmp_path / "settings/index.html").read_text()
    assert "Newton-Schulz" in (tmp_path / "experiments/index.html").read_text()


@pytest.mark.parametrize("page", PAGES[:2], ids=named)
def test_a_link_of_a_page_at_the_root_leads_somewhere(page):
    """Those of docs/ are checked by the strict build."""
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text()):
        path, _, anchor = target.partition("#")
        assert (ROOT / path).is_file(), target
        heads = re.findall(r"^#+ (.+)$", (ROOT / path).read_text(), re.MULTILINE) if anchor else []
        slugs = [re.sub(r"[^\w]+", "-", head.lower().replace("'", "")).strip("-") for head in heads]
        assert not anchor or anchor in slugs, target


def test_no_line_is_wide_and_the_readme_is_short():
    wide = [
        f"{named(page)}:{number}"
        for page in PAGES[:1] + PAGES[2:]
        for number, line in enumerate(page.read_text().splitlines(), 1)
        if len(line) > WIDTH
    ]
    assert not wide
    assert len(PAGES[0].read_text().splitlines()) <= README_LINES


def test_an_experiment_that_a_page_names_exists():
    known = {path.stem for path in (CONFIGS / "experiment").glob("*.yaml")} | {"NAME", "mine"}
    for page in PAGES:
        said = re.findall(r"experiment=(\w+)(?![.\w])", page.read_text())
        assert set(said) <= known, named(page)


def hooks():
    """docs/hooks.py, as mkdocs loads it."""
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs/hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def leaves(value, key=""):
    """Keys that a person may set, by another walk than the page's."""
    for name, inner in value.items():
        if isinstance(inner, dict) and "hydra.utils.get_method" in inner.values():
            yield f"{key}{name}.path"
        elif isinstance(inner, dict) and inner:
            yield from leaves(inner, f"{key}{name}.")
        elif not name.startswith("_"):
            yield f"{key}{name}"


def test_the_settings_name_every_key_of_every_command_and_every_file():
    made = hooks()
    text = made.on_page_markdown("<!-- settings -->")
    assert {path.stem for path in CONFIGS.glob("*.yaml")} == set(made.COMMANDS)
    for name in made.COMMANDS:
        found = OmegaConf.to_container(composed(name, [])[1], resolve=False)
        missing = [key for key in leaves(found) if f"\n- `{key}` = " not in text]
        assert not missing, name
    plain = re.sub(r"\\(.)", r"\1", text)
    for path in CONFIGS.rglob("*.yaml"):
        inner = path.relative_to(CONFIGS)
        if inner.parent.name:
            assert f"### {inner.parent}={path.stem}\n" in text
        if inner.parts[0] not in ("experiment", "benchmarks", "show_batch.yaml"):
            for comment in re.findall(r"^ *\w+: .* # (.*)$", path.read_text(), re.MULTILINE):
                assert comment in plain, (str(inner), comment)


def test_every_file_of_a_group_says_what_it_is():
    for path in CONFIGS.rglob("*/**/*.yaml"):
        text = path.read_text().removeprefix("# @package _global_\n")
        assert text.startswith("#") or yaml.safe_load(text) == {}, path
