"""Which code a configuration may name: a YAML file from elsewhere must not be able to run anything.

Hydra's own list of what it refuses is no boundary (its advisory GHSA-2cp2-2r3c-7p7r says so), so
this is a list of what is allowed.
"""

from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf

from cloc.errors import UserError

TRUSTED = (
    *("cloc", "data_prep", "_grounding_detector", "torch.optim", "timm.optim", "lightning.Trainer"),
    *("lightning.pytorch.loggers", "lightning.pytorch.callbacks", "lightning.pytorch.strategies"),
    *("lightning.pytorch.plugins", "lightning.pytorch.profilers"),
)
BY_PATH = ("hydra.utils.get_method", "hydra.utils.get_class")  # what they name is in `path`


def check_targets(cfg: DictConfig) -> None:
    """`UserError` for a `_target_` that is neither trusted nor in a package that `trust` names."""
    data = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(data, dict)
    trusted = (*TRUSTED, *data.get("trust", ()))
    for key, name in _names(data, ""):
        if not any(name == t or name.startswith(f"{t}.") for t in trusted):
            package = name.partition(".")[0]
            raise UserError(
                f"{key}={name} is code that no configuration of this project names; if you trust "
                f"it, add +trust=[{package}]"
            )


def _names(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Every dotted path that would be imported, and the key it stands at."""
    if isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _names(inner, f"{key}[{i}]")
    if not isinstance(value, dict):
        return
    target = str(value.get("_target_", ""))
    if target in BY_PATH:
        yield f"{key}.path", str(value.get("path"))
    elif target:
        yield f"{key}._target_", target
    for name, inner in value.items():
        yield from _names(inner, f"{key}.{name}" if key else str(name))
