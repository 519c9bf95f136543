"""What the pages of the scripts share with the run's report: its style sheet and its caution."""

import re
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from cloc.report.curves import RUN_COLOUR, TWIN_COLOUR


def write_page(out: Path, template: str, values: dict[str, Any]) -> None:
    """Renders into one HTML file with nothing to fetch; `style` is the report's own.

    Everything is escaped: phrases, keys and file names come from data nobody vouches for.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    html = environment.from_string(template).render(style=_style(environment), **values)
    partial = out.with_name(out.name + ".partial")
    partial.write_text(html, encoding="utf-8")
    partial.replace(out)


def _style(environment: Environment) -> Markup:
    page = files("cloc.report").joinpath("template.html").read_text("utf-8")
    [style] = re.findall("<style>.*?</style>", page, re.DOTALL)
    colours = {"run_colour": RUN_COLOUR, "twin_colour": TWIN_COLOUR}
    return Markup(environment.from_string(style).render(colours))
