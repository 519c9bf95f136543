"""Exports a run: `python scripts/export.py run=runs/NAME format=open_clip out=DIR`."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from _hub import check_name, push
from _probe import make_probe
from _run import cli, compose_config, make
from omegaconf import DictConfig
from safetensors import SafetensorError

from cloc.errors import UserError, one_line
from cloc.models.cloc import CLOC
from cloc.models.load import load_model
from cloc.parity import Probe, answers, note_rounding
from cloc.report.card import model_card
from cloc.weight_files import PRECISIONS, round_weights


def main(overrides: list[str]) -> None:
    cfg = compose_config("export", overrides)
    run, out = Path(cfg.run), Path(cfg.out)
    _check(cfg)
    exporter = make(cfg.format)
    if cfg.precision != "float32" and not hasattr(exporter, "precision"):
        raise UserError(f"precision={cfg.precision}: this format is float32; leave precision out")
    model = load_model(run, ema=cfg.ema, wise_ft=cfg.wise_ft)
    probe = _probe(cfg, model)
    before = answers(model, probe) if cfg.precision != "float32" else {}
    round_weights(model, cfg.precision)
    with _staged(out) as staging:
        exporter.export(model, staging, probe)
        if before:
            note_rounding(staging, cfg.precision, before, answers(model, probe))
        card = model_card(
            run,
            description=model.description,
            folder=out.name,
            exporter=exporter,
            license=cfg.license,
        )
        (staging / "README.md").write_text(card)
    print(f"{out}: {', '.join(sorted(path.name for path in out.iterdir()))}")
    if cfg.push is not None:
        print(push(out, str(cfg.push)))


def _probe(cfg: DictConfig, model: CLOC) -> Probe:
    try:
        return make_probe(cfg, model)
    except OSError as error:
        raise UserError(f"images={cfg.images} cannot be read ({one_line(error)})") from error


def _check(cfg: DictConfig) -> None:
    """Before the slow part."""
    if os.path.lexists(cfg.out):
        raise UserError(f"{cfg.out} exists; remove it or choose another out=")
    if cfg.precision not in PRECISIONS:
        raise UserError(f"precision={cfg.precision}; choose from {', '.join(PRECISIONS)}")
    if not isinstance(cfg.ema, bool):
        raise UserError(f"ema={cfg.ema}; choose true or false")
    if isinstance(cfg.wise_ft, bool) or not isinstance(cfg.wise_ft, int | float):
        raise UserError(f"wise_ft={cfg.wise_ft}; choose a number from 0 to 1")
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


@contextmanager
def _staged(out: Path) -> Iterator[Path]:
    """A folder beside `out` that becomes it at the end, and goes away where there is an error."""
    staging = out.with_name(out.name + ".partial")
    try:
        shutil.rmtree(staging, ignore_errors=True)  # what an interrupted export left
        staging.mkdir(parents=True)
        yield staging
        staging.rename(out)
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot export to out={out} ({one_line(error)})") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


if __name__ == "__main__":
    cli(main)
