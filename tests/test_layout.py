"""The rules of the layout: a test beside every file, small files and functions, no stray paths."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    path for folder in ("cloc", "scripts", "data_prep") for path in (ROOT / folder).rglob("*.py")
)
# Files without a test file of their name, and where they are tested.
ELSEWHERE: dict[str, str] = {}
# Tested by what a command does as a whole, in tests/cli.
WHOLE = re.compile(r"cloc/(cli|tools)/|cloc/__main__\.py|.*/__init__\.py")
# Packages from which people import names.
HAND_ON = ("cloc", "cloc/data/shards")
TEXTS = (".py", ".yaml", ".yml", ".md", ".toml", ".html", ".txt", ".cff", "Makefile", ".ci/run")
ABSOLUTE = re.compile(r"""(?<![\w.:/~}-])/(?:home|root|tmp|work|mnt|data|Users|scratch)/\w""")


def named(path):
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize(
    "path",
    [p for p in SOURCES if named(p).startswith("cloc/") and not WHOLE.match(named(p))],
    ids=named,
)
def test_a_source_file_has_a_test_file_of_its_name(path):
    inner = path.relative_to(ROOT / "cloc")
    test = ROOT / "tests" / inner.with_name(f"test_{inner.name}")
    assert test.is_file() != (named(path) in ELSEWHERE)


def test_what_is_tested_elsewhere_exists():
    assert all((ROOT / path).is_file() for path in ELSEWHERE)


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_files_and_functions_are_small(path):
    text = path.read_text()
    assert len(text.splitlines()) < 250
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    long = [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, functions) and node.end_lineno - node.lineno + 1 >= 40
    ]
    assert not long


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_a_file_says_what_it_is_for(path):
    text = path.read_text()
    if path.name == "__init__.py" and named(path.parent) not in HAND_ON:
        assert text == ""
    else:
        assert ast.get_docstring(ast.parse(text))
        assert "from __future__ import annotations" not in text


def test_every_module_that_speaks_of_arrays_is_checked_at_every_call():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]
    words = settings["ini_options"]["addopts"].split()
    checked = next(word for word in words if "jaxtyping" in word).partition("=")[2].split(",")
    for path in (ROOT / "cloc").rglob("*.py"):
        if "jaxtyping" in path.read_text():
            name = named(path).removesuffix(".py").replace("/", ".")
            assert any(f"{name}.".startswith(f"{package}.") for package in checked), name


def texts():
    for folder in ("cloc", "scripts", "data_prep", "configs", "tests", "docs", ".ci"):
        yield from (path for path in (ROOT / folder).rglob("*") if path.is_file())
    yield from (path for path in ROOT.iterdir() if path.is_file())


def test_no_path_of_somebodys_machine():
    found = [
        f"{named(path)}: {match.group()}"
        for path in texts()
        if named(path).endswith(TEXTS)
        for match in ABSOLUTE.finditer(path.read_text())
    ]
    assert not found
