"""Writes shards from annotations or from a generator: `import=coco` or `import=scenes`."""

import difflib
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from cloc.data.shards import read_manifest, refuse_existing
from cloc.errors import UserError

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
SETTINGS = "prepare.json"


def prepare(settings: dict[str, Any], *, out: Path, if_exists: str) -> bool:
    """Runs the importer that `settings` name; True if it wrote `out`, False if it was there.

    The folder appears under its name only when all of its splits are complete. One that exists is
    refused, or left alone with `if_exists="skip"` if it was written with equal settings.
    """
    if if_exists not in ("refuse", "skip"):
        raise UserError(f"if_exists={if_exists} is not known; give if_exists=refuse or =skip")
    if if_exists == "skip" and (out / SETTINGS).is_file():
        _check_same(settings, out)
        return False
    refuse_existing(out)
    staging = out.with_name(out.name + ".partial")
    shutil.rmtree(staging, ignore_errors=True)  # what an interrupted run left
    # Called here and not by Hydra, which would wrap a `UserError` in an exception of its own.
    instantiate({**settings, "_partial_": True}, _convert_="all")(out=staging)
    text = json.dumps(settings, indent=1, ensure_ascii=False)
    (staging / SETTINGS).write_text(text + "\n", encoding="utf-8")
    if out.exists():
        out.rmdir()  # empty, as checked above
    staging.rename(out)
    return True


def _check_same(settings: dict[str, Any], out: Path) -> None:
    recorded = json.loads((out / SETTINGS).read_text(encoding="utf-8"))
    keys = sorted(k for k in {*recorded, *settings} if recorded.get(k) != settings.get(k))
    if keys:
        changes = ", ".join(f"{k}={recorded.get(k)} there, {settings.get(k)} asked" for k in keys)
        raise UserError(
            f"{out} was written with other settings ({changes}); remove it or choose another out="
        )


def summary(out: Path) -> Table:
    """One row per split: images, regions, boxes left out by reason, shards, size and place."""
    table = Table("split", "images", "regions", "left out", "shards", "MiB", "where")
    for folder in sorted(path.parent for path in out.glob("*/manifest.json")):
        manifest = read_manifest(folder)
        drops = [f"{count} {reason}" for reason, count in manifest.get("drops", {}).items()]
        size = sum(shard["bytes"] for shard in manifest["shards"]) / 2**20
        table.add_row(
            folder.name,
            f"{manifest['samples']:,}",
            f"{manifest['regions']:,}" if "regions" in manifest else "",
            ", ".join(drops) or "none",
            str(len(manifest["shards"])),
            f"{size:.1f}",
            str(folder),
        )
    return table


def settings_of(overrides: list[str]) -> DictConfig:
    """The composed config; whatever is wrong in the command is a `UserError` of one line."""
    try:
        cfg = compose("prepare", overrides)
    except HydraException as error:
        raise UserError(_explained(str(error), overrides)) from None
    missing = sorted(OmegaConf.missing_keys(cfg))
    if missing:
        raise UserError(f"{missing[0]} is not set; give {missing[0]}=...")
    return cfg


def _explained(message: str, overrides: list[str]) -> str:
    """Hydra's message in one line; for an unknown key also the keys that look like it."""
    unknown = re.search(r"Could not override '([^']+)'", message)
    if not unknown:
        return " ".join(message.split("Config search path", maxsplit=1)[0].split())
    known = sorted(map(str, compose("prepare", [o for o in overrides if o.startswith("import=")])))
    near = difflib.get_close_matches(unknown[1], known, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there is {', '.join(known)}"
    return f"{unknown[1]} is not a setting of this import; {hint}"


def main(overrides: list[str]) -> None:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        cfg = settings_of(overrides)
    settings = OmegaConf.to_container(cfg)
    assert isinstance(settings, dict)
    out, if_exists = Path(settings.pop("out")), settings.pop("if_exists")
    written = prepare(
        {str(key): value for key, value in settings.items()}, out=out, if_exists=if_exists
    )
    if not written:
        print(f"{out} was there already, with the same settings")
    Console().print(summary(out))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(f"error: {error}")
