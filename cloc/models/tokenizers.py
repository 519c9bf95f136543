"""The tokenizer a tower is trained with, and the way back from its token ids to words."""

import json
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import lru_cache
from pathlib import Path
from typing import Any

import open_clip
from torch import Tensor

from cloc.errors import UserError, one_line
from cloc.foreign_code import described, unasked
from cloc.models.t5 import t5_tokenizer

# What a configuration may say of its tokenizer, by type or value: the rest of
# `text_cfg.tokenizer_kwargs` would reach transformers, where `trust_remote_code` runs code.
Allowed = type | tuple[str, ...]
CLEANS = ("canonicalize", "lower", "whitespace")
REDUCTIONS = ("", "simple", "random", "shuffle", "syntax")
# of a Hugging Face tokenizer
OPTIONS: dict[str, Allowed] = {"clean": CLEANS, "strip_sep_token": bool, "language": str}
OWN_OPTIONS: dict[str, Allowed] = {
    "clean": CLEANS,
    "additional_special_tokens": list,
    "reduction_mask": REDUCTIONS,
}
MODES = (None, "", "clips")


def make_tokenizer(
    model_config: Mapping[str, Any], *, folder: Path | None = None
) -> Callable[[list[str], int], Tensor]:
    """`tokenize(texts, context_length)` of an open_clip model of this configuration.

    `folder` is the open_clip folder the model came from: a Hugging Face tokenizer is read from
    there and not from the hub, as open_clip itself does it. A file is the vocabulary of T5.
    """
    text: Mapping[str, Any] = model_config["text_cfg"]
    context = text.get("context_length", 77)
    options = tokenizer_options(text)
    name, mode = text.get("hf_tokenizer_name"), text.get("tokenizer_mode")
    if folder is not None and folder.is_file():
        return t5_tokenizer(folder, context)
    if not name:
        made = open_clip.tokenizer.SimpleTokenizer
        # a copy, so that what somebody sets on it is nobody else's
        return copy(_byte_pairs(made, context, json.dumps(options, sort_keys=True)))
    source = str(folder or name)
    options["trust_remote_code"] = False
    try:
        files = str(described(source))
        with unasked():
            return open_clip.tokenizer.HFTokenizer(files, context, tokenizer_mode=mode, **options)
    except UserError:
        raise
    except Exception as error:  # a tokenizer of another kind fails in a way of its own
        raise UserError(
            f"the tokenizer {source} cannot be loaded ({one_line(error)}); it needs the package "
            "transformers, and a network or a copy in the hub's cache"
        ) from error


@lru_cache(maxsize=8)  # its table takes 0.2 s, and a run asks for it some five times
def _byte_pairs(made: Callable[..., Any], context: int, options: str) -> Any:
    return made(context_length=context, **json.loads(options))


def tokenizer_options(text: Mapping[str, Any]) -> dict[str, Any]:
    """`tokenizer_kwargs` of a `text_cfg`; `UserError` for one that is none of the few known."""
    known = OPTIONS if text.get("hf_tokenizer_name") else OWN_OPTIONS
    given = text.get("tokenizer_kwargs") or {}
    if not isinstance(given, Mapping):
        raise UserError(f"text_cfg.tokenizer_kwargs={given!r} is no mapping of options")
    for key, value in given.items():
        if not _allows(known.get(key, ()), value):
            allowed = ", ".join(f"{name} ({_said(kind)})" for name, kind in known.items())
            raise UserError(
                f"text_cfg.tokenizer_kwargs.{key}={value!r} is no option that a configuration may "
                f"give its tokenizer; there are {allowed}"
            )
    if text.get("tokenizer_mode") not in MODES:
        raise UserError(f"text_cfg.tokenizer_mode={text['tokenizer_mode']!r}; only clips is known")
    return dict(given)


def _allows(known: Allowed, value: Any) -> bool:
    if not isinstance(known, type):
        return value in known
    words = all(type(x) is str for x in value) if isinstance(value, list) else True
    return isinstance(value, known) and words


def _said(known: Allowed) -> str:
    if isinstance(known, type):
        return known.__name__
    return " or ".join(word or repr(word) for word in known)


def decode(tokenizer: Any, tokens: Sequence[int]) -> str:
    """Token ids as words, without start, end and padding."""
    if hasattr(tokenizer, "tokenizer"):  # Hugging Face's
        return str(tokenizer.tokenizer.decode(tokens, skip_special_tokens=True)).strip()
    ids = list(tokens)
    while ids and ids[-1] == 0:  # padding stands after the end; before it, 0 is "!"
        ids.pop()
    return str(tokenizer.decode([t for t in ids if t not in tokenizer.all_special_ids])).strip()
