"""Exports a run: `python scripts/export.py run=runs/NAME format=open_clip out=DIR`."""

import shutil
from pathlib import Path

from _probe import make_probe
from _run import cli, compose_config, make

from cloc.errors import UserError
from cloc.models.load import load_model
from cloc.report.card import model_card


def main(overrides: list[str]) -> None:
    cfg = compose_config("export", overrides)
    run, out = Path(cfg.run), Path(cfg.out)
    if out.exists():
        raise UserError(f"{out} exists; remove it or choose another out=")
    model = load_model(run, ema=cfg.ema, wise_ft=cfg.wise_ft)
    probe = make_probe(cfg, model)
    staging = out.with_name(out.name + ".partial")
    shutil.rmtree(staging, ignore_errors=True)  # what an interrupted export left
    staging.mkdir(parents=True)
    try:
        make(cfg.format).export(model, staging, probe)
        card = model_card(run, description=model.description, folder=out.name)
        (staging / "README.md").write_text(card)
        staging.rename(out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    print(f"{out}: {', '.join(sorted(path.name for path in out.iterdir()))}")


if __name__ == "__main__":
    cli(main)
