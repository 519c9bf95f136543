"""What every script does first and last: compose its config, and say what is wrong in one line."""

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from cloc.cli.config.check_values import check_values
from cloc.cli.config.explain import (
    check_emptied,
    check_grammar,
    check_missing,
    check_removed,
    explained,
    names_a_group,
    one_line_of,
)
from cloc.cli.config.folders import CONFIGS, search_path, take_config_dir
from cloc.cli.config.help import help_text, split_flags
from cloc.cli.config.instantiate import built
from cloc.cli.config.kinds import default_of, kind
from cloc.cli.config.quoting import Entry, added_if_named, entries_of, is_override, literal, quoted
from cloc.cli.config.renamed_paths import renamed
from cloc.cli.config.trust import check_targets, trust_of
from cloc.data.samples.text import spell_out_unprintable
from cloc.errors import PREEMPTED, SIGNALS, UserError, ends_with_its_reader, one_line

Ends = Callable[[], AbstractContextManager[None]]
SCRIPTS = (  # of a checkout
    *("train", "evaluate", "export", "prepare", "bench", "show_batch", "check_shards"),
    *("compare_runs", "compare_regions"),
)
ENDED = "another process of this run has ended; its own message says why"


@contextmanager
def ends_plainly(code: int = 1) -> Iterator[None]:
    """Around a command of one process: what is wrong is one line and exit code 1, a signal 143."""
    for number in SIGNALS:
        signal.signal(number, lambda *_: os._exit(PREEMPTED))
    try:
        with ends_with_its_reader():
            yield
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except (UserError, OSError) as error:
        line = one_line_of(error)
        if line is None:
            raise
        print(f"error: {as_typed(line)}", file=sys.stderr)
        sys.exit(code)


@contextmanager
def ends_with_all_ranks() -> Iterator[None]:
    """`launch.failures.ends_well`, around the work of a command of several ranks: it needs torch,
    which a command has no time for until it is understood."""
    from cloc.cli.launch.failures import ends_well

    with ends_well():
        yield


def as_typed(text: str) -> str:
    """The commands that `text` names, in the way of the person who started this process: from a
    checkout they are scripts."""
    if Path(sys.argv[0]).parent.name != "scripts":
        return text
    return re.sub(r"cloc-pretrain ([a-z-]+)", _script, text)


def _script(found: re.Match[str]) -> str:
    name = found[1].replace("-", "_")
    return f"python scripts/{name}.py" if name in SCRIPTS else found[0]


class Command(NamedTuple):
    """What a command says of itself: its docstring, the file of its keys, and how it composes."""

    about: str
    name: str
    compose: Callable[[list[str]], DictConfig]


def cli(
    main: Callable[[list[str]], int | None],
    command: Command,
    arguments: Sequence[str],
    *,
    wrong: int = 1,
) -> None:
    """Runs `main` on the arguments, or answers --help and --cfg job; `wrong` is the exit code of a
    wrong command."""
    spell_out_unprintable()
    with ends_plainly(wrong):
        arguments = take_config_dir(arguments)
        asked, others = split_flags(arguments, sweeps=command.name == "train")
        if not asked:
            sys.exit(main(others))
        cfg = command.compose(others)
        print(
            as_typed(help_text(command.about, command.name, cfg, others))
            if "help" in asked
            else OmegaConf.to_yaml(cfg),
            end="" if "cfg" in asked else "\n",
        )


def command(about: str | None, name: str) -> Command:
    """Of a command whose arguments are overrides of configs/NAME.yaml and nothing else."""
    return Command(about or "", name, lambda overrides: composed(name, overrides)[1])


def compose_config(
    name: str, overrides: Sequence[str], *, check: Callable[[DictConfig], None] = lambda cfg: None
) -> DictConfig:
    """The composed and checked config; what is wrong in the command is one `UserError`. `check` is
    what the command itself asks, before any code that the config names is imported."""
    trust, overrides = trust_of(overrides)
    defaults, cfg = composed(name, overrides)
    check_missing(cfg, name)
    check_emptied(cfg, overrides)
    check_values(defaults, resolved(cfg))
    check(cfg)
    check_targets(cfg, trust)
    return cfg


