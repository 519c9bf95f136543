"""Tokenizers of towers: round trips, where a Hugging Face one is read from, what can go wrong."""

from pathlib import Path

import huggingface_hub
import open_clip
import pytest

from cloc.errors import UserError
from cloc.models.tokenizers import decode, make_tokenizer
from tests.helpers.models import NATIVE

HUGGING_FACE = {
    "text_cfg": {
        "hf_tokenizer_name": "timm/ViT-B-16-SigLIP",
        "context_length": 64,
        "tokenizer_kwargs": {"clean": "canonicalize"},
        "tokenizer_mode": "clips",
    }
}


class Recorded:
    """Stands for open_clip's HFTokenizer: keeps what it is given, fails on the word `missing`."""

    def __init__(self, name, context_length, *, clean, tokenizer_mode, trust_remote_code):
        assert trust_remote_code is False
        if "missing" in name:
            raise OSError("no such\nfile")
        self.given = name, context_length, clean, tokenizer_mode
        self.tokenizer = self

    def __call__(self, texts, context_length):
        raise AssertionError("nothing is tokenized here")

    def decode(self, tokens, skip_special_tokens):
        assert skip_special_tokens
        return " ".join(map(str, tokens)) + "\n"


@pytest.fixture(autouse=True)
def _recorded(monkeypatch):
    monkeypatch.setattr(open_clip.tokenizer, "HFTokenizer", Recorded)
    # a repository's files lie where the hub's cache has them
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, **_: f"cache/{name}")


@pytest.mark.parametrize("words", ["a star", "wow !", "!", "!& what", "two stars , a ring ."])
def test_words_come_back(words):
    tokenizer = make_tokenizer(NATIVE)
    tokens = tokenizer([words], 16)[0].tolist()
    assert decode(tokenizer, tokens) == words
    assert 0 in tokens  # padded


def test_a_cut_text_keeps_its_end_and_a_padded_row_is_empty():
    tokenizer = make_tokenizer(NATIVE)
    assert (
        decode(tokenizer, tokenizer(["one two three four five"], 5)[0].tolist()) == "one two three"
    )
    assert decode(tokenizer, [0] * 8) == ""


def test_the_default_length_is_the_towers_context():
    assert make_tokenizer(NATIVE)(["a star"]).shape == (1, 12)
    assert make_tokenizer({"text_cfg": {}})(["a star"]).shape == (1, 77)


def test_a_hugging_face_tokenizer_is_read_from_the_hub_or_from_the_folder(tmp_path):
    options = (64, "canonicalize", "clips")
    assert make_tokenizer(HUGGING_FACE).given == ("cache/timm/ViT-B-16-SigLIP", *options)
    assert make_tokenizer(HUGGING_FACE, folder=tmp_path).given == (str(tmp_path), *options)
    assert decode(make_tokenizer(HUGGING_FACE), [5, 6]) == "5 6"
    own = make_tokenizer(NATIVE, folder=Path("missing"))  # open_clip's own needs no file
    assert own(["a star"]).shape == (1, 12)


def test_what_cannot_be_loaded_is_named_in_one_line():
    with pytest.raises(UserError, match=r"tokenizer missing cannot .*\(no such file\); it needs"):
        make_tokenizer(HUGGING_FACE, folder=Path("missing"))


@pytest.mark.parametrize("error", [OSError, TypeError, KeyError, AttributeError])
def test_whatever_a_loader_raises_is_one_line(monkeypatch, error):
    def fail(*_, **__):
        raise error("what it\nwants")

    monkeypatch.setattr(open_clip.tokenizer, "HFTokenizer", fail)
    with pytest.raises(UserError, match=r"tokenizer timm/.* cannot be loaded \(.*it needs"):
        make_tokenizer(HUGGING_FACE)


@pytest.mark.parametrize(
    ("base", "option", "says"),
    [
        (NATIVE, {"clean": "foo"}, r"clean='foo' .* clean \(canonicalize or lower or whitespace\)"),
        (NATIVE, {"reduction_mask": "foo"}, r"reduction_mask='foo' .*\('' or simple or random or"),
        (NATIVE, {"additional_special_tokens": [3]}, r"additional_special_tokens=\[3\] is no"),
        (HUGGING_FACE, {"clean": "foo"}, r"clean='foo' is no .* strip_sep_token \(bool\)"),
    ],
)
def test_options_have_values_that_open_clip_knows(base, option, says):
    with pytest.raises(UserError, match=says):
        make_tokenizer({"text_cfg": {**base["text_cfg"], "tokenizer_kwargs": option}})
    make_tokenizer({"text_cfg": {**base["text_cfg"], "tokenizer_kwargs": {"clean": "lower"}}})


def test_what_is_set_on_a_tokenizer_is_nobody_elses():
    mine = make_tokenizer(NATIVE)
    mine.context_length = 3
    assert make_tokenizer(NATIVE)(["a star"]).shape == (1, 12)
