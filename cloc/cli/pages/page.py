"""What the pages of the scripts share with the run's report: its style sheet and its caution."""

import re
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from cloc.errors import UserError
from cloc.report.curves import RUN_COLOUR, TWIN_COLOUR

_AROUND = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{ title }} · CLOC {{ kind }}</title>
{{ style }}
</head>
<body>
<nav><div><b>{{ title }}</b>
{% for name, label in sections.items() %}<a href="#{{ name }}">{{ label }}</a>{% endfor %}
</div></nav>
<main>
{{ main }}
</main>
</body>
</html>
"""


def write_page(
    out: Path, main: str, values: dict[str, Any], *, kind: str, sections: dict[str, str]
) -> None:
    """One HTML file with nothing to fetch: `main` rendered with `values`, which hold a `title`.

    `sections` are the links on top, by the id of what they lead to. Everything is escaped: phrases,
    keys and file names come from data nobody vouches for.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    html = environment.from_string(_AROUND).render(
        title=values["title"],
        kind=kind,
        style=_style(environment),
        sections=sections,
        main=Markup(environment.from_string(main).render(values)),
    )
    partial = out.with_name(out.name + ".partial")
    try:
        partial.write_text(html, encoding="utf-8")
        partial.replace(out)
    except OSError as error:
        partial.unlink(missing_ok=True)
        said = f"{out} cannot be written ({error.strerror})"
        raise UserError(f"{said}; make room there, or give another place") from error


def _style(environment: Environment) -> Markup:
    page = files("cloc.report").joinpath("template.html").read_text("utf-8")
    [style] = re.findall("<style>.*?</style>", page, re.DOTALL)
    colours = {"run_colour": RUN_COLOUR, "twin_colour": TWIN_COLOUR}
    return Markup(environment.from_string(style).render(colours))
