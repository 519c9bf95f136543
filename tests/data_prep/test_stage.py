"""What a stage tells of the things it left out."""

from cloc.data.record import Record, Region
from data_prep.stage import Example, Notes


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
