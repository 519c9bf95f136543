"""Whether the data have anything that the losses could learn from."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import lightning as L
import torch
from torch import Tensor

from cloc import dist
from cloc.errors import UserError
from cloc.interfaces import Loss, RegionBatch

ENOUGH = 10_000  # samples in which a data set shows what it has, where an epoch is not shorter
REGIONS = {"phrase", "region", "predicted_boxes", "extra.teacher_region"}  # fields of `Embeddings`


class Found(NamedTuple):
    """Of one rank."""

    idle: list[str]  # losses that were 0 in every step
    captions: int
    regions: int


class Work(L.Callback):
    """Ends a run none of whose losses had anything to do, and tells of each that never had.

    A loss without a caption or region to work on is 0 exactly, whatever the weights. That is noted
    on the device and read once: after `samples`, the samples of an epoch, or `ENOUGH`, or at the
    last step. Losses of weight 0 and those that read pictures alone are not asked.
    """

    def __init__(self, *, samples: int) -> None:
        self.samples, self.seen, self.known = min(samples, ENOUGH), 0, False
        self.had: dict[str, Tensor] = {}  # loss -> bool, on the device
        self.counts: Tensor | None = None  # captions and regions of this rank

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: RegionBatch,
        batch_idx: int,
    ) -> None:
        """In front of the checkpoints: a run that learnt nothing leaves none of its last step."""
        if self.known:
            return
        losses: Mapping[str, Loss] = pl_module.losses  # type: ignore[assignment]
        weights: Mapping[str, float] = pl_module.weights  # type: ignore[assignment]
        asked = [name for name, loss in losses.items() if weights[name] and reads(loss)]
        self._note(trainer, asked, batch)
        if self.seen < self.samples and trainer.global_step != trainer.max_steps:
            return
        self.known = True
        idle = [name for name in asked if not self.had[name]]
        assert self.counts is not None
        found = dist.gather_objects(Found(idle, *self.counts.tolist()))
        self._judge(found, {name: losses[name] for name in asked}, len(losses))

    def state_dict(self) -> dict[str, Any]:
        """Nothing is asked again where a run goes on."""
        return {"known": self.known}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.known = state_dict["known"]

    def _note(self, trainer: L.Trainer, asked: Sequence[str], batch: RegionBatch) -> None:
        self.seen += len(batch.images) * dist.world_size()
        counts = torch.stack([batch.caption_valid.sum(), batch.valid.sum()])
        self.counts = counts if self.counts is None else self.counts + counts
        for name in asked:
            has = trainer.callback_metrics[f"train/{name}"] != 0
            self.had[name] = has if name not in self.had else self.had[name] | has

    def _judge(self, ranks: Sequence[Found], asked: Mapping[str, Loss], count: int) -> None:
        """All ranks come to the same verdict."""
        idle = [name for name in asked if all(name in found.idle for found in ranks)]
        has = {
            "captions": sum(found.captions for found in ranks),
            "regions": sum(found.regions for found in ranks),
        }
        lines = [_said(name, asked[name], has) for name in idle]
        if idle and len(idle) == count:
            raise UserError(
                f"no loss had anything to do in {self.seen} samples: {'; '.join(lines)}. Give data "
                "(data.train, data.parse) that hold it, or other losses="
            )
        for line in lines if dist.rank() == 0 else ():
            print(f"in {self.seen} samples {line}; it trains nothing so far", file=sys.stderr)


def reads(loss: Loss) -> str:
    """What of the data it works on: "captions", "regions", or "" where any picture will do."""
    if "caption" in loss.needs:
        return "captions"
    return "regions" if REGIONS & set(loss.needs) else ""


def _said(name: str, loss: Loss, has: Mapping[str, int]) -> str:
    what = reads(loss)
    if not has[what]:
        return f"{name} reads {what}, and there was none"
    compared = "two of one step" if what == "captions" else "two of one step, or one and negatives"
    return f"{name} compares {what}, {compared}, and among {has[what]} there was no such pair"
