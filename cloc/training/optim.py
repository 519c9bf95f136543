"""Parameter groups and the learning-rate schedule."""

import math
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

# The ends of their names in open_clip, timm, Hugging Face and our Prompter.
POSITIONS = ("positional_embedding", "pos_embed", "position_embeddings.weight", "corners")
CLASSES = ("class_embedding", "cls_token", "reg_token", "cls_emb")


def parameter_groups(model: nn.Module) -> list[dict[str, Any]]:
    """Two groups that partition the trainable parameters: matrices, and what gets no weight decay.

    Biases, norms, the logit scales (anything under two axes) and embeddings of position or class
    are not decayed: decaying a scale pulls the temperature up all through training.
    """
    decayed: list[nn.Parameter] = []
    kept: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            exempt = parameter.ndim < 2 or name.endswith(POSITIONS + CLASSES)
            (kept if exempt else decayed).append(parameter)
    return [{"params": decayed}, {"params": kept, "weight_decay": 0.0}]


def warmup_cosine(optimizer: torch.optim.Optimizer, *, warmup: int, steps: int) -> LambdaLR:
    """Linear over `warmup` steps, then half a cosine down to 0 at `steps` (CLOC, table A)."""

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        done = (step - warmup) / max(steps - warmup, 1)
        return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))

    return LambdaLR(optimizer, factor)
