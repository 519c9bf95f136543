"""The tables of the pages about data name all there is; their commands: tests/test_pages.py."""

import re
from pathlib import Path

from cloc.cli.config.compose import compose_config
from cloc.cli.config.folders import CONFIGS

DOCS = Path(__file__).parents[1] / "docs/data"
PAGE = "".join((DOCS / f"{name}.md").read_text() for name in ("importers", "vesl"))


def rows(heading):
    """First cells of the table below `heading`, without marks."""
    table = PAGE.split(heading)[1]
    return re.findall(r"^\| `(\w+)` \|(.*)$", table, re.MULTILINE)


def test_every_importer_stage_and_engine_is_named():
    names = [name for name, _ in rows("| `import=` |")]
    imports = {path.stem for path in (CONFIGS / "import").glob("*.yaml")}
    assert {name for name in names if name in imports} == imports
    engines = {name for name, _ in rows("| `engine=` |")}
    assert engines == {path.stem for path in (CONFIGS / "engine").glob("*.yaml")}
    for stage, rest in rows("| stage | choices |"):
        if (CONFIGS / "stages" / stage).is_dir():
            choices = {path.stem for path in (CONFIGS / "stages" / stage).glob("*.yaml")}
            said = set(re.findall(r"`(\w+)`", rest.split("|")[0]))
            assert said | {"none"} == choices | {"none"}, stage


def test_the_order_of_the_table_is_the_order_of_the_stages():
    said = [name for name, _ in rows("| stage | choices |")][:7]
    cfg = compose_config("prepare", ["pipeline=vesl", "input=a", "out=b"])
    assert said == list(cfg.order)
