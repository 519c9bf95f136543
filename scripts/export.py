"""Exports a run: `python scripts/export.py run=runs/NAME format=open_clip out=DIR`."""

import shutil
from pathlib import Path

from _hub import push
from _probe import make_probe
from _run import cli, compose_config, make

from cloc.errors import UserError
from cloc.models.load import load_model
from cloc.report.card import model_card
from cloc.weight_files import round_weights


def main(overrides: list[str]) -> None:
    cfg = compose_config("export", overrides)
    run, out = Path(cfg.run), Path(cfg.out)
    if out.exists():
        raise UserError(f"{out} exists; remove it or choose another out=")
    exporter = make(cfg.format)
    if cfg.precision != "float32" and not hasattr(exporter, "precision"):
        raise UserError(f"precision={cfg.precision}: this format is float32; leave precision out")
    model = load_model(run, ema=cfg.ema, wise_ft=cfg.wise_ft)
    round_weights(model, cfg.precision)
    probe = make_probe(cfg, model)
    staging = out.with_name(out.name + ".partial")
    shutil.rmtree(staging, ignore_errors=True)  # what an interrupted export left
    staging.mkdir(parents=True)
    try:
        exporter.export(model, staging, probe)
        card = model_card(
            run,
            description=model.description,
            folder=out.name,
            exporter=exporter,
            license=cfg.license,
        )
        (staging / "README.md").write_text(card)
        staging.rename(out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    print(f"{out}: {', '.join(sorted(path.name for path in out.iterdir()))}")
    if cfg.push is not None:
        print(push(out, str(cfg.push)))


if __name__ == "__main__":
    cli(main)
