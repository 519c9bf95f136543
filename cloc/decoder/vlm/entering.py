"""What goes into the language model for a prompt: the vectors of its words and of its picture."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from cloc.decoder.vlm.vlm import VLM
from cloc.errors import UserError

EMBEDDINGS, DEEP = "inputs_embeds", "deepstack_visual_embeds"
Through = Callable[[Mapping[str, Any]], Mapping[str, Any]]


@contextmanager
def entering(vlm: VLM, through: Through) -> Iterator[None]:
    """While it lasts, `through` is given what is behind the projector, by transformers' names for
    it: `inputs_embeds` [b, n, w] and, of Qwen3-VL, `deepstack_visual_embeds`, which are added to
    the picture's tokens behind the first layers, [all of the batch, w] each. What it gives instead
    goes in. Tokens that are generated one by one do not pass it."""

    def enter(module: Any, args: Any, given: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        x = given.get(EMBEDDINGS)
        if not isinstance(x, Tensor):
            raise UserError(
                f"vlm={vlm.name}: its pictures do not enter {type(module).__name__} as vectors "
                f"({EMBEDDINGS}); give a model of LLaVA's or Qwen-VL's layout"
            )
        if x.shape[1] == 1:
            return args, given
        return args, {**given, **through({EMBEDDINGS: x, DEEP: given.get(DEEP) or []})}

    handle = vlm.language.register_forward_pre_hook(enter, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()
