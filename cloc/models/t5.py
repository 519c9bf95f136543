"""The paper's tokenizer: T5's SentencePiece in lower case, read from the file of its vocabulary."""

import struct
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import open_clip

from cloc.errors import UserError, one_line

NAME = "google-t5/t5-base"  # one of the repositories that have it
EMBEDDED = 32128  # T5's own: 32,000 pieces, 100 marks of its pretraining, and up to a round number
PADDING, END, UNKNOWN = "<pad>", "</s>", "<unk>"
FILES = ("tokenizer.json", "spiece.model", "sentencepiece.model", "tokenizer.model")
OPTIONS = {"clean": "lower"}
SPACE = "\N{LOWER ONE EIGHTH BLOCK}"  # SentencePiece's
# of sentencepiece_model.proto: fields of the model, of a piece and of the normalizer
PIECES, NORMALIZER, PIECE, SCORE, CHARSMAP = 1, 3, 1, 2, 2


def with_t5(model_config: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """An open_clip model configuration whose texts are T5's tokens, read at their end token."""
    vocabulary = _read(file).get_vocab()
    text = {
        **model_config["text_cfg"],
        "vocab_size": EMBEDDED,
        "hf_tokenizer_name": NAME,
        "tokenizer_kwargs": dict(OPTIONS),
        "pool_type": "eos",
        "eos_id": vocabulary[END],
        "pad_id": vocabulary[PADDING],
    }
    return {**model_config, "text_cfg": text}


def t5_tokenizer(file: Path, context: int) -> Any:
    """open_clip's `HFTokenizer` of this vocabulary: texts are cut before their end token."""
    from transformers import PreTrainedTokenizerFast

    fast = PreTrainedTokenizerFast(
        tokenizer_object=_read(file), unk_token=UNKNOWN, eos_token=END, pad_token=PADDING
    )
    with tempfile.TemporaryDirectory() as folder:
        fast.save_pretrained(folder)
        return open_clip.tokenizer.HFTokenizer(folder, context, **OPTIONS)


def _read(file: Path) -> Any:
    """A `tokenizers.Tokenizer`; `UserError` where the file is no T5's."""
    try:
        from tokenizers import Tokenizer, processors
    except ImportError:
        raise UserError(
            f"model.tower.vocabulary={file} needs the package transformers; "
            "pip install 'cloc-pretrain[hf]'"
        ) from None
    try:
        found = Tokenizer.from_file(str(file)) if file.suffix == ".json" else _sentencepiece(file)
    except Exception as error:  # the tokenizers' own errors are of no other class
        raise UserError(f"{file} is no vocabulary of SentencePiece ({one_line(error)})") from None
    size = found.get_vocab_size()
    ids = [found.token_to_id(token) for token in (PADDING, END, UNKNOWN)]
    if None in ids or size > EMBEDDED or type(found.model).__name__ != "Unigram":
        raise UserError(
            f"{file} is not T5's vocabulary (a {type(found.model).__name__} of {size} pieces); "
            f"that is a Unigram of at most {EMBEDDED} with {PADDING}, {END} and {UNKNOWN}"
        )
    found.post_processor = processors.TemplateProcessing(
        single=f"$A {END}", special_tokens=[(END, ids[1])]
    )
    return found


def t5_file(path: Path) -> Path:
    """`path` itself, or what lies in a folder that transformers or SentencePiece wrote."""
    found = next((path / name for name in FILES if (path / name).is_file()), path)
    if not found.is_file():
        raise UserError(
            f"model.tower.vocabulary={path}: there is no such file; give T5's spiece.model or "
            f"tokenizer.json, such as those of {NAME}"
        )
    return found


def _sentencepiece(file: Path) -> Any:
    """As transformers converts such a file."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    pieces, charsmap = _pieces(file.read_bytes())
    words = [piece for piece, _ in pieces]
    made = Tokenizer(models.Unigram(pieces, unk_id=words.index(UNKNOWN)))
    steps: list[Any] = [normalizers.Precompiled(charsmap)] if charsmap else []
    steps += [normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), SPACE)]
    made.normalizer = normalizers.Sequence(steps)
    made.pre_tokenizer = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always")
    made.decoder = decoders.Metaspace(replacement=SPACE, prepend_scheme="always")
    return made


def _pieces(raw: bytes) -> tuple[list[tuple[str, float]], bytes]:
    """Every piece with its score, and the table of the normalizer."""
    pieces, charsmap = [], b""
    for field in _fields(raw):
        if field.number == PIECES:
            inner = {f.number: f for f in _fields(field.value)}
            score = inner[SCORE].number_value if SCORE in inner else 0.0
            pieces.append((inner[PIECE].value.decode("utf-8"), score))
        elif field.number == NORMALIZER:
            charsmap = next((f.value for f in _fields(field.value) if f.number == CHARSMAP), b"")
    return pieces, charsmap


class _Field(NamedTuple):
    """Of a protocol buffer message."""

    number: int
    value: bytes  # of a string or message
    number_value: float  # of a float


def _fields(raw: bytes) -> Iterator[_Field]:
    at = 0
    while at < len(raw):
        key, at = _varint(raw, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            _, at = _varint(raw, at)
        elif kind == 2:
            length, at = _varint(raw, at)
            if at + length > len(raw):
                raise ValueError("it ends within a piece")
            yield _Field(number, raw[at : at + length], 0.0)
            at += length
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            if kind == 5:
                yield _Field(number, b"", struct.unpack_from("<f", raw, at)[0])
            at += size
        else:
            raise ValueError(f"field {number} is of an unknown kind")


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[at]
        value, at, shift = value | (byte & 0x7F) << shift, at + 1, shift + 7
        if byte < 0x80:
            return value, at
