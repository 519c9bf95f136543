"""A tower's tokenizer as files of transformers that clean texts as the tower's own code does."""

import copy
import html
import json
from collections.abc import Iterator, Mapping
from html.entities import html5, name2codepoint
from pathlib import Path
from typing import Any

import ftfy.chardata
from open_clip.tokenizer import SimpleTokenizer

from cloc.errors import UserError

START, END = "<start_of_text>", "<end_of_text>"  # in texts these are the marks themselves
QUOTES = {
    "'": "\u02bc\u2018\u2019\u201a\u201b",
    '"': "\u201c\u201d\u201e\u201f",
}  # as ftfy has them
LIGATURES = {chr(point): letters for point, letters in ftfy.chardata.LIGATURES.items()}
NAMES = {point: name for name, point in name2codepoint.items()} | {39: "apos"}
WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"
SPECIAL = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token")
CANONICALIZE = "canonicalize"


def fast_tokenizer(tokenizer: Any, text_cfg: Mapping[str, Any]) -> Any:
    """A `tokenizers.Tokenizer` of open_clip's `tokenizer`, its cleaning included, which neither
    cuts nor fills rows; `text_cfg` is the tower's.

    Named and numbered entities of HTML 4, curly quotes, ligatures, control and white characters
    and marks of the end that stand in a text give the tower's own ids. Mojibake, full-width letters
    and entities of HTML 5 alone need `ftfy.fix_text` before.
    """
    if getattr(tokenizer, "reduction_fn", None) is not None:
        raise UserError(
            "tokenizer_kwargs.reduction_mask drops other words each time, and no file of a "
            "tokenizer can; choose format=open_clip"
        )
    clean = way_of_cleaning(tokenizer, text_cfg)
    if hasattr(tokenizer, "tokenizer"):  # Hugging Face's
        made = copy.deepcopy(tokenizer.tokenizer.backend_tokenizer)
        own = [made.normalizer] if made.normalizer is not None else []
    else:
        made, own = _byte_pairs(tokenizer), [_marks()]
    made.normalizer = _normalizers().Sequence([*_cleaning(clean), *own])
    made.no_padding()
    made.no_truncation()
    return made


def without_marks(made: Any) -> Any:
    """The same, which finds no marks in texts: for cleaning that takes them apart before."""
    from tokenizers import Tokenizer

    return Tokenizer.from_str(json.dumps({**json.loads(made.to_str()), "added_tokens": []}))


def way_of_cleaning(tokenizer: Any, text_cfg: Mapping[str, Any]) -> str:
    default = "whitespace" if hasattr(tokenizer, "tokenizer") else "lower"
    return str((text_cfg.get("tokenizer_kwargs") or {}).get("clean", default))


def write_tokenizer(
    tokenizer: Any, text_cfg: Mapping[str, Any], folder: Path, *, context_length: int
) -> None:
    """`tokenizer.json` and `tokenizer_config.json`, which `AutoTokenizer` reads as they are."""
    fast_tokenizer(tokenizer, text_cfg).save(str(folder / "tokenizer.json"))
    options: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",  # another class would build its own cleaning
        "model_max_length": context_length,
        "clean_up_tokenization_spaces": False,
        "split_special_tokens": way_of_cleaning(tokenizer, text_cfg) == CANONICALIZE,
    }
    if hasattr(tokenizer, "tokenizer"):
        theirs = tokenizer.tokenizer
        special = {key: str(getattr(theirs, key)) for key in SPECIAL if getattr(theirs, key, None)}
        options["padding_side"] = theirs.padding_side
    else:
        special = dict.fromkeys(SPECIAL[:4], END) | {"bos_token": START}
    content = {**options, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(content, indent=2) + "\n")


def _normalizers() -> Any:
    from tokenizers import normalizers

    return normalizers


def _byte_pairs(tokenizer: SimpleTokenizer) -> Any:
    """CLIP's. Its marks are looked for in what cleaning gives, as open_clip does."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from tokenizers.processors import RobertaProcessing

    merges = sorted(tokenizer.bpe_ranks, key=tokenizer.bpe_ranks.__getitem__)
    model = models.BPE(
        dict(tokenizer.encoder), merges, unk_token=END, end_of_word_suffix="</w>", fuse_unk=False
    )
    made = Tokenizer(model)
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    marks = [tokenizer.decoder[number] for number in tokenizer.all_special_ids]
    made.add_special_tokens([AddedToken(mark, normalized=True, special=True) for mark in marks])
    start, end = tokenizer.sot_token_id, tokenizer.eot_token_id
    made.post_processor = RobertaProcessing((END, end), (START, start), False, False)
    return made


def _marks() -> Any:
    """Behind another mark of punctuation open_clip's pattern takes them for such marks too."""
    return _replace(rf"(?<=[^\s\p{{L}}\p{{N}}])(?<!{START}|{END})<(?=(?:start|end)_of_text>)", "< ")


def _replace(pattern: str, content: str) -> Any:
    from tokenizers import Regex

    return _normalizers().Replace(Regex(pattern), content)


def _entity(point: int) -> str:
    """A pattern of all ways to write a character, as `html.unescape` reads them."""
    name = NAMES[point]
    old = [n for n in range(128, 160) if html.unescape(f"&#{n};") == chr(point)]  # of Windows
    numbers = "|".join(
        rf"0*{n}(?:;|(?!\d))|[xX]0*(?i:{n:x})(?:;|(?![\da-fA-F]))" for n in [point, *old]
    )
    return f"&(?:{name};{'?' if name in html5 else ''}|#(?:{numbers}))"


def _cleaning(how: str) -> Iterator[Any]:
    """open_clip's cleaning, in its order: ftfy's steps, entities, white characters, case."""
    normalizers = _normalizers()
    yield _replace(r"\x1b\[[\d;]*[a-zA-Z]", "")
    for one, letters in LIGATURES.items():
        yield _replace(one, letters)
    for plain, curly in QUOTES.items():
        entities = "|".join(_entity(ord(c)) for c in curly if ord(c) in NAMES)
        yield _replace(f"(?<!<.*)(?:{entities})(?![^<]*<)", plain)  # ftfy's condition: no tags
        yield _replace(f"[{curly}]", plain)
    yield _replace(r"[\x00-\x08\x0b\x0e-\x1f\x7f\u206a-\u206f\ufeff\ufff9-\ufffc]", "")
    yield normalizers.NFC()
    yield _replace(r"&(?:amp;|#0*38;|#[xX]0*26;)+|&amp", "&")
    for point in sorted(NAMES.keys() - {38}, key=lambda point: -len(NAMES[point])):  # notin, not
        yield _replace(_entity(point), chr(point))
    if how == CANONICALIZE:
        yield _replace("_", " ")
        yield _replace(r"[!-/:-@\[-`{-~]", "")
    if how != "whitespace":
        yield _replace(r"(?<=\p{L})Σ(?!\p{L})", "ς")
        yield normalizers.Lowercase()
    yield _replace(r"[\s\x1c-\x1f\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+", " ")
    yield normalizers.Strip()
