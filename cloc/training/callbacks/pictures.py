"""Pictures of what a run sees and answers, for its folder and every logger that takes them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import PIL.Image
from lightning.pytorch.utilities import rank_zero_only
from torch import nn

from cloc.drawing import colour, contact_sheet, draw_boxes
from cloc.interfaces import RegionBatch


class FirstBatch(L.Callback):
    """Draws the first batch as the model gets it, boxes and phrases on it: `first_batch.png`.

    `decode` turns the token ids of a phrase back into words.
    """

    def __init__(
        self, folder: str | Path, *, decode: Callable[[Sequence[int]], str], at_most: int = 16
    ) -> None:
        self.folder, self.decode, self.at_most = Path(folder), decode, at_most

    @rank_zero_only
    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: RegionBatch, batch_idx: int
    ) -> None:
        """Only once, and not again where a run is resumed."""
        if trainer.global_step:
            return
        sheet = contact_sheet(drawn(batch, self.decode, at_most=self.at_most), columns=4)
        self.folder.mkdir(parents=True, exist_ok=True)
        sheet.save(self.folder / "first_batch.png")
        log_pictures(trainer, {"pictures/first_batch": [sheet]}, 0)


class Pictures(L.Callback):
    """`draw(model)` gives {name: pictures} every so many steps; they go to the loggers."""

    def __init__(
        self,
        draw: Callable[[nn.Module], Mapping[str, Sequence[PIL.Image.Image]]],
        *,
        every_n_steps: int,
    ) -> None:
        self.draw, self.every_n_steps = draw, every_n_steps

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """In evaluation mode, and on every rank: a sharded model needs all of them to answer."""
        if trainer.global_step % self.every_n_steps == 0:
            model: nn.Module = pl_module.model  # type: ignore[assignment]
            training = model.training
            log_pictures(trainer, self.draw(model.eval()), trainer.global_step)
            model.train(training)


def drawn(
    batch: RegionBatch, decode: Callable[[Sequence[int]], str], *, at_most: int
) -> list[PIL.Image.Image]:
    """The first pictures of a batch exactly as the model gets them, with boxes and phrases."""
    return [_drawn(batch, decode, i) for i in range(min(at_most, len(batch.images)))]


def _drawn(batch: RegionBatch, decode: Callable[[Sequence[int]], str], i: int) -> PIL.Image.Image:
    image = PIL.Image.fromarray(batch.images[i].permute(1, 2, 0).cpu().numpy())
    valid = batch.valid[i].cpu()
    boxes = batch.boxes[i].cpu()[valid].numpy() * np.array([image.width, image.height] * 2)
    labels = [decode(row) for row in batch.phrases[batch.phrase_index[i]].cpu()[valid].tolist()]
    return draw_boxes(image, boxes, labels, [colour(k) for k in range(len(labels))])


@rank_zero_only
def log_pictures(
    trainer: L.Trainer, pictures: Mapping[str, Sequence[PIL.Image.Image]], step: int
) -> None:
    """To wandb and TensorBoard, by the methods Lightning gives their loggers."""
    loggers: list[Any] = trainer.loggers
    for logger in loggers:
        for name, images in pictures.items():
            if hasattr(logger, "log_image"):
                logger.log_image(name, list(images), step=step)
            elif hasattr(getattr(logger, "experiment", None), "add_image"):
                for i, image in enumerate(images):
                    tag = f"{name}/{i}"
                    logger.experiment.add_image(tag, np.asarray(image), step, dataformats="HWC")
