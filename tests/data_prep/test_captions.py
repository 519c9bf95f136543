"""What a caption may not be, and where a new one stands."""

import pytest

from cloc.data.samples.record import Caption, Record
from cloc.data.samples.validate import MAX_CAPTION_CHARS
from cloc.errors import UserError
from data_prep.captions import check_place, repeats, with_caption
from data_prep.stage import Example, Notes

OLD = Record("a", b"", "jpg", 9, 9, captions=(Caption("old", "coco"),))


def add(text, *, is_whole=True, place="first"):
    notes = Notes()
    found = with_caption(OLD, text, is_whole=is_whole, source="model", place=place, notes=notes)
    return found, notes


@pytest.mark.parametrize(("place", "at"), [("first", 0), ("last", 1)])
def test_the_new_caption_stands_where_it_is_asked_for_and_the_old_one_stays(place, at):
    found, notes = add(" a cat\non  a mat ", place=place)
    captions = [Caption("old", "coco")]
    captions.insert(at, Caption("a cat on a mat", "model"))
    assert found.captions == tuple(captions)
    assert not notes.counts


@pytest.mark.parametrize(
    ("text", "is_whole", "reason"),
    [
        ("", True, "empty"),
        (" \x00\n", True, "empty"),
        ("a cat on a", False, "long"),
        ("x" * MAX_CAPTION_CHARS + "x", True, "long"),
        ("a \ud800 cat", True, "unclean"),
        ("a cat and a cat and a cat and a cat and", True, "repeats"),
        ("the the the the", False, "repeats"),
    ],
)
def test_a_caption_that_is_none_is_left_out_and_counted(text, is_whole, reason):
    found, notes = add(text, is_whole=is_whole)
    assert found == OLD
    assert notes.counts == {("captions", reason): 1}
    assert notes.examples == [
        Example("a", "captions", reason, " ".join(text.replace("\x00", "").split()))
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a red cat and a red dog and a red cow and a red hen", False),
        ("very very very good", False),
        ("Very, very, very. very good", True),
        ("a b c d e f g h " * 4, True),
        ("a b c d e f g h " * 3, False),
        ("a b c d e f g h i " * 4, False),  # nine words are a sentence
        ("so it goes a cat a cat a cat a cat", True),
        ("", False),
    ],
)
def test_what_repeats_itself(text, expected):
    assert repeats(text) is expected


def test_an_unknown_place_is_refused():
    with pytest.raises(UserError, match="place=middle"):
        check_place("middle")
