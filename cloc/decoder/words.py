"""A tower's own vocabulary as a language model needs it: text to tokens and back."""

from collections.abc import Iterable, Sequence
from typing import Any

from cloc.errors import UserError


class Words:
    """`tokenizer` is `Tower.tokenizer()`: open_clip's own, or one of Hugging Face's behind
    open_clip's face. `begin` is None where it has no first token, as T5's; `UserError` for one
    without a last token, which ends an answer.

    Of the tokenizer's tokens only those in `kept` are there, counted anew in that order; None: all.
    `UserError` for a text with another one."""

    def __init__(self, tokenizer: Any, kept: Sequence[int] | None = None) -> None:
        self._face, self._theirs = tokenizer, getattr(tokenizer, "tokenizer", None)
        own = self._theirs
        self.begin: int | None
        if own is None:
            self.begin, end = tokenizer.sot_token_id, tokenizer.eot_token_id
        else:
            self.begin = _first(own.bos_token_id, own.cls_token_id)
            end = _first(own.eos_token_id, own.sep_token_id)
        if end is None:
            raise UserError(
                "the tower's tokenizer has no token that ends a text, so no answer would end; "
                "choose a tower whose tokenizer has one (eos or sep)"
            )
        self._kept = None if kept is None else list(kept)
        self._place = {token: i for i, token in enumerate(kept or ())}
        if kept is not None:
            self.begin = None if self.begin is None else self._place[self.begin]
            end = self._place[end]
        self.end: int = end

    def encode(self, text: str) -> list[int]:
        """Tokens of a text as the tower cleans it, without the first and last."""
        tokens = self._encode(text)
        if self._kept is None:
            return tokens
        if missing := [token for token in tokens if token not in self._place]:
            raise UserError(
                f"{text!r} has {self._decode(missing[:1])!r}, which is none of the decoder's words "
                "(decoder.words)"
            )
        return [self._place[token] for token in tokens]

    def decode(self, tokens: Sequence[int]) -> str:
        """Words with single blanks between, without the first and last token."""
        own = [token for token in tokens if token not in (self.begin, self.end)]
        return self._decode(own if self._kept is None else [self._kept[token] for token in own])

    def _encode(self, text: str) -> list[int]:
        clean = getattr(self._face, "clean_fn", None)
        text = clean(text) if clean else text
        if self._theirs is None:
            return list(self._face.encode(text))
        return list(self._theirs.encode(text, add_special_tokens=False))

    def _decode(self, tokens: list[int]) -> str:
        text = (self._face if self._theirs is None else self._theirs).decode(tokens)
        return " ".join(text.split())


def tokens_of(tokenizer: Any, texts: Iterable[str]) -> list[int]:
    """What `Words` needs of a tokenizer to read and write these texts, in ascending order."""
    words = Words(tokenizer)
    ends = {token for token in (words.begin, words.end) if token is not None}
    return sorted(ends | {token for text in texts for token in words.encode(text)})


def _first(*tokens: int | None) -> int | None:
    return next((token for token in tokens if token is not None), None)
