"""What every script does first and last: compose its config, and say what is wrong in one line."""

import difflib
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from _instantiate import built
from _trust import check_targets, trust_of
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from cloc.errors import UserError
from cloc.signals import PREEMPTED, SIGNALS

Ends = Callable[[], AbstractContextManager[None]]
ENDED = "another process of this run has ended; its own message says why"
CONFIGS = Path(__file__).resolve().parent.parent / "configs"

NAMED = ("splits.", "eval.splits.", "rates.wait.", "weights.", "engine.actors.")
_SWEEP = "scripts/train.py --multirun KEY=a,b makes a run of each (docs/launching.md)"


@contextmanager
def ends_plainly() -> Iterator[None]:
    """Around a command of one process: `UserError` is one line and exit code 1, a signal 143."""
    for number in SIGNALS:
        signal.signal(number, lambda *_: os._exit(PREEMPTED))
    try:
        yield
    except UserError as error:
        sys.exit(f"error: {error}")


def cli(main: Callable[[list[str]], None], *, ends: Ends = ends_plainly) -> None:
    """Runs `main` on the command line's overrides. A command of several ranks gives `ends`,
    `_failures.ends_well`, which needs torch: others start in half the time without it."""
    with ends():
        main(sys.argv[1:])


def compose_config(name: str, overrides: list[str]) -> DictConfig:
    """The composed config; whatever is wrong in the command is a `UserError` of one line."""
    flags = [override for override in overrides if override.startswith("-")]
    if flags:
        raise UserError(f"{flags[0]} is unknown; a command has keys, no flags but train.py -m")
    trust, overrides = trust_of([_named(_quoted(override)) for override in overrides])
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        try:
            cfg = compose(name, overrides)
        except HydraException as error:
            raise UserError(_explained(name, str(error), overrides)) from None
    missing = sorted(OmegaConf.missing_keys(cfg))
    if missing:
        raise UserError(f"{missing[0]} is not set; give {missing[0]}=...")
    _check_emptied(cfg, overrides)
    check_targets(cfg, trust)
    return cfg


def _check_emptied(cfg: DictConfig, overrides: list[str]) -> None:
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


def _quoted(override: str) -> str:
    """The comma of open_clip:NAME,TAG is not between two values of a sweep."""
    return re.sub(r"^(start|encoder)=((?:open_clip|timm):[^'\"]*,.*)$", r"\1='\2'", override)


def _named(override: str) -> str:
    """Entries of these mappings may have any name, so one that is not there yet is added."""
    return f"++{override}" if override.startswith(NAMED) else override


def _explained(name: str, message: str, overrides: list[str]) -> str:
    """Hydra's message in one line; for an unknown key also the keys that look like it."""
    sweep = re.search("(?:Ambiguous value for argument|Sweep parameters) '(.+?)'", message)
    if sweep:
        return f"{sweep[1]} has several values; write key=[a,b] for a list; {_SWEEP}"
    unknown = re.search(r"Could not override '([^']+)'", message)
    if not unknown:
        line = " ".join(message.split("Config search path", maxsplit=1)[0].split())
        absent = re.search(r"Could not load '([^']+)/[^']*'", message)
        return f"{line} Available: {', '.join(_options(absent[1]))}" if absent else line
    known = _known_keys(name, [o for o in overrides if _names_a_group(o, but=unknown[1])])
    near = difflib.get_close_matches(unknown[1], known, n=3)
    top = ", ".join(key for key in known if "." not in key)
    hint = f"did you mean {' or '.join(near)}?" if near else f"its keys: {top}"
    return f"{unknown[1]} is not a key of this command; {hint}"


def _options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))


def _names_a_group(override: str, *, but: str) -> bool:
    key = override.split("=", maxsplit=1)[0].lstrip("+")
    return key != but and (CONFIGS / key).is_dir()


def _known_keys(name: str, overrides: list[str]) -> list[str]:
    try:
        return _keys(compose(name, overrides))
    except HydraException:  # there is more than one thing wrong: one at a time
        return []


def _keys(cfg: DictConfig, prefix: str = "") -> list[str]:
    """Every key that can be overridden, dotted."""
    found = []
    for key in map(str, cfg):
        value = cfg._get_node(key)
        found.append(f"{prefix}{key}")
        if isinstance(value, DictConfig) and not value._is_none() and not value._is_missing():
            found += _keys(value, f"{prefix}{key}.")
    return found


def make(cfg: Any) -> Any:
    """The parts that a composed config, or plain values of one, describe (`_instantiate.built`);
    past this there is no OmegaConf."""
    return built(plain(cfg) if OmegaConf.is_config(cfg) else cfg)


def plain(cfg: Any) -> Any:
    """Dicts, lists and values, interpolations resolved."""
    return OmegaConf.to_container(cfg, resolve=True)
