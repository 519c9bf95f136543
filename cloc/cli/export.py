"""Exports a run to a folder that another library loads, and compares its outputs with the model's.

cloc-pretrain export run=runs/demo format=open_clip out=DIR
cloc-pretrain export run=runs/demo format=hf out=DIR precision=float16
cloc-pretrain export run=runs/demo format=onnx out=DIR ema=true

docs/using.md has the code that loads each format.
"""

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

import yaml
from omegaconf import DictConfig

from cloc.cli.config.compose import cli, command, compose_config
from cloc.cli.tasks.hub import check_name
from cloc.errors import UserError


def main(overrides: list[str]) -> None:
    cfg = compose_config("export", overrides, check=check_command)
    from cloc.cli.tasks.export import export

    export(cfg)


def check_command(cfg: DictConfig) -> None:
    """Before the slow part."""
    if os.path.lexists(cfg.out):
        raise UserError(f"{cfg.out} exists; remove it or choose another out=")
    if cfg.format.precision != cfg.precision:
        raise UserError(
            f"format.precision={cfg.format.precision} follows precision; give precision=float32, "
            "float16 or bfloat16"
        )
    if not re.fullmatch(r"[a-z0-9.+-]+", str(cfg.license)):
        raise UserError(
            f"license={cfg.license}; give one of the hub's words, such as apache-2.0, "
            "cc-by-nc-4.0 or other"
        )
    if cfg.push is not None:
        check_name(str(cfg.push))
    for name in ("config.yaml", "provenance.json", "metrics.json"):
        path = Path(cfg.run) / name
        if path.is_file() and not _is_whole(path):
            raise UserError(
                f"{path} is damaged, as by a run cut off while it wrote; restore it, or move it "
                "away and the export goes on without it"
            )


def _is_whole(path: Path) -> bool:
    """A mapping; of the configuration, whose beginning is one too, up to what is read of it."""
    try:
        found = (json.loads if path.suffix == ".json" else yaml.safe_load)(path.read_text())
        return isinstance(found, dict) and (path.suffix == ".json" or "splits" in found["eval"])
    except (ValueError, yaml.YAMLError, KeyError, TypeError):
        return False


def run(arguments: Sequence[str]) -> None:
    """From a shell."""
    cli(main, command(__doc__, "export"), arguments)
