"""A tower's own vocabulary as a language model needs it: text to tokens and back."""

from typing import Any

from cloc.errors import UserError


class Words:
    """`tokenizer` is `Tower.tokenizer()`: open_clip's own, or one of Hugging Face's behind
    open_clip's face. `begin` is None where it has no first token, as T5's; `UserError` for one
    without a last token, which ends an answer."""

    def __init__(self, tokenizer: Any) -> None:
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
        self.end: int = end

    def encode(self, text: str) -> list[int]:
        """Tokens of a text as the tower cleans it, without the first and last."""
        clean = getattr(self._face, "clean_fn", None)
        text = clean(text) if clean else text
        if self._theirs is None:
            return list(self._face.encode(text))
        return list(self._theirs.encode(text, add_special_tokens=False))

    def decode(self, tokens: list[int]) -> str:
        """Words with single blanks between, without the first and last token."""
        own = [token for token in tokens if token not in (self.begin, self.end)]
        text = (self._face if self._theirs is None else self._theirs).decode(own)
        return " ".join(text.split())


def _first(*tokens: int | None) -> int | None:
    return next((token for token in tokens if token is not None), None)
