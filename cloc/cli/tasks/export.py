"""What `export` does with its configuration: a folder that is whole or not there."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from omegaconf import DictConfig
from safetensors import SafetensorError

from cloc.cli.config.compose import make
from cloc.cli.tasks.export_probe import make_probe
from cloc.cli.tasks.hub import push
from cloc.errors import UserError, one_line
from cloc.export.parity import Probe, answers, note_rounding
from cloc.export.weights import PRECISIONS, round_weights
from cloc.models.cloc import CLOC
from cloc.models.load import load_model
from cloc.report.card import model_card


def export(cfg: DictConfig) -> None:
    """Writes `cfg.out`, and uploads it where `cfg.push` says so."""
    run, out = Path(cfg.run), Path(cfg.out)
    if cfg.precision not in PRECISIONS:
        raise UserError(f"precision={cfg.precision}; choose from {', '.join(PRECISIONS)}")
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
