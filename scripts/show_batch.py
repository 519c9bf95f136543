"""Draws what the model really gets: `python scripts/show_batch.py experiment=NAME out=DIR`."""

from pathlib import Path

from _run import cli, compose_config, plain
from train import make_data

from cloc.drawing import contact_sheet
from cloc.models.build import build_model
from cloc.training.callbacks.pictures import drawn


def main(overrides: list[str]) -> None:
    cfg = compose_config("show_batch", overrides)
    tower = build_model(**plain(cfg.model)).tower
    data = make_data(cfg, tower, steps=1)
    batch = next(iter(data.train_dataloader()))
    out = Path(cfg.out)
    out.mkdir(parents=True, exist_ok=True)
    path = out / "batch.png"
    contact_sheet(drawn(batch, tower.words, at_most=cfg.images), columns=4).save(path)
    regions, phrases = int(batch.valid.sum()), len(set(batch.phrase_index[batch.valid].tolist()))
    print(f"{path}: {len(batch.images)} images, {regions} regions, {phrases} different phrases")


if __name__ == "__main__":
    cli(main)
