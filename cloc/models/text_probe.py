"""Whether a text tower reads its texts at their ends, and its tokenizer's padding as padding.

Tokenizer and pooling are two keys of a configuration, and nothing else joins them: open_clip's
default pools the token of the highest id, which is the end in CLIP's own vocabulary and any word in
another; a causal tower that reads a word does not know what follows it. Probe sentences are
tokenized and the place that is read is looked at; no weight is.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from jaxtyping import Float, Int
from open_clip.hf_model import HFTextEncoder
from open_clip.transformer import text_global_pool
from torch import Tensor, nn

from cloc.errors import UserError, one_line
from cloc.models.hugging_face_text import check_encoder
from cloc.models.t5 import SPACE

# the first two differ in their last word alone; the last is cut at any context
PROBES = ("zebra cat", "zebra dog", "2 photos, left of the ring!", "x", "a red kite " * 200)
SHORT = 3  # of them
# of a tokenizer's own (<mask>, <extra_id_7>, [unused3]): written in a text, or never given; but a
# byte (<0x0A>) is what a character falls back to
MARK = re.compile(rf"{SPACE}?(?!<0x)(?:<[^<>]*>|\[[^\[\]]*\])")
FRAME = ("bos_token_id", "eos_token_id", "cls_token_id", "pad_token_id")  # of tokenizer_mode=clips
# at a text; syntax reduction needs a package and its data
FAILS = (ValueError, TypeError, RuntimeError, AssertionError, ImportError, LookupError)
MARKED = 32  # tokens; more than any mark
WHERE = "text_cfg (model.tower.config.text_cfg, or the start's configuration)"


class Read(NamedTuple):
    """A probe as the tower gets it: its tokens, and the place whose vector is the text's."""

    tokens: list[int]
    place: int


def check_text(text: Any, tokenize: Callable[..., Any], *, context: int, vocabulary: int) -> None:
    """`UserError` where `text`, open_clip's text tower of `vocabulary` tokens, would not read what
    `tokenize` gives as texts; with the keys that mend it."""
    rows = _rows(tokenize, context)
    last = max(*map(max, rows), beyond(tokenize, vocabulary) or 0)
    if last >= vocabulary:
        raise UserError(
            f"the tokenizer does not fit: it gives token {last}, but the text tower knows "
            f"{vocabulary}; take the tokenizer the weights were trained with, or for random "
            f"weights set text_cfg.vocab_size={last + 1}"
        )
    padding = _padding(tokenize)
    if isinstance(text, HFTextEncoder):
        check_encoder(text, context)
        _check_padding(rows, padding, text.config.pad_token_id)
    elif getattr(text, "cls_emb", None) is not None:
        _check_padding(rows, padding, text.pad_id)
    else:
        _check_places(text, tokenize, rows, padding)


def _rows(tokenize: Any, context: int) -> list[list[int]]:
    """The probes' tokens."""
    if getattr(tokenize, "tokenizer_mode", None) == "clips":
        lacks = [key for key in FRAME if getattr(tokenize.tokenizer, key) is None]
        if lacks:
            raise UserError(
                f"text_cfg.tokenizer_mode=clips puts {', '.join(FRAME)} around a text, but the "
                f"tokenizer has no {' and no '.join(lacks)}; set text_cfg.tokenizer_mode=null, or "
                "take a tokenizer with them (text_cfg.hf_tokenizer_name)"
            )
    try:
        found: list[list[int]] = tokenize(list(PROBES), context).tolist()
    except FAILS as error:  # of a tokenizer without padding, among others
        raise UserError(f"the tokenizer cannot fill texts up: {one_line(error)}") from None
    return found


def beyond(tokenize: Any, vocabulary: int) -> int | None:
    """The highest id from `vocabulary` on that some text gets; None where there is none.

    A mark counts where a text that says it gets it: published tokenizers have marks behind the
    table of their tower, as SigLIP's of many languages, whose cleaning takes them apart.
    """
    unknown = getattr(getattr(tokenize, "tokenizer", None), "unk_token_id", None)
    over = {word: i for word, i in _words(tokenize).items() if i >= vocabulary}
    marks = [word for word, i in over.items() if MARK.fullmatch(word) and i != unknown]
    found = {over[word] for word in over.keys() - set(marks)}
    if marks and not found:
        rows = tokenize([word.removeprefix(SPACE) for word in marks], MARKED)
        found = {last for row in rows.tolist() if (last := max(row)) >= vocabulary}
    return max(found, default=None)


def pooling(text: Any) -> tuple[str | None, int | None]:
    """The pool_type and eos_id of open_clip's own text towers."""
    pool = getattr(text, "text_pool_type", getattr(text, "pool_type", None))
    return pool, getattr(text, "text_eos_id", getattr(text, "eos_id", None))


