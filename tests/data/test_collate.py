"""Samples to a batch: padding, words written once, and phrases that the context cuts."""

import numpy as np
import pytest
import torch
from open_clip.tokenizer import SimpleTokenizer

from cloc.data.collate import Collate, ModelInput, Tokens
from cloc.data.samples.raster import from_pixels
from cloc.data.samples.transforms import Sample
from cloc.errors import UserError
from tests.helpers.batches import validate
from tests.helpers.shards import flat, spell

SIZE = 8


def sample(key, *phrases, caption="words", negatives=None):
    boxes = [(i, 2, i + 2, 8) for i in range(len(phrases))]
    return Sample(
        key=key,
        image=from_pixels(flat(SIZE, SIZE, (10, 20, 30))),
        caption=caption,
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        phrases=phrases,
        negatives=negatives or ((),) * len(phrases),
    )


def collate(samples, *, tokenize=spell, bucket=4, max_negatives=2, region_context=6):
    wants = ModelInput(SIZE, tokenize, 12, region_context, bucket)
    return Collate(wants, max_regions=3, max_negatives=max_negatives)(samples)


def words(row):
    return "".join(chr(i) for i in row.tolist() if i > 2)


def test_a_batch_is_valid_and_padded_with_zeros():
    batch = collate([sample("a", "cat", "dog"), sample("b"), sample("c", "cat", "owl", "elk")])
    validate(batch)
    assert batch.keys == ("a", "b", "c")
    assert batch.valid.tolist() == [[True, True, False], [False] * 3, [True] * 3]
    assert batch.boxes[0, 1].tolist() == [1 / 8, 2 / 8, 3 / 8, 1.0]
    assert batch.images[0, :, 3, 4].tolist() == [10, 20, 30]
    assert batch.captions.shape == (3, 12)
    assert words(batch.captions[0]) == "words"
    assert batch.extra == {}


def test_an_image_without_a_caption_has_zeros_and_is_not_valid():
    batch = collate([sample("a", caption=None), sample("b")])
    validate(batch)
    assert batch.caption_valid.tolist() == [False, True]
    assert batch.captions[0].tolist() == [0] * 12


def test_phrases_with_equal_token_ids_are_one_row():
    samples = [sample("a", "a cat", "dog"), sample("b", "A  CAT", "dog")]
    batch = collate(samples, tokenize=SimpleTokenizer(), region_context=6)
    validate(batch)
    assert batch.phrase_index[:, :2].tolist() == [[0, 1], [0, 1]]


def test_the_index_leads_to_the_words_of_every_region():
    samples = [sample("a", "cat", "dog", "owl"), sample("b", "dog"), sample("c", "elk", "cat")]
    batch = collate(samples)
    for i, given in enumerate(samples):
        found = [words(batch.phrases[j]) for j in batch.phrase_index[i][batch.valid[i]]]
        assert tuple(found) == given.phrases


def test_phrases_are_tokenised_at_the_region_context():
    phrases = collate([sample("a", "cat")]).phrases
    assert phrases.shape == (4, 6)
    assert phrases[0].tolist() == [1, *map(ord, "cat"), 2, 0]


@pytest.mark.parametrize(("count", "rows"), [(0, 4), (1, 4), (4, 4), (5, 8), (9, 12)])
def test_unique_phrases_are_padded_to_a_multiple_of_the_bucket(count, rows):
    samples = [sample(str(i), f"n{i}") for i in range(count)] or [sample("a")]
    batch = collate(samples)
    validate(batch)
    assert len(batch.phrases) == rows
    assert (batch.phrases[count:] == 0).all()


def test_negatives_lead_to_their_words_and_minus_one_pads():
    batch = collate([sample("a", "cat", "dog", negatives=(("owl", "dog"), ()))])
    validate(batch)
    assert [words(batch.phrases[j]) for j in batch.negative_index[0, 0]] == ["owl", "dog"]
    assert batch.negative_index[0, 1:].tolist() == [[-1, -1], [-1, -1]]
    none = collate([sample("a", "cat")], max_negatives=0)
    validate(none)
    assert none.negative_index.shape == (1, 3, 0)


def test_a_negative_equal_to_its_phrase_is_padding():
    batch = collate([sample("a", "cat", negatives=(("cat", "owl"),))])
    validate(batch)
    assert [words(batch.phrases[j]) for j in batch.negative_index[0, 0, :1]] == ["owl"]
    assert batch.negative_index[0, 0, 1] == -1


def test_the_same_samples_give_the_same_batch_whatever_came_before():
    wants = ModelInput(SIZE, spell, 12, 6, 4)
    used = Collate(wants, max_regions=3, max_negatives=2)
    used([sample("x", "elk", "cat")])
    samples = [sample("a", "cat", "dog"), sample("b", "owl")]
    for ours, fresh in zip(used(samples), collate(samples), strict=True):
        if isinstance(ours, torch.Tensor):
            assert torch.equal(ours, fresh)


def test_a_phrase_the_context_cuts_is_warned_about_once():
    tokens = Tokens(spell, 6)
    assert words(torch.from_numpy(tokens(["four", "six"])[0])) == "four"  # fits exactly
    with pytest.warns(UserWarning, match=r"^'fiver' has more than 6 tokens .*region_context"):
        tokens(["fiver"])
    tokens(["another long one"])
    assert tokens.cut == {"fiver", "another long one"}


def no_end(texts, context_length):
    """A tokenizer that marks neither start nor end, padded with 7."""
    rows = torch.full((len(texts), context_length), 7)
    for row, text in zip(rows, texts, strict=True):
        row[: len(text)] = torch.tensor([*map(ord, text)][:context_length])
    return rows


def test_a_cut_is_seen_without_an_end_token_too():
    tokens = Tokens(no_end, 4)
    tokens(["four"])
    with pytest.warns(UserWarning, match=r"^'fiver' has more than 4 tokens"):
        tokens(["fiver"])


def test_a_text_is_tokenised_once_and_the_memory_is_bounded():
    asked = []

    def count(texts, context_length):
        asked.extend(texts)
        return spell(texts, context_length)

    tokens = Tokens(count, 6, at_most=3)
    tokens(["a", "b", "a"])
    tokens(["b", "a"])
    assert sorted(t for t in asked if t) == ["a", "b"]
    for i in range(20):
        assert words(torch.from_numpy(tokens([f"n{i}"])[0])) == f"n{i}"
        assert len(tokens.rows) <= 4


def test_captions_are_not_kept_and_phrases_are():
    """A caption comes again an epoch later: 100,000 of them would be 90 MiB in every worker."""
    used = Collate(ModelInput(SIZE, spell, 12, 6, 4), max_regions=3, max_negatives=2)
    for i in range(5):
        used([sample("a", f"cat{i}", caption=f"x{i}"), sample("b", "dog", caption=f"y{i}")])
    assert len(used.captions.rows) <= 2
    assert {"cat0", "cat4", "dog"} <= set(used.phrases.rows)


@pytest.mark.parametrize("settings", [(12, 2, 4), (12, 13, 4), (12, 6, 0)])
def test_a_context_that_cannot_be_is_refused(settings):
    with pytest.raises(UserError, match=r"^(region_context|bucket) is \d+, expected"):
        ModelInput(SIZE, spell, *settings)
