"""Whether a model still has answers: finite weights can be too large for any finite answer."""

from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule

from cloc import dist
from cloc.interfaces import Embeddings, RegionBatch
from cloc.numerics import first_not_finite

ASKED = 8  # samples


def fault(module: L.LightningModule, batch: RegionBatch) -> str | None:
    """What is wrong with `module.model`, in words; None where its weights are finite and it has a
    finite answer to one sample of `batch` at least: a sample may be bad, the model is where all
    are. Every rank asks and hears of the first fault of any. Waits for the device.
    """
    model: nn.Module = module.model  # type: ignore[assignment]
    weights = first_not_finite(model.state_dict())
    mute = bool(rows_not_finite(_answers(module, model, few(batch, at_most=ASKED))).all())
    found = {True: "the model has no finite answer to any sample any more", False: None}[mute]
    if weights is not None:
        found = f"the weights of {weights} are not finite"
    return next((one for one in dist.gather_objects(found) if one is not None), None)


def rows_not_finite(out: Embeddings) -> Tensor:
    """Bool [b]: samples with an embedding, or a predicted box, that is not finite."""
    found = [out.image, out.caption, out.region, out.predicted_boxes]
    return torch.stack(
        [~x.detach().isfinite().flatten(1).all(1) for x in found if x is not None]
    ).any(0)


def few(batch: RegionBatch, *, at_most: int) -> RegionBatch:
    """The first samples of a batch and their phrases, without negatives."""
    index = batch.phrase_index[:at_most]
    rows = torch.arange(index.numel(), device=index.device)
    return RegionBatch(
        images=batch.images[:at_most],
        captions=batch.captions[:at_most],
        caption_valid=batch.caption_valid[:at_most],
        boxes=batch.boxes[:at_most],
        valid=batch.valid[:at_most],
        phrases=batch.phrases[index.flatten()],
        phrase_index=rows.view_as(index) * batch.valid[:at_most],
        negative_index=batch.negative_index[:at_most, :, :0],
        keys=batch.keys[:at_most],
        extra={name: column[:at_most] for name, column in batch.extra.items()},
        origins=batch.origins[:at_most],
    )


@torch.no_grad()
def _answers(module: L.LightningModule, model: nn.Module, batch: RegionBatch) -> Embeddings:
    """As in training, but in evaluation mode: no dropout is drawn, no statistics change."""
    training = model.training
    model.eval()
    with (
        torch.compiler.set_stance("force_eager"),  # a batch of another size would compile again
        module.trainer.precision_plugin.forward_context(),
    ):
        out: Any = model(batch)
    model.train(training)
    for part in model.modules():  # what no backward follows stays whole on every rank
        if isinstance(part, FSDPModule):
            part.reshard()
    answers: Embeddings = out
    return answers
