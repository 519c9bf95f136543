"""The LightningModule: it joins model, losses, weights and optimizer, and does no mathematics."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from cloc.errors import UserError
from cloc.interfaces import Embeddings, Loss, RegionBatch
from cloc.training.fsdp import shard
from cloc.training.optim import cap_scales, clippable, made, on_device, parameter_groups


class CLOCModule(L.LightningModule):
    """`losses` and `weights` share their names; `groups` makes parameter groups of the model,
    `optimizer` takes them, `schedule` takes the optimizer. `accumulate` is the number of pieces in
    which the model runs over a batch, with the gradients of the whole; Lightning's own accumulation
    is refused."""

    def __init__(
        self,
        model: nn.Module,
        *,
        losses: Mapping[str, Loss],
        weights: Mapping[str, float],
        optimizer: Callable[[Sequence[Mapping[str, Any]]], torch.optim.Optimizer],
        schedule: Callable[[torch.optim.Optimizer], torch.optim.lr_scheduler.LRScheduler],
        accumulate: int = 1,
        groups: Callable[[nn.Module], list[dict[str, Any]]] = parameter_groups,
    ) -> None:
        super().__init__()
        if set(losses) != set(weights):
            wrong = [f"losses.{name} has no weight" for name in sorted({*losses} - {*weights})]
            wrong += [f"weights.{name} is of no loss" for name in sorted({*weights} - {*losses})]
            raise UserError(
                f"{', '.join(wrong)}; the losses are {', '.join(sorted(losses))}: give each a "
                "weight with weights.NAME=1.0 and take others away"
            )
        if not any(weights.values()):
            raise UserError(
                f"every loss has weight 0 ({', '.join(weights)}), so nothing would be trained; set "
                "weights.NAME=1.0"
            )
        self.model = model
        self.losses = dict(losses)
        self.weights = dict(weights)
        self.make_optimizer = optimizer
        self.make_schedule = schedule
        self.accumulate = accumulate
        self.make_groups = groups

    def configure_model(self) -> None:
        """FSDP2 where the strategy brings a mesh of devices (`trainer=fsdp`)."""
        if self.device_mesh is not None:
            shard(self.model, self.device_mesh)

    def training_step(self, batch: RegionBatch, batch_idx: int) -> Tensor:
        """The weighted sum of the losses; every term and log goes to the loggers as `train/...`."""
        if self._trainer is not None:
            check_accumulation(self.trainer.accumulate_grad_batches)
        out: Embeddings = self.model(batch, accumulate=self.accumulate)
        with torch.autocast(self.device.type, enabled=False):  # losses run in float32
            terms = {name: self._term(name, out, batch) for name in self.losses}
        logs = {f"train/{name}": term.value.detach() for name, term in terms.items()}
        for name, term in terms.items():
            logs |= {f"train/{name}.{key}": value for key, value in term.logs.items()}
        logs["scale/image_text"] = out.scale.detach()
        if out.region_scale is not None:
            logs["scale/region"] = out.region_scale.detach()
        loss = torch.stack([self.weights[name] * term.value for name, term in terms.items()]).sum()
        logs["train/loss"] = loss.detach()
        self.log_dict(logs, batch_size=len(batch.images))
        return loss

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """One optimizer over the trainable parameters, its schedule stepped every step."""
        optimizer = clippable(on_device(made(self.make_optimizer, self.make_groups(self.model))))
        cap_scales(optimizer, self.model)
        schedule = self.make_schedule(optimizer)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def _term(self, name: str, out: Embeddings, batch: RegionBatch) -> Any:
        check_needs(name, self.losses[name], out)
        return self.losses[name](out, batch)


def check_needs(name: str, loss: Loss, out: Embeddings) -> None:
    """`UserError` where a model does not give what the loss `name` needs, or gives its image-text
    logits a bias that the loss would leave out: its towers learned with both (SigLIP)."""
    missing = [need for need in loss.needs if not _gives(out, need)]
    if missing == ["bias"]:
        raise UserError(
            f"the loss {name} needs a bias of the logits, as SigLIP has, and this model has none; "
            "take image_text in its place: losses=[image_text,...]"
        )
    if missing:
        raise UserError(
            f"the loss {name} needs {', '.join(missing)}, which this model does not give; "
            f"{_cure(missing)}, or remove losses.{name}"
        )
    if out.bias is not None and "scale" in loss.needs and "bias" not in loss.needs:
        raise UserError(
            f"the loss {name} is a softmax without the bias that this model's logits have (SigLIP);"
            " take image_text_sigmoid in its place: losses=[image_text_sigmoid,...]"
        )


def _gives(out: Embeddings, need: str) -> bool:
    """`need` is a field of `Embeddings`, or `extra.KEY`."""
    field, _, key = need.partition(".")
    return key in out.extra if key else getattr(out, field) is not None


def _cure(missing: Sequence[str]) -> str:
    """What our own losses look for in `extra` comes from a decoder or a teacher, the rest from the
    heads."""
    cures = {
        "extra.answer_nll": "give it a decoder (experiment=scenes_vqa)",
        "extra.route_nll": "give its decoder a router (experiment=scenes_vqa_twin)",
    }
    heads = "add model.region_head (and model.box_head for grounding)"
    found = [cures.get(x, "set start=, the teacher" if "extra." in x else heads) for x in missing]
    return " and ".join(sorted(set(found)))


def check_accumulation(batches: int) -> None:
    """Raises `UserError` where Lightning would add up the gradients of several small batches.

    A contrastive loss of a small batch has that batch's negatives alone: another objective.
    """
    if batches != 1:
        raise UserError(
            f"trainer.accumulate_grad_batches={batches} would contrast every small batch with "
            f"itself alone, which is another objective; set accumulate={batches} instead, with "
            "batch_size the images of a whole step"
        )
