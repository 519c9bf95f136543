"""Writes a small project of your own: an experiment, a loss by dotted path, a test.

cloc-pretrain init DIR

DIR is a new or empty folder; its name becomes the name of the experiment and of a Python package.
Nothing of it needs a checkout. The README.md in it has the four commands to go on with.
"""

import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from cloc.cli.config.keyless import answer
from cloc.errors import UserError

TEMPLATES = Path(__file__).parent / "project"
FILES = {  # template -> place in the project; NAME is the package's
    "README.md.txt": "README.md",
    "experiment.yaml": "configs/experiment/NAME.yaml",
    "loss.yaml": "configs/losses/NAME_centre.yaml",
    "centre.py.txt": "NAME/centre.py",
    "test_centre.py.txt": "tests/test_centre.py",
}


def main(arguments: Sequence[str]) -> None:
    if len(arguments) != 1 or arguments[0].startswith("-"):
        raise UserError("write cloc-pretrain init DIR, with one new folder")
    folder = Path(arguments[0])
    name = package_name(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is there already; name a new or empty folder")
    texts = {place: (TEMPLATES / template).read_text() for template, place in FILES.items()}
    texts |= {"NAME/__init__.py": "", "conftest.py": '"""Lets tests import the package."""\n'}
    for place, text in texts.items():
        path = folder / place.replace("NAME", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("PACKAGE", name))
    print(f"{folder}: {', '.join(place.replace('NAME', name) for place in FILES.values())}")
    print(f"cd {folder}; README.md has the commands")


def package_name(folder: Path) -> str:
    """Of Python, so that a configuration can name its code."""
    given = folder.resolve().name
    name = re.sub(r"\W+", "_", given.lower()).strip("_")
    if not name.isidentifier() or not name.isascii():
        raise UserError(f"{folder}: {given} is no name for a package; use letters, digits and _")
    if find_spec(name) is not None:
        raise UserError(f"{folder}: there is a package {name} already; give another name")
    return name


def run(arguments: Sequence[str]) -> None:
    """From a shell."""
    answer(main, __doc__, arguments)
