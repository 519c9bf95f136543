"""Articles of English nouns."""

ARTICLES = ("a", "an", "the")
_AN_ALTHOUGH = ("hour", "honest", "heir")  # begin with a vowel that is heard
_A_ALTHOUGH = ("uni", "use", "euro", "one", "u-")  # begin with a consonant that is heard


def article(word: str) -> str:
    """ "a" or "an", as `word` is spoken."""
    lower = word.lower()
    if lower.startswith(_AN_ALTHOUGH):
        return "an"
    return "an" if lower[0] in "aeiou8" and not lower.startswith(_A_ALTHOUGH) else "a"


def without_article(text: str) -> str:
    """Of a lower-case phrase; an article alone stays."""
    first, _, rest = text.partition(" ")
    return rest if rest and first in ARTICLES else text
