"""Hydra's and OmegaConf's messages in one line that names the key and what would work."""

import difflib
import re
import sys
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any

from hydra import compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from cloc.cli.config.folders import is_group, options, search_path
from cloc.cli.config.kinds import default_of
from cloc.errors import UserError, one_line

_SWEEP = "cloc-pretrain train --multirun KEY=a,b makes a run of each (docs/launching.md)"


def explained(name: str, message: str, overrides: Sequence[str], *, inner: str = "") -> str:
    """Of the configuration `name`; for an unknown key also the keys that look like it. `inner` is
    the key that is unknown where a mapping was given for one that is known."""
    sweep = re.search("(?:Ambiguous value for argument|Sweep parameters) '(.+?)'", message)
    if sweep:
        return f"{sweep[1]} has several values; write key=[a,b] for a list; {_SWEEP}"
    merged = re.fullmatch("Error merging override (.+)", message, re.DOTALL)
    if merged:
        return f"{merged[1]}: keys are given where a list belongs, or a list where keys belong"
    unknown = re.search(r"Could not override '([^']+)'", message)
    if not unknown:
        return _shortened(message)
    known = _known_keys(name, [o for o in overrides if names_a_group(o, but=unknown[1])])
    key = inner if inner and unknown[1] in known else unknown[1]
    near = difflib.get_close_matches(key, known, n=3)
    top = ", ".join(key for key in known if "." not in key)
    hint = f"did you mean {' or '.join(near)}?" if near else f"its keys: {top}"
    return f"{key} is not a key of this command; {hint}"


def check_grammar(words: Sequence[str], overrides: Sequence[str]) -> None:
    """`UserError` for the first of `words`, one for each of the person's `overrides`, that Hydra
    cannot read, or that chooses a file by something else than its name."""
    for word, override in zip(words, overrides, strict=True):
        try:
            parsed = OverridesParser.create().parse_override(word)
        except HydraException as error:
            cause = one_line(error).partition(" See https")[0]
            raise UserError(f"{override} is no KEY=VALUE that can be read ({cause})") from None
        if not parsed.key_or_group:
            raise UserError(f"{override} has no key; write KEY=VALUE")
        if names_a_group(word) and not parsed.is_sweep_override():
            _check_choice(parsed, override)


def _check_choice(parsed: Override, override: str) -> None:
    """None at all is for the loggers and, while training, the benchmarks."""
    group, value = parsed.key_or_group, parsed.value()
    several = value if isinstance(value, list) else [value]
    emptied = value == [] and group not in ("logger", "benchmarks")
    if emptied or not all(isinstance(name, str) for name in several):
        known = ", ".join(options(group))
        raise UserError(f"{override} names no file of configs/{group}; give {known}")


# Entries that may be taken away: by a person's own names, or options whose code has a default.
REMOVABLE = (
    *("losses.*", "weights.*", "logger.*", "benchmarks.*", "optimizer.*", "splits.*"),
    *("eval.splits.*", "rates.*.*", "engine.actors.*"),
)


def check_removed(name: str, defaults: DictConfig, overrides: Sequence[str]) -> None:
    """`UserError` for `~KEY` of a key that the command reads, and for Hydra's own settings."""
    for override in overrides:
        key = re.split("[=@]", override, maxsplit=1)[0].lstrip("+~")
        if key.partition(".")[0].partition("/")[0] == "hydra":
            raise UserError(f"{override}: settings of Hydra itself are no keys here")
        if not override.startswith("~"):
            continue
        if default_of(defaults, key) is ...:
            raise UserError(explained(name, f"Could not override '{key}'", [*overrides, key]))
        removable = any(fnmatchcase(key, pattern) for pattern in REMOVABLE)
        if not removable or key == "optimizer.lr":
            raise UserError(f"{override}: this key cannot be taken away; give {key}=...")


def _shortened(message: str) -> str:
    line = " ".join(message.split("Config search path", maxsplit=1)[0].split())
    absent = re.search(r"Could not load '([^']+)/[^']*'", message)
    return f"{line} Available: {', '.join(options(absent[1]))}" if absent else line


def names_a_group(override: str, *, but: str = "") -> bool:
    """Whether it chooses a file, and is no value."""
    key = re.split("[=@]", override, maxsplit=1)[0].lstrip("+~")
    return key not in ("", but) and is_group(key)


def _known_keys(name: str, overrides: list[str]) -> list[str]:
    try:
        return keys_of(compose(name, [*overrides, *search_path()]))
    except HydraException:  # there is more than one thing wrong: one at a time
        return []


def keys_of(cfg: DictConfig, prefix: str = "") -> list[str]:
    """Every key that can be overridden, dotted."""
    found = []
    for key in map(str, cfg):
        value = cfg._get_node(key)
        found.append(f"{prefix}{key}")
        if isinstance(value, DictConfig) and not value._is_none() and not value._is_missing():
            found += keys_of(value, f"{prefix}{key}.")
    return found


def check_missing(cfg: DictConfig, name: str) -> None:
    """`UserError` for the keys that have no value; also where another key points at one."""
    missing = list(_missing(OmegaConf.to_container(cfg, resolve=False), ""))
    if not missing:
        return
    verb = "is" if len(missing) == 1 else "are"
    said = f"{_and(missing)} {verb} not set; give {' '.join(f'{key}=...' for key in missing)}"
    if "name" in missing and name in ("train", "show_batch"):
        raise UserError(f"{said}, or experiment=NAME of {', '.join(options('experiment'))}")
    raise UserError(said)


def _missing(value: Any, key: str) -> Iterator[str]:
    if value == "???":
        yield key
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _missing(inner, f"{key}.{name}" if key else str(name))


def _and(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def check_emptied(cfg: DictConfig, overrides: Sequence[str]) -> None:
    """Hydra merges KEY={} into the entries that are there, and so takes none away."""
    for override in overrides:
        key, _, value = override.partition("=")
        there = OmegaConf.select(cfg, key) if value.strip() == "{}" else None
        if there:
            first = f"{key}.{next(iter(there))}"
            raise UserError(
                f"{override} leaves {', '.join(map(str, there))} as they are; write '~{first}' to "
                f"take an entry away, or {first}=... to change it"
            )


def one_line_of(error: BaseException) -> str | None:
    """None for what no file of the user's is to blame for. A part that knows no key of the command
    names a path: what was typed stands in front then."""
    if isinstance(error, OSError) and error.filename is not None:
        line = f"{error.filename}: {error.strerror}"
    elif isinstance(error, UserError):
        line = str(error)
    else:
        return None
    typed = [word.partition("=") for word in sys.argv[1:] if "=" in word]
    if not any(_names(line, key) for key, _, _ in typed):
        line = next((f"{k}={v}: " for k, _, v in typed if _blames(line, v)), "") + line
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)


def _blames(line: str, value: str) -> bool:
    """Whether it is about the path `value`; a number or a word such as cpu stands in many lines."""
    starts = bool(value) and line.startswith(value) and not value.isdigit()
    is_path = "/" in value or starts
    return is_path and _names(line, value)


def _names(line: str, word: str) -> bool:
    """Whether it stands there by itself, and is no piece of a longer name."""
    return bool(re.search(rf"(?<![\w./-]){re.escape(word)}(?![\w-])", line))
