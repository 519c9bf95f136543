"""Text to tokens and back, with a tower's own vocabulary."""

import pytest

from cloc.decoder.words import Words, tokens_of
from cloc.errors import UserError
from cloc.models.tokenizers import make_tokenizer
from tests.helpers.hf import write_tokenizer, write_unigram
from tests.helpers.models import NATIVE

CLIP = Words(make_tokenizer(NATIVE))


@pytest.mark.parametrize("text", ["a red ball", "where is the red ball ?", "0 3 1 2", "yes", ""])
def test_words_come_back(text):
    tokens = CLIP.encode(text)
    assert not {CLIP.begin, CLIP.end} & set(tokens)
    assert CLIP.decode([CLIP.begin, *tokens, CLIP.end, CLIP.end]) == text


def test_as_the_tower_cleans_it():
    assert CLIP.encode("  A  Red BALL ") == CLIP.encode("a red ball")
    tokenize = make_tokenizer(NATIVE)
    [row] = tokenize(["A red  ball"], 8).tolist()
    assert row[:5] == [CLIP.begin, *CLIP.encode("a red ball"), CLIP.end]


def test_a_tokenizer_of_hugging_faces(tmp_path):
    write_unigram(tmp_path)
    text = {**NATIVE["text_cfg"], "hf_tokenizer_name": str(tmp_path)}
    words = Words(make_tokenizer({**NATIVE, "text_cfg": text}, folder=tmp_path))
    assert words.begin is None
    tokens = words.encode("a red ball")
    assert words.decode([*tokens, words.end, words.end]) == "a red ball"


def test_one_without_a_last_token_is_refused(tmp_path):
    write_tokenizer(tmp_path)
    text = {**NATIVE["text_cfg"], "hf_tokenizer_name": str(tmp_path)}
    with pytest.raises(UserError, match=r"no token that ends a text, .* \(eos or sep\)"):
        Words(make_tokenizer({**NATIVE, "text_cfg": text}, folder=tmp_path))


def test_of_the_kept_tokens_only_counted_anew():
    tokenize = make_tokenizer(NATIVE)
    kept = tokens_of(tokenize, ["a red ball", "yes"])
    words = Words(tokenize, kept)
    assert kept == sorted(kept)
    assert len(kept) == 6  # with the first and last one
    tokens = words.encode("A red  ball")
    assert max(tokens) < 6
    assert words.decode([words.begin, *tokens, words.end]) == "a red ball"
    assert [kept[token] for token in tokens] == CLIP.encode("a red ball")
    assert (kept[words.begin], kept[words.end]) == (CLIP.begin, CLIP.end)


def test_a_text_with_another_one_is_one_line():
    tokenize = make_tokenizer(NATIVE)
    words = Words(tokenize, tokens_of(tokenize, ["a red ball"]))
    with pytest.raises(UserError, match=r"'a blue ball' has 'blue', which .*decoder\.words"):
        words.encode("a blue ball")
