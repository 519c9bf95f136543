"""What a model wrote as a caption, checked: shared by the stages that ask for captions."""

from dataclasses import replace

from cloc.data.samples import validate
from cloc.data.samples.record import Caption, Record
from cloc.errors import BadSample, UserError
from data_prep.importing import words
from data_prep.stage import Notes

PLACES = ("first", "last")
REPEATS = 4  # times that an n-gram may not stand in a row
LONGEST = 8  # words of such an n-gram


def check_place(place: str) -> None:
    if place not in PLACES:
        raise UserError(f"place={place} is not known; give place=first or place=last")


def with_caption(
    record: Record, text: str, *, is_whole: bool, source: str, place: str, notes: Notes
) -> Record:
    """The record with one more caption, its own kept; as it is, and a count, where the new one is
    "empty", "long" (not at its end when the model had to stop, or over what a shard may hold),
    "repeats" itself or is "unclean"."""
    text = words(text)
    reason = _fault(text, is_whole=is_whole)
    if reason:
        notes.caption(record, reason, text)
        return record
    new = (Caption(text, source),)
    captions = new + record.captions if place == "first" else record.captions + new
    return replace(record, captions=captions)


def _fault(text: str, *, is_whole: bool) -> str:
    if not text:
        return "empty"
    if repeats(text):  # before "long": a model that repeats itself rarely stops
        return "repeats"
    if not is_whole or len(text) > validate.MAX_CAPTION_CHARS:
        return "long"
    try:
        validate.check_words(text, "", reason="caption", at_most=validate.MAX_CAPTION_CHARS)
    except BadSample:
        return "unclean"
    return ""


def repeats(text: str) -> bool:
    """True where 1 to 8 words stand four times in a row, as in "a cat and a cat and a cat and a
    cat and"; case and full stops and commas at a word's end do not count."""
    given = [word.strip(".,").lower() for word in text.split()]
    for n in range(1, LONGEST + 1):
        run = 0  # words that equal the one n before them
        for before, word in zip(given, given[n:], strict=False):
            run = run + 1 if word == before else 0
            if run == n * (REPEATS - 1):
                return True
    return False
