"""What the pages take from the repository as they are built: settings, the log, formulas."""

import re
from collections.abc import Iterator
from pathlib import Path

from latex2mathml.converter import convert

from cloc.cli.config.compose import composed
from cloc.cli.config.folders import CONFIGS, options
from cloc.cli.config.help import head_of, keys, keys_of_option

COMMANDS = (  # that have keys
    *("train", "evaluate", "export", "prepare", "check_shards", "show_batch", "bench"),
    *("where", "diagnose", "compare", "compare_runs", "compare_regions"),
)
FORMULA = re.compile(r"^\$\$\n(.*?)\n\$\$$|\$`([^`]+)`\$", re.MULTILINE | re.DOTALL)


def on_page_markdown(markdown: str, **kwargs: object) -> str:
    """Called by mkdocs for every page."""
    for mark, made in (("<!-- settings -->", settings), ("<!-- log -->", log)):
        if mark in markdown:
            markdown = markdown.replace(mark, "\n".join(made()))
    return FORMULA.sub(_mathml, markdown)


def _mathml(found: re.Match[str]) -> str:
    """What browsers draw without a script."""
    if found[1] is None:
        return f"<span>{convert(found[2])}</span>"
    return f'<div class="formula">{convert(found[1], display="block")}</div>'


def settings() -> Iterator[str]:
    """Every key of every command with its default and comment, and every file of configs/."""
    known: set[str] = set()
    for name in COMMANDS:
        found = keys(name, composed(name, [])[1], [])
        yield f"\n## cloc-pretrain {name.replace('_', '-')}\n"
        if name == "show_batch":
            yield "All keys of `train`, and:\n"
        yield from _listed([key for key in found if name != "show_batch" or key[0] not in known])
        known |= {key for key, _, _ in found}
    for group in _groups():
        yield f"\n## {group}=\n"
        yield f"Files of `configs/{group}`.\n"
        for option in options(group):
            yield from _option(group, option)


def _groups() -> list[str]:
    folders = {path.parent.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob("*.yaml")}
    return sorted(folders - {"."})


def _option(group: str, option: str) -> Iterator[str]:
    head = head_of(CONFIGS / group / f"{option}.yaml") or "The stage is left out."
    yield f"\n### {group}={option}\n"
    yield f"{head}\n"
    if group not in ("experiment", "benchmarks"):
        yield from _listed(keys_of_option(group, option))


def _listed(found: list[tuple[str, str, str]]) -> Iterator[str]:
    for key, value, comment in found:
        yield f"- `{key}` = `{value}`" + (f"<br>{_text(comment)}" if comment else "")


def _text(comment: str) -> str:
    """Of a YAML file, nothing in it is markup."""
    return re.sub(r"([*_<\[\]{}])", r"\\\1", comment)


def log() -> Iterator[str]:
    """The rows of the log of experiments, one below the other."""
    lines = Path(CONFIGS, "experiment/LOG.md").read_text(encoding="utf-8").splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| 20")]
    yield from (line for line in lines[1:] if not line.startswith("|"))
    last = ""
    for date, idea, result, verdict in rows:
        if date != last:
            yield f"\n## {date}\n"
            last = date
        yield f"- **{idea}**<br>{result}.<br>*{verdict}*"
