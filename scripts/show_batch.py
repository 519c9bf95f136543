"""Draws what the model really gets: `python scripts/show_batch.py experiment=NAME out=DIR`."""

from itertools import islice
from pathlib import Path

from _batch_page import write_batches
from _run import cli, compose_config, plain
from train import make_data

from cloc.models.build import build_model


def main(overrides: list[str]) -> None:
    cfg = compose_config("show_batch", overrides)
    tower = build_model(**plain(cfg.model)).tower
    data = make_data(cfg, tower, steps=cfg.batches)
    loader = data.train_dataloader()
    batches = list(islice(loader, cfg.batches))
    out = Path(cfg.out)
    out.mkdir(parents=True, exist_ok=True)
    path = out / "batch.html"
    write_batches(
        path, batches, title=str(cfg.name), decode=tower.words, dropped=loader.tally.rows()
    )
    regions = sum(int(batch.valid.sum()) for batch in batches)
    dropped = loader.tally.counts.total()
    images = sum(len(batch.images) for batch in batches)
    print(f"{path}: {images} images, {regions} regions, {dropped} things left out")


if __name__ == "__main__":
    cli(main)
