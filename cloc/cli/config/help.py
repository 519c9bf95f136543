"""`--help` and `--cfg job` of every command: what it does, its keys with their comments."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from cloc.cli.config.explain import names_a_group
from cloc.cli.config.folders import config_file, is_group, options
from cloc.errors import UserError

HELP = ("-h", "--help")
CFG = ("-c", "--cfg")
SWEEP = ("-m", "--multirun")
COLUMN = 44


def split_flags(arguments: Sequence[str], *, sweeps: bool) -> tuple[set[str], list[str]]:
    """What was asked of "help" and "cfg", and the other arguments; another flag is a `UserError`.
    Only of a command that `sweeps`, --multirun is an argument."""
    asked: set[str] = set()
    others = []
    waiting = iter(arguments)
    for word in waiting:
        flag, equals, value = word.partition("=")
        if word in HELP:
            asked.add("help")
        elif flag in CFG:
            value = value if equals else next(waiting, "")
            if value != "job":
                raise UserError(f"{flag} {value}: write --cfg job, the composed configuration")
            asked.add("cfg")
        elif word.startswith("-") and not (sweeps and word in SWEEP):
            raise UserError(
                f"{word} is unknown; a command has keys (KEY=VALUE) and the flags --help, "
                "--cfg job, --config-dir DIR and, cloc-pretrain train alone, --multirun"
            )
        else:
            others.append(word)
    return asked, others


def keys(name: str, cfg: DictConfig, overrides: Sequence[str]) -> list[tuple[str, str, str]]:
    """Every key of `cfg`, composed of `overrides`, the command's own first: its dotted name, its
    value in few letters, and its comment."""
    chosen = _chosen_by(overrides)
    comments = {
        key: comment
        for path, place in _files(name, chosen)
        for key, comment in _comments(path, place)
    }
    chooses = groups_of(name, chosen)
    leaves = sorted(
        _leaves(OmegaConf.to_container(cfg, resolve=False), ""),
        key=lambda leaf: leaf[0].partition(".")[0] in chooses,
    )
    return [(key, _short(value), _comment_of(key, comments)) for key, value in leaves]


def keys_of_option(group: str, option: str) -> list[tuple[str, str, str]]:
    """As `keys`, of configs/GROUP/OPTION.yaml and the files of its group that it begins with."""
    found: dict[str, tuple[str, str, str]] = {}
    for path, place in _of_group(group, option, {}):
        if path.parent.as_posix().endswith(f"/{group}"):
            values = yaml.safe_load(path.read_text(encoding="utf-8"))
            values.pop("defaults", None)
            comments = dict(_comments(path, place))
            for key, value in _leaves(values, place):
                comment = _comment_of(key, comments) or found.get(key, ("", "", ""))[2]
                found[key] = (key, _short(value), comment)
    return list(found.values())


def _comment_of(key: str, comments: Mapping[str, str]) -> str:
    """Its own, or that of the nearest mapping it stands in."""
    while key and key not in comments:
        key = key.rpartition(".")[0]
    return comments.get(key, "")


def head_of(path: Path) -> str:
    """The comment on top of a config file, up to its commands; "" where there is none."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#") or line.startswith("#  "):
            break
        lines += [] if "@package" in line or "python scripts/" in line else [line[1:].strip()]
    return " ".join(lines).rstrip(":")


def _chosen_by(overrides: Sequence[str]) -> dict[str, Any]:
    given = [override.partition("=")[::2] for override in overrides if names_a_group(override)]
    return {key.lstrip("+"): yaml.safe_load(value) for key, value in given if value}


def help_text(about: str, name: str, cfg: DictConfig, overrides: Sequence[str]) -> str:
    """`about` is the command's own docstring, with its examples; `cfg` is of `overrides`."""
    chooses = groups_of(name, _chosen_by(overrides))
    rows = [_row(f"{key}={value}", comment) for key, value, comment in keys(name, cfg, overrides)]
    groups = [_row(f"{group}=", ", ".join(options(group))) for group in chooses]
    choices = ["", "Files of configs/ to choose from:", *groups] if groups else []
    flags = (
        "--help: this, also of a chosen file; --cfg job: the composed configuration, as YAML; "
        "--config-dir DIR: a folder of your own files, beside configs/"
    )
    return "\n".join([about.strip(), "", "Keys:", *rows, *choices, "", f"Flags: {flags}"])


def _row(left: str, right: str) -> str:
    gap = " " * max(COLUMN - len(left), 2)
    return f"  {left}{gap if right else ''}{right}"


def _short(value: Any) -> str:
    text = (
        "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )
    return text if len(text) <= 60 else f"{text[:57]}..."


def _leaves(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    """What is no name of code."""
    for name, inner in value.items():
        full = f"{key}.{name}" if key else str(name)
        if isinstance(inner, dict) and inner and "hydra.utils.get_method" not in inner.values():
            yield from _leaves(inner, full)
        elif not str(name).startswith("_"):
            path = inner.get("path") if isinstance(inner, dict) else None
            yield (f"{full}.path", path) if path else (full, inner)


def groups_of(name: str, chosen: Mapping[str, Any]) -> list[str]:
    """That the files of a command choose from, in their order; `chosen` are a person's choices."""
    found = [group for path, _ in _files(name, chosen) for group, _ in _chosen(path)]
    return list(dict.fromkeys(group for group in found if is_group(group)))


def _inherited(name: str) -> list[Path]:
    """The file of the command, and those of its kind that it begins with."""
    path = config_file(name)
    assert path is not None
    same = [entry for entry in _defaults(path) if isinstance(entry, str) and entry != "_self_"]
    return [*(inner for entry in same for inner in _inherited(entry)), path]


def _files(name: str, chosen: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Every file that is composed, as far as it matters, with the place of its keys."""
    for path in _inherited(name):
        yield path, ""
        for group, choice in _chosen(path):
            yield from _of_group(group, chosen.get(group, choice), chosen)


def _of_group(group: str, choice: Any, chosen: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    for option in choice if isinstance(choice, list) else [choice]:
        path = config_file(f"{group}/{option}")
        if path is None:
            continue
        for entry in _defaults(path):
            if isinstance(entry, str) and entry != "_self_":
                yield from _of_group(group, entry, chosen)
        is_global = "@package _global_" in path.read_text(encoding="utf-8")
        yield path, "" if is_global else group.replace("/", ".")
        for inner, default in _chosen(path):
            yield from _of_group(inner, chosen.get(inner, default), chosen)


def _defaults(path: Path) -> list[Any]:
    found: list[Any] = yaml.safe_load(path.read_text(encoding="utf-8")).get("defaults", [])
    return found


def _chosen(path: Path) -> Iterator[tuple[str, Any]]:
    for entry in _defaults(path):
        for group, choice in entry.items() if isinstance(entry, dict) else ():
            yield re.sub("^(override )?/?", "", group), choice


def _comments(path: Path, place: str) -> Iterator[tuple[str, str]]:
    """Of every line `key: value # comment`: the dotted key and the comment."""
    stack: list[tuple[int, str]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        found = re.match(r"( *)([\w-]+):(?: (?!# ).*?)?(?: # (.*))?$", line)
        if found is None:
            continue
        indent, key, comment = len(found[1]), found[2], found[3]
        while stack and stack[-1][0] >= indent:
            stack.pop()
        stack.append((indent, key))
        if comment:
            yield ".".join(filter(None, (place, *(name for _, name in stack)))), comment
