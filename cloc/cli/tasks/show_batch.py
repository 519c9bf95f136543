"""What `show-batch` does with its configuration: a page of batches."""

from itertools import islice
from pathlib import Path

from omegaconf import DictConfig

from cloc.cli.build.parts import make_parts
from cloc.cli.build.start import model_settings
from cloc.cli.pages.batches import write_batches
from cloc.models.build import build_model


def draw(cfg: DictConfig) -> None:
    """The first batches of the run that `cfg` describes, as `cfg.out`/batch.html."""
    out = Path(cfg.out)
    model = build_model(**model_settings(cfg, out, resumed=False))
    loader = make_parts(cfg, model, steps=cfg.batches).data.train_dataloader()
    batches = list(islice(loader, cfg.batches))
    out.mkdir(parents=True, exist_ok=True)
    path = out / "batch.html"
    write_batches(
        path, batches, title=str(cfg.name), decode=model.tower.words, dropped=loader.tally.rows()
    )
    regions = sum(int(batch.valid.sum()) for batch in batches)
    dropped = loader.tally.counts.total()
    images = sum(len(batch.images) for batch in batches)
    print(f"{path}: {images} images, {regions} regions, {dropped} things left out")
