"""The tokenizer in exported files against the tower's own, on every hard kind of text."""

import json

import ftfy
import pytest
import torch
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer

from cloc.errors import UserError
from cloc.export.parity import TEXTS
from cloc.transformers_layout.tokenizer import fast_tokenizer, without_marks, write_tokenizer

LENGTH = 24
MORE = [
    *("dog<end_of_text><end_of_text>cat", "a.<start_of_text>", "it'S we'LL #a 12,345 a_b c++"),
    *("&LT;3 &amp;amp;amp;lt; &notin; &not &NTILDE;", "&#x2019;&#8217;&#39;&#039 &hearts;&nbsp;x"),
    *(
        "ΟΔΟΣ ΣΑΣ. ß ẞ",
        "a\u2028b\x85c\x0bd",
        "e\u0301 \u212b",
        "\uff06amp; \uff71",
        "&lt;b&gt;it&rsquo;s",
    ),
]
# what only ftfy can mend, so that without it these are read otherwise
WITHOUT_FTFY = [t for t in TEXTS if {"\x92", "Ã", "\uff32"} & set(t)]


def theirs(folder, texts):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.model_max_length == LENGTH
    options = {"padding": "max_length", "truncation": True, "return_tensors": "pt"}
    return tokenizer(texts, **options)["input_ids"]


def same_to_the_end(ours, found, end):
    """Behind the first end open_clip fills with 0, transformers with the end."""
    assert ours.shape == found.shape
    last = (ours != 0).int().cumsum(1).argmax(1)  # of what is no padding
    before = torch.arange(ours.shape[1]) <= last[:, None]
    return [bool(o[b].equal(f[b])) for o, f, b in zip(ours, found, before, strict=True)]


@pytest.mark.parametrize("clean", ["lower", "canonicalize", "whitespace"])
def test_clips_ids_are_the_towers_own(tmp_path, clean):
    tokenizer = SimpleTokenizer(context_length=LENGTH, clean=clean)
    write_tokenizer(
        tokenizer, {"tokenizer_kwargs": {"clean": clean}}, tmp_path, context_length=LENGTH
    )
    texts = [*TEXTS, *MORE]
    mended = [ftfy.fix_text(text) for text in texts]
    ours = tokenizer(texts)
    found = same_to_the_end(ours, theirs(tmp_path, mended), tokenizer.eot_token_id)
    assert [text for text, same in zip(texts, found, strict=True) if not same] == []
    plain = [t for t in TEXTS if t not in WITHOUT_FTFY]
    assert all(same_to_the_end(tokenizer(plain), theirs(tmp_path, plain), 0))
    assert len(WITHOUT_FTFY) == 3


def words(folder):
    """A tokenizer of Hugging Face's that splits at spaces and knows a few words."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    known = "<unk> <pad> </s> a dog cat star red blue it s </s it's & < > ring 3".split()
    made = Tokenizer(models.WordLevel({w: i for i, w in enumerate(known)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = {"unk_token": "<unk>", "pad_token": "<pad>", "eos_token": "</s>"}
    PreTrainedTokenizerFast(tokenizer_object=made, **special).save_pretrained(folder)


@pytest.mark.parametrize("clean", ["lower", "canonicalize", "whitespace"])
def test_a_hugging_face_tokenizer_takes_open_clips_cleaning_along(tmp_path, clean):
    words(tmp_path / "theirs")
    tokenizer = HFTokenizer(str(tmp_path / "theirs"), context_length=LENGTH, clean=clean)
    (tmp_path / "ours").mkdir()
    cfg = {"tokenizer_kwargs": {"clean": clean}}
    write_tokenizer(tokenizer, cfg, tmp_path / "ours", context_length=LENGTH)
    texts = [*TEXTS, "A  red, Star &amp; a \u201cdog\u201d, it\u2019s <b>a</b> &lt; cat"]
    mended = [ftfy.fix_text(text) for text in texts]
    assert theirs(tmp_path / "ours", mended).equal(tokenizer(texts))


def test_without_marks_none_is_found():
    made = without_marks(fast_tokenizer(SimpleTokenizer(), {}))
    assert json.loads(made.to_str())["added_tokens"] == []
    assert made.encode("dog <end_of_text>").ids.count(SimpleTokenizer().eot_token_id) == 1


def test_words_dropped_at_random_have_no_file():
    tokenizer = SimpleTokenizer(reduction_mask="random")
    with pytest.raises(UserError, match="reduction_mask drops other words each time"):
        fast_tokenizer(tokenizer, {})
