"""What `prepare` does with its configuration: a folder of shards, whole or not there."""

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from cloc.cli.config.compose import make
from cloc.cli.config.renamed_paths import renamed
from cloc.cli.tasks.prepare_by_stages import run_pipeline
from cloc.data.samples.json_files import read_mapping
from cloc.data.shards.manifest import read_manifest
from cloc.data.shards.writer import refuse_existing
from cloc.errors import UserError
from cloc.terminal import plain_console

SETTINGS = "prepare.json"


def prepare(settings: dict[str, Any], *, out: Path, if_exists: str) -> bool:
    """Runs the importer that `settings` name; True if it wrote `out`, False if it was there.

    The folder appears under its name only when all of its splits are complete. One that exists is
    refused, or left alone with `if_exists="skip"` if it was written with equal settings.
    """
    if if_exists == "skip" and (out / SETTINGS).is_file():
        _check_same(settings, out)
        return False
    size = settings.get("samples_per_shard", 1)
    if type(size) is not int or size < 1:
        raise UserError(f"samples_per_shard={size}; give a number of 1 or more")
    refuse_existing(out)
    staging = out.with_name(out.name + ".partial")
    shutil.rmtree(staging, ignore_errors=True)  # what an interrupted run left
    try:
        # Called here and not by Hydra, which would take `out` for a setting to record.
        make({**settings, "_partial_": True})(out=staging)
        if not staging.is_dir():
            raise UserError(f"these settings write no sample to {out}; ask for at least one")
        text = json.dumps(settings, indent=1, ensure_ascii=False)
        (staging / SETTINGS).write_text(text + "\n", encoding="utf-8")
        if out.exists():
            out.rmdir()  # empty, as checked above
        staging.rename(out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return True


def _check_same(settings: dict[str, Any], out: Path) -> None:
    cure = f"remove {out}, or choose another out="
    recorded = renamed(read_mapping(out / SETTINGS, cure=cure))
    keys = sorted(k for k in {*recorded, *settings} if recorded.get(k) != settings.get(k))
    if keys:
        changes = ", ".join(f"{k}={recorded.get(k)} there, {settings.get(k)} asked" for k in keys)
        raise UserError(
            f"{out} was written with other settings ({changes}); remove it or choose another out="
        )


def summary(out: Path) -> Table:
    """One row per split: what it holds, what was left out by reason, shards and size."""
    held = ("images", "captions", "regions")
    table = Table("split", *held, "left out", "shards", "MiB", title=f"{out}/")
    for folder in sorted(path.parent for path in out.glob("*/manifest.json")):
        manifest = read_manifest(folder)
        drops = [f"{count} {reason}" for reason, count in manifest.get("drops", {}).items()]
        size = sum(shard["bytes"] for shard in manifest["shards"]) / 2**20
        table.add_row(
            folder.name,
            f"{manifest['samples']:,}",
            f"{manifest['captions']:,}" if "captions" in manifest else "?",
            f"{manifest['regions']:,}",
            ", ".join(drops) or "none",
            str(len(manifest["shards"])),
            f"{size:.1f}",
        )
    return table


def write(settings: dict[str, Any]) -> None:
    """By an importer or by the pipeline, and a table of what was written."""
    out, if_exists = Path(settings.pop("out")), settings.pop("if_exists")
    if if_exists not in ("refuse", "skip"):
        raise UserError(f"if_exists={if_exists} is not known; give if_exists=refuse or =skip")
    if "engine" in settings:
        made = run_pipeline(settings, out)
        print(f"{out} is complete" if made else f"{out} was complete: there is nothing to do")
        plain_console().print(totals(read_manifest(out)))
        tell_empty([out])
        return
    if not prepare(settings, out=out, if_exists=if_exists):
        print(f"{out} was there already, with the same settings")
    plain_console().print(summary(out))
    tell_empty(sorted(path.parent for path in out.glob("*/manifest.json")))


def tell_empty(folders: Sequence[Path]) -> None:
    """A line for each set from which nothing can be learnt; pictures alone are the beginning of a
    pipeline, so that it is no error."""
    for folder in folders:
        manifest = read_manifest(folder)
        if not manifest["regions"] and not manifest.get("captions", 1):
            print(
                f"{folder}: none of {manifest['samples']:,} samples has a caption or a region, so "
                "nothing can be trained on it; cloc-pretrain prepare pipeline=vesl with "
                "stages/recaption=... writes captions for pictures alone",
                file=sys.stderr,
            )


def totals(manifest: Mapping[str, Any]) -> Table:
    """What came in, what came out, and what was left out on the way by stage and reason."""
    table = Table("", "count", show_header=False)
    table.add_row("images read", f"{manifest['input_samples']:,}")
    table.add_row("images written", f"{manifest['samples']:,}")
    table.add_row("captions", f"{manifest['captions']:,}" if "captions" in manifest else "?")
    table.add_row("regions", f"{manifest['regions']:,}")
    for reason, count in manifest["drops"].items():
        table.add_row(f"left out, {reason}", f"{count:,}")
    for event, count in manifest["events"].items():
        table.add_row(event, f"{count:,}")
    for row in manifest["quarantined"]:
        table.add_row(f"failed: {row['path']}", row["error"])
    return table