def _check_places(
    text: Any, tokenize: Callable[..., Any], rows: Sequence[list[int]], padding: int
) -> None:
    pool, end = pooling(text)
    causal = text.attn_mask is not None
    read = [Read(row, _place(row, pool, end)) for row in rows]
    wrong = _wrong(read, pool, end, tokenize, causal=causal)
    if wrong:
        named = f", eos_id={end}" if pool == "eos" else ""
        raise UserError(f"text_cfg.pool_type={pool}{named} {wrong}; {_cure(rows, padding)}")
    if not causal or pool == "last":
        return
    # `Tower.short_text_exact`: at a shorter length the same tokens up to the end
    whole, row = read[SHORT], tokenize([PROBES[SHORT]], len(rows[0]) - 1)[0].tolist()
    short = row[: _place(row, pool, end) + 1]
    if padding in whole.tokens and short != whole.tokens[: whole.place + 1]:
        raise UserError(
            "the tokenizer fills texts up in front, so a text's places change with the length it "
            "is tokenized at; save the tokenizer with padding_side=right"
        )


def _place(row: Sequence[int], pool: str | None, end: int | None) -> int:
    """What `open_clip.transformer.text_global_pool` takes."""
    if pool in ("first", "last"):
        return 0 if pool == "first" else len(row) - 1
    wanted = max(row) if pool == "argmax" else end
    return row.index(wanted) if wanted in row else 0


def _wrong(
    read: Sequence[Read],
    pool: str | None,
    end: int | None,
    tokenize: Callable[..., Any],
    *,
    causal: bool,
) -> str | None:
    """What is wrong with the places that are read."""
    if pool not in ("first", "last", "argmax", "eos"):
        return "gives no single vector of a text"
    one, other = read[:2]
    columns = enumerate(zip(one.tokens, other.tokens, strict=True))
    apart = next((i for i, (a, b) in columns if a != b), 1)
    if causal and min(one.place, other.place) < apart:
        return (
            f"reads token {one.place} of {PROBES[0]!r} in a causal tower, before its last word: to "
            f"it {PROBES[1]!r} is the same"
        )
    if pool in ("first", "last"):
        return None
    ends = {tokens[place] for tokens, place in read}
    if len(ends) > 1 or (pool == "eos" and ends != {end}):
        return f"reads the tokens {sorted(ends)} of {len(read)} texts, not their end"
    highest = max(_words(tokenize).values()) if pool == "argmax" else min(ends)
    if highest > min(ends):
        return f"takes the highest token for a text's end, {min(ends)}, but words go to {highest}"
    return None


def _words(tokenize: Any) -> dict[str, int]:
    own = getattr(tokenize, "tokenizer", None)  # of Hugging Face's
    found: dict[str, int] = tokenize.encoder if own is None else own.get_vocab()
    return found


def _padding(tokenize: Any) -> int:
    own = getattr(tokenize, "tokenizer", None)
    return 0 if own is None else int(own.pad_token_id)


def _check_padding(rows: Sequence[Sequence[int]], padding: int, wanted: int | None) -> None:
    if padding != wanted and any(padding in row for row in rows):
        raise UserError(
            f"the tokenizer fills texts up with token {padding}, but the text tower leaves out "
            f"token {wanted}, so it would read padding as words; take the tokenizer that belongs "
            "to it (text_cfg.hf_tokenizer_name)"
        )


def _cure(rows: Sequence[list[int]], padding: int) -> str:
    """The token behind the last word, where all probes have one and it stands nowhere else."""
    ends, first = set(), True
    for row in rows:
        there = [i for i, token in enumerate(row) if token != padding]
        place = there[-1] if there else 0
        ends.add(row[place])
        first = first and row.index(row[place]) == place
    if len(ends) == 1 and first:
        return f"set pool_type=eos and eos_id={ends.pop()} in {WHERE}"
    if all(padding in row for row in rows[:-1]) and rows[-1][-1] == padding:  # it is the end too
        return f"set pool_type=eos and eos_id={padding} in {WHERE}"
    return f"the tokenizer puts no end of its own behind a text: set pool_type=last in {WHERE}"


def encode_short(text: Any, tokens: Int[Tensor, "n s"]) -> Float[Tensor, "n d"]:
    """open_clip's `encode_text` with positions and causal mask cut to the length of `tokens`."""
    length = tokens.shape[1]
    dtype = text.transformer.get_cast_dtype()
    x = text.token_embedding(tokens).to(dtype) + text.positional_embedding[:length].to(dtype)
    x = text.ln_final(text.transformer(x, attn_mask=text.attn_mask[:length, :length]))
    pool, end = pooling(text)
    x = text_global_pool(x, tokens, pool, eos_token_id=end)
    projection = text.text_projection
    if projection is None:
        return x
    return projection(x) if isinstance(projection, nn.Linear) else x @ projection
