"""What the README tells people to type works: its commands, its Python."""

import re
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from cloc.cli.config.compose import compose_config
from cloc.cli.main import COMMANDS as COMMANDS_INSTALLED
from tests.helpers.checkpoints import save_run
from tests.helpers.models import make_model

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = re.findall(r"^python scripts/(\w+)\.py ([^#\n]*)", README, re.MULTILINE)
STAND_INS = {"NAME": "smoke", "[any.override=...]": "steps=2"}


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_two_commands_are_targets_and_ci_runs_one_of_them():
    assert blocks("bash") == ["make demo\nmake test\n"]
    makefile = (ROOT / "Makefile").read_text()
    assert all(
        re.search(rf"^{target}: .*## ", makefile, re.MULTILINE) for target in ("demo", "test")
    )
    assert "make test" in (ROOT / ".ci/run").read_text()


@pytest.mark.parametrize(("script", "given"), COMMANDS, ids=[" ".join(c)[:60] for c in COMMANDS])
def test_a_command_composes(script, given):
    assert (ROOT / "scripts" / f"{script}.py").is_file()
    if script in ("check_shards", "compare_runs", "compare_regions"):  # they take folders alone
        return
    for word, stand_in in STAND_INS.items():
        given = given.replace(word, stand_in)
    words = [word.strip("[]") for word in given.split()]
    overrides = [word for word in words if not word.startswith(("what=", "model=", "splits."))]
    config = {"bench": "train"}.get(script, script)
    assert compose_config(config, overrides)


def test_an_installed_command_and_a_module_that_is_named_exist():
    texts = [README, *(path.read_text() for path in (ROOT / "docs").rglob("*.md"))]
    for name in re.findall(r"`cloc-pretrain ([a-z][a-z-]*)", "".join(texts)):
        assert name in COMMANDS_INSTALLED, name
    for name in re.findall(r"python -m ((?:cloc|data_prep)[\w.]*)", "".join(texts)):
        path = ROOT / name.replace(".", "/")
        source = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
        assert '__name__ == "__main__"' in source.read_text(), name


def test_every_script_is_named():
    scripts = {path.stem for path in (ROOT / "scripts").glob("[!_]*.py")}
    assert {script for script, _ in COMMANDS} == scripts


def test_the_python_runs_and_its_shapes_are_as_said(tmp_path, monkeypatch):
    save_run(tmp_path / "runs/demo", make_model())
    monkeypatch.chdir(tmp_path)
    [code] = blocks("python")
    names = {
        "image": PIL.Image.new("RGB", (40, 30)),
        "boxes_in_pixels": np.array([[1, 2, 20, 25], [3, 3, 9, 9], [0, 0, 40, 30]], np.float32),
    }
    exec(code, names)
    said = re.findall(r"^(model\.\w+\(.*\))  # \[([^\]]*)\]", code, re.MULTILINE)
    assert len(said) == 4
    for call, shape in said:
        found = eval(call, names)
        found = found if not isinstance(found, list) else found[0][:, 0]
        sizes = {"d": 24, "boxes": 3, "1 box": 1}
        assert list(found.shape) == [int(sizes.get(x, x)) for x in shape.split(", ")], call
