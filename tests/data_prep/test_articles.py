"""Articles before nouns, and nouns without them."""

import pytest

from data_prep.articles import article, without_article


@pytest.mark.parametrize(
    ("word", "before"),
    [("apple", "an"), ("cup", "a"), ("umbrella", "an"), ("unicycle", "a"), ("hourglass", "an")],
)
def test_as_the_word_is_spoken(word, before):
    assert article(word) == before


@pytest.mark.parametrize(
    ("text", "rest"), [("the red cup", "red cup"), ("an", "an"), ("thermos", "thermos")]
)
def test_an_article_alone_stays(text, rest):
    assert without_article(text) == rest
