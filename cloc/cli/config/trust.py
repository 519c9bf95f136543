"""Which code a configuration may name: a YAML file from elsewhere must not be able to run anything.

Hydra's own list of what it refuses is no boundary (its advisory GHSA-2cp2-2r3c-7p7r says so), so
this is a list of what is allowed. Only the command line adds to it, with `+trust=[package]`: what a
composed file says of trust is refused, and no file is asked what an earlier command said.
"""

import inspect
import os
import re
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cloc.cli.config.renamed_paths import current
from cloc.errors import UserError, one_line

DETECTOR = "cloc.cli.tasks.grounding_detector"  # a stage, and no command
FUNCTIONS = ("cloc.data.sources", "cloc.training.optim.warmup_cosine")  # that read or compute
# write a folder: what `cloc-pretrain prepare` is asked for, and part of nothing else
WRITERS = re.compile(
    r"cloc\.scenes\.(depth\.)?generate\.write_scenes|data_prep\.importers\.(\w+)\.write_\2"
)
CLASSES = (  # of these, which also hold functions that write, start, load or measure something
    *("cloc.data", "cloc.losses", "cloc.eval", "cloc.export", "cloc.training", "cloc.scenes"),
    "cloc.decoder.benchmark",
    *("data_prep.importers", "data_prep.stages", "data_prep.engines", "data_prep.endpoint"),
    *(DETECTOR, "torch.optim", "timm.optim"),
    *("lightning.Trainer", "lightning.pytorch.loggers", "lightning.pytorch.callbacks"),
    *("lightning.pytorch.strategies", "lightning.pytorch.plugins", "lightning.pytorch.profilers"),
)
TRAINER = "lightning.pytorch.trainer.trainer"  # where lightning.Trainer is defined
COMMANDS = (  # read overrides, start processes or sweep: part of no configuration, trusted or not
    *("hydra", "cloc.tools", "cloc.cli", "lightning.pytorch.cli", "lightning.fabric.cli"),
)
BY_PATH = ("hydra.utils.get_method", "hydra.utils.get_class")  # what they name is in `path`
BESIDE_PATH = {"_target_", "path"}


def trust_of(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """The packages that a command line trusts, and its other overrides."""
    found: list[str] = []
    others = []
    for override in overrides:
        if re.match(r"[+~]*trust\b", override):
            found += _packages(override)
        else:
            others.append(override)
    return found, others


def _packages(override: str) -> list[str]:
    wrong = UserError(f"{override}: write +trust=[package], with the names of packages of yours")
    try:
        parsed = OverridesParser.create().parse_override(override)
        value = parsed.value() if parsed.key_or_group == "trust" else None
    except HydraException:
        raise wrong from None
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(n, str) and _is_name(n) for n in names):
        raise wrong
    return names


def check_targets(cfg: DictConfig, trust: Sequence[str] = ()) -> None:
    """`UserError` for a `_target_` that is neither one of ours nor in a package of `trust`, for one
    that only passes through there, and for a file that would grant itself trust.

    Every name is looked at before anything is imported for the first of them. A trusted package may
    lie in the folder of the command too, behind all that is installed.
    """
    if trust and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    if "trust" in cfg:
        raise UserError(
            "a file of this configuration sets trust; only the command line can, and may: write "
            f"'+trust={cfg.get('trust')}' there"
        )
    try:
        data = OmegaConf.to_container(cfg, resolve=True)  # a target may stand behind ${...}
    except OmegaConfBaseException as error:
        raise UserError(f"{getattr(error, 'full_key', None)}: {one_line(error)}") from None
    names = list(_names(data, ""))
    for key, name in names:
        check_name(key, name, trust)
    for key, name in names:
        check_found(key, name, trust)


def _names(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Every dotted path that would be imported, and the key it stands at."""
    if isinstance(value, list | tuple):
        for i, inner in enumerate(value):
            yield from _names(inner, f"{key}[{i}]")
    if not isinstance(value, dict):
        return
    if "_target_" in value:
        yield _named(value, key)
    for name, inner in value.items():
        yield from _names(inner, f"{key}.{name}" if key else str(name))


def _named(part: dict[Any, Any], key: str) -> tuple[str, str]:
    target, at = part["_target_"], "_target_"
    if target in BY_PATH:
        more = sorted(map(str, set(part) - BESIDE_PATH))
        if more:
            raise UserError(f"{key}: {target} takes a path and nothing else, but {more[0]} is set")
        target, at = part.get("path"), "path"
    at = f"{key}.{at}" if key else at
    if not isinstance(target, str) or not _is_name(target):
        raise UserError(f"{at}={target!r} is no dotted name of a class or function")
    return at, current(target)


def _is_name(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))


def check_name(key: str, name: str, trust: Sequence[str] = ()) -> None:
    """`UserError` for a name that is not allowed by how it begins; nothing is imported."""
    if _is_command(name):
        raise UserError(f"{key}={name} is a command, which no configuration may name")
    if _under(name, trust):
        return
    root = _under(name, CLASSES)
    if root is None or any(part.startswith("_") for part in name[len(root) :].split(".")):
        package = name.partition(".")[0]
        raise UserError(
            f"{key}={name} is code that no configuration of this project names; if you trust it, "
            f"add +trust=[{package}]"
        )


def check_found(key: str, name: str, trust: Sequence[str] = ()) -> None:
    """`UserError` where the thing that an allowed name stands for is defined elsewhere.

    A module holds what it imports too, and a class what it does: `ours.torch.load` and
    `Strategy.load_checkpoint` are no parts.
    """
    found = find(key, name)
    is_trusted, is_class = _under(name, trust) is not None, inspect.isclass(found)
    is_function = inspect.isfunction(found)
    if is_function and WRITERS.fullmatch(name) and key != "_target_" and not is_trusted:
        raise UserError(
            f"{key}={name} writes files: only import= of cloc-pretrain prepare names it"
        )
    is_part = _under(name, FUNCTIONS) is not None or WRITERS.fullmatch(name) is not None
    if not (is_class or (is_function and (is_trusted or is_part))):
        kind = "class or function" if is_trusted or is_part else "class"
        raise UserError(f"{key}={name} is no {kind}, but a {type(found).__name__}")
    where = f"{found.__module__}.{found.__qualname__}"
    roots = (*CLASSES, TRAINER, *trust)
    if _is_command(where) or not _under(where, roots):
        raise UserError(
            f"{key}={name} is {where}, which is code from elsewhere; name what "
            f"{name.rpartition('.')[0]} itself defines, or if you trust it, add "
            f"+trust=[{found.__module__}]"
        )


def find(key: str, name: str) -> Any:
    """What a dotted name stands for: an attribute of a module, by that module's own name."""
    module_name, _, attribute = current(name).rpartition(".")
    try:
        module = import_module(module_name)
        found = getattr(module, attribute)
    except Exception as error:  # of the module's own code too, such as a library that is missing
        raise UserError(f"{key}={name} cannot be imported: {one_line(error)}") from None
    if module.__name__ != module_name:
        raise UserError(f"{key}={name} is a name for {module.__name__}.{attribute}; write that")
    return found


def _under(name: str, roots: Sequence[str]) -> str | None:
    """The root that `name` is, or lies below."""
    return next((root for root in roots if name == root or name.startswith(f"{root}.")), None)


def _is_command(name: str) -> bool:
    if _under(name, (DETECTOR,)):
        return False
    return "__main__" in name.split(".") or _under(name, COMMANDS) is not None
