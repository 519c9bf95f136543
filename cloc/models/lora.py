"""Low-rank updates of chosen layers of the towers, through peft (LoRA, arXiv 2106.09685)."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from cloc.errors import UserError
from cloc.models.cloc import CLOC


def add_lora(model: CLOC, *, rank: int, alpha: int, targets: Sequence[str]) -> None:
    """In place: every module of the towers whose name ends in one of `targets` gets two matrices of
    `rank`, their product times alpha / rank added to its own weight; it begins as no change at all.

    All other weights of the towers are frozen, the image-text scale and bias too. `targets` are
    ends of open_clip's names, such as `visual.transformer.resblocks.11.mlp.c_fc` or `attn`; a star
    in them stands for one component of a name.
    """
    peft = _peft()
    if rank < 1 or not targets:
        raise UserError(f"lora.rank={rank}, lora.targets={list(targets)}: at least 1, and one name")
    pattern = "|".join(_pattern(target) for target in targets)
    config = peft.LoraConfig(r=rank, lora_alpha=alpha, target_modules=rf"(?:.*\.)?(?:{pattern})")
    try:
        peft.inject_adapter_in_model(config, model.tower.clip)
    except ValueError as error:
        ends = sorted({n.rsplit(".", 1)[-1] for n, _ in model.tower.clip.named_modules() if n})
        raise UserError(
            f"lora.targets={list(targets)}: {' '.join(str(error).split())[:160]}; modules of this "
            f"tower end in {', '.join(ends[:20])}"
        ) from None
    model.description["lora"] = {"rank": rank, "alpha": alpha, "targets": list(targets)}


def merge_lora(model: CLOC) -> None:
    """In place: the updates become part of the weights, under the names they had without LoRA."""
    if model.description.pop("lora", None) is None:
        return
    layer = _peft().tuners.tuners_utils.BaseTunerLayer
    clip = model.tower.clip
    found = {name: module for name, module in clip.named_modules() if isinstance(module, layer)}
    for name, module in found.items():
        parent, _, child = name.rpartition(".")
        if not any(name.startswith(f"{outer}.") for outer in found):  # attention holds its own
            setattr(clip.get_submodule(parent), child, _merged(module))
    model.requires_grad_(True)


def _merged(module: Any) -> nn.Module:
    """The layer itself with the update in its weights."""
    if hasattr(module, "unload_and_optionally_merge_module"):
        whole: nn.Module = module.unload_and_optionally_merge_module(
            merge=True, safe_merge=False, adapter_names=None
        )
        return whole
    module.merge()
    base: nn.Module = module.get_base_layer()
    return base


def _pattern(target: str) -> str:
    return target.replace(".", r"\.").replace("*", r"[^.]+")


def _peft() -> Any:
    try:
        import peft
    except ImportError:
        raise UserError("lora needs the package peft; pip install 'cloc-pretrain[hf]'") from None
    return peft
