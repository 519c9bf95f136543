"""The tokenizer a tower is trained with, and the way back from its token ids to words."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import open_clip
from torch import Tensor

from cloc.errors import UserError


def make_tokenizer(
    model_config: Mapping[str, Any], *, folder: Path | None = None
) -> Callable[[list[str], int], Tensor]:
    """`tokenize(texts, context_length)` of an open_clip model of this configuration.

    `folder` is the open_clip folder the model came from: a Hugging Face tokenizer is read from
    there and not from the hub, as open_clip itself does it.
    """
    text: Mapping[str, Any] = model_config["text_cfg"]
    context = text.get("context_length", 77)
    options = dict(text.get("tokenizer_kwargs") or {})
    name = text.get("hf_tokenizer_name")
    if not name:
        return open_clip.tokenizer.SimpleTokenizer(context_length=context, **options)
    source, mode = str(folder or name), text.get("tokenizer_mode")
    try:
        return open_clip.tokenizer.HFTokenizer(source, context, tokenizer_mode=mode, **options)
    except (ImportError, OSError, ValueError) as error:
        line = " ".join(str(error).split())[:200]
        raise UserError(
            f"the tokenizer {source} cannot be loaded ({line}); it needs the package transformers, "
            "and a network or a copy in the hub's cache"
        ) from error


def decode(tokenizer: Any, tokens: Sequence[int]) -> str:
    """Token ids as words, without start, end and padding."""
    if hasattr(tokenizer, "tokenizer"):  # Hugging Face's
        return str(tokenizer.tokenizer.decode(tokens, skip_special_tokens=True)).strip()
    ids = list(tokens)
    while ids and ids[-1] == 0:  # padding stands after the end; before it, 0 is "!"
        ids.pop()
    return str(tokenizer.decode([t for t in ids if t not in tokenizer.all_special_ids])).strip()
