"""What a stage tells of the things it left out."""

import pytest

from cloc.data.samples.record import Record, Region
from cloc.errors import UserError
from data_prep.stage import PHRASES, Example, Notes, asked_of


def test_everything_is_counted_and_the_first_few_of_every_reason_are_kept():
    notes = Notes(keep=2)
    record = Record("a", b"", "jpg", 9, 9)
    region = Region((1.0, 2.0, 3.0, 4.0), "a cat", score=0.25)
    for _ in range(3):
        notes.region(record, "score", region)
    notes.sample(record, "bytes")
    notes.caption(record, "empty", "")
    notes.phrase(record, "generic", "image")
    assert notes.counts == {
        ("regions", "score"): 3,
        ("samples", "bytes"): 1,
        ("captions", "empty"): 1,
        ("phrases", "generic"): 1,
    }
    assert notes.examples[:3] == [
        Example("a", "regions", "score", "a cat", (1.0, 2.0, 3.0, 4.0), 0.25),
        Example("a", "regions", "score", "a cat", (1.0, 2.0, 3.0, 4.0), 0.25),
        Example("a", "samples", "bytes"),
    ]


def test_phrases_are_asked_for_once_each_and_what_no_region_could_hold_is_told():
    given = ["b", "a", "b", " ", "x\0"]
    record, notes = Record("a", b"", "jpg", 9, 9, meta={PHRASES: given}), Notes()
    assert asked_of(record, notes) == ["b", "a"]
    assert notes.counts == {("phrases", "unclean"): 2}
    assert asked_of(Record("a", b"", "jpg", 9, 9), Notes()) == []
    with pytest.raises(UserError, match=r"record a: meta\.phrases is 'a cat', expected a list"):
        asked_of(Record("a", b"", "jpg", 9, 9, meta={PHRASES: "a cat"}), Notes())


def test_what_is_not_said_of_regions_has_one_example_a_record_and_counts_all():
    notes, region = Notes(keep=2), Region((1, 2, 3, 4), "a cup")
    for key in "aabbcc":
        notes.relation(Record(key, b"", "png", 9, 9), "margin", region, "the cup, the bowl")
    assert notes.counts == {("relations", "margin"): 6}
    assert [(e.key, e.box, e.text) for e in notes.examples] == [
        ("a", (1, 2, 3, 4), "the cup, the bowl"),
        ("b", (1, 2, 3, 4), "the cup, the bowl"),
    ]
