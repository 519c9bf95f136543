"""torch.compile where it pays: the blocks of the towers and the Prompter."""

from collections.abc import Callable
from typing import Any

from torch import nn

from cloc.heads.prompter import Prompter
from cloc.models.parameter_names import is_block, part_of


def compile_parts(model: nn.Module, *, backend: str | Callable[..., Any] = "inductor") -> None:
    """In place: the state dict keeps its names. Nothing is compiled before the first step.

    All blocks of a tower share one graph, so a tower of 32 layers compiles as fast as one of two.
    Text blocks are compiled for any number and length of texts, because the number of unique
    phrases differs from batch to batch; images and regions have one shape all through a run.
    """
    for name, module in model.named_modules():
        if is_block(name):
            module.compile(backend=backend, dynamic=part_of(name) == "text_tower" or None)
        elif isinstance(module, Prompter):
            module.compile(backend=backend)