def composed(name: str, overrides: Sequence[str]) -> tuple[DictConfig, DictConfig]:
    """The config before the person's own values, and with them; only that every key is one is
    checked. A text stands in it as it was typed."""
    placed, overrides = _placed(trust_of(overrides)[1])
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        try:
            groups = [o for o in overrides if names_a_group(o) and not o.startswith("~")]
            check_grammar(groups, groups)
            defaults = _of_files(name, (*groups, *search_path()), str(CONFIGS))
            check_removed(name, defaults, overrides)
            values = [override for override in overrides if override not in groups]
            kind_of = partial(kind, defaults)
            words = [quoted(override, kind_of) for override in values]
            check_grammar(words, values)
            cfg = _changed(defaults, [*_set_first(values, defaults), *words])
            return defaults, _with(placed, groups, cfg)
        except (HydraException, OmegaConfBaseException) as error:
            inner = getattr(error.__cause__, "full_key", None) or ""
            raise UserError(explained(name, str(error), overrides, inner=inner)) from None


def _placed(overrides: Sequence[str]) -> tuple[list[Entry], list[str]]:
    """What a person names and where it lies, and the overrides that are Hydra's to read."""
    found: list[Entry] = []
    others = []
    for override in overrides:
        entries = entries_of(override)
        if entries is None:
            others.append(added_if_named(override))
        else:
            found += entries
    return found, others


def _with(placed: Sequence[Entry], groups: Sequence[str], cfg: DictConfig) -> DictConfig:
    """In place; a group that was emptied (`logger=[]`) is a mapping without entries."""
    with open_dict(cfg):
        for group, choice in (override.partition("=")[::2] for override in groups):
            if choice.strip() == "[]" and group not in cfg:
                cfg[group] = {}
        for key, name, value in placed:
            if (node := OmegaConf.select(cfg, key)) is None:
                raise UserError(f"{key} is not a key of this command")
            if not isinstance(node, DictConfig):
                raise UserError(f"{key}={node} beside {key}.{name}=; write {key}={{NAME: PATH}}")
            node[name] = literal(value)
    return cfg


def _changed(defaults: DictConfig, words: Sequence[str]) -> DictConfig:
    """As `compose` does it last, without composing again, which takes a third of a second."""
    parsed, cfg = OverridesParser.create().parse_overrides(list(words)), defaults.copy()
    ConfigLoaderImpl.validate_sweep_overrides_legal(parsed, RunMode.RUN, from_shell=False)
    ConfigLoaderImpl._apply_overrides_to_config(parsed, cfg)
    return cfg


def _set_first(overrides: Sequence[str], defaults: DictConfig) -> list[str]:
    """For Hydra a key whose value is null is not there, and cannot be taken away."""
    keys = [override[1:] for override in overrides if re.fullmatch(r"~[\w.]+", override)]
    return [f"{key}=0" for key in keys if default_of(defaults, key) is None]


@cache  # of a sweep, or of many commands in one process, the files are read once
def _of_files(name: str, groups: tuple[str, ...], folder: str) -> DictConfig:
    """What the files of `folder` say before a person's own values; not to be changed."""
    return compose(name, list(groups))


def compose_words(name: str, arguments: Sequence[str], *, key: str) -> DictConfig:
    """Of a command whose arguments without KEY= are texts of the list `key`; one with a = that
    exists is such a text too."""
    overrides = [word for word in arguments if is_override(word)]
    words = [word for word in arguments if not is_override(word)]
    if twice := [word for word in overrides if words and word.partition("=")[0] == key]:
        raise UserError(f"{twice[0]} beside {words[0]}: give them in one way, as words")
    cfg = compose_config(name, overrides)
    cfg[key] = [literal(word) for word in words]
    return cfg


def resolved(cfg: DictConfig) -> dict[str, Any]:
    """`plain`, for values that a person gave: one that points at nothing is a `UserError`."""
    try:
        return plain(cfg)
    except (OmegaConfBaseException, RecursionError) as error:
        key = getattr(error, "full_key", None) or "a key"
        raise UserError(f"{key} points at what is not there ({one_line(error)})") from None


def make(cfg: Any) -> Any:
    """The parts that a composed config, or plain values of one, describe (`instantiate.built`);
    past this there is no OmegaConf."""
    return built(plain(cfg) if OmegaConf.is_config(cfg) else cfg)


def plain(cfg: Any) -> Any:
    """Dicts, lists and values, interpolations resolved."""
    return OmegaConf.to_container(cfg, resolve=True)


def frozen(text: str) -> DictConfig:
    """What a run's config.yaml says, in the names of today. Everything in it is resolved: nothing
    is to be replaced."""
    cfg = OmegaConf.create(literal(renamed(yaml.safe_load(text))))
    assert isinstance(cfg, DictConfig)
    return cfg
