"""The tally: everything left out is counted, and the budget ends a run with the last message."""

import json

import pytest

from cloc.data.stream.tally import MAX_KINDS, OTHERS, Dropped, Seen, Tally, most_shards
from cloc.errors import UserError

IMAGE = Dropped("samples", "image", "", "shard::a: the image cannot be decoded; fix it")
BOX = Dropped("boxes", "box_small", "coco", "shard::b: region 0: too small; drop it")
OTHER = Dropped("boxes", "box_small", "lvis", "shard::c: region 0: too small; drop it")


def seen(rows, *dropped, boxes=0, shard="a.tar", captions=0):
    """`rows`: one letter a row, x where it was dropped, s where it was skipped."""
    whole = [{"x": False, "s": None}.get(row, True) for row in rows]
    return Seen(whole, boxes, dropped, (shard,) * rows.count("x"), captions)


def test_samples_and_boxes_are_counted_by_reason_and_source():
    tally = Tally(planned=1000)
    tally.add(seen("..x.", IMAGE, BOX, OTHER, boxes=900))
    tally.add(seen("....", BOX, boxes=100))
    assert (tally.samples, tally.boxes) == (8, 1000)
    assert (tally.dropped("samples"), tally.dropped("boxes")) == (1, 3)
    assert tally.rows() == [
        {"what": "boxes", "reason": "box_small", "source": "coco", "count": 2, "first": BOX[3]},
        {"what": "samples", "reason": "image", "source": "", "count": 1, "first": IMAGE[3]},
        {"what": "boxes", "reason": "box_small", "source": "lvis", "count": 1, "first": OTHER[3]},
    ]


def test_dropped_samples_may_be_the_budget_of_the_epochs_begun():
    tally = Tally(planned=200)
    tally.add(seen("xx" + "." * 198, IMAGE, IMAGE))  # one epoch: two of them
    tally.add(seen("x.", IMAGE))  # the second has begun: four
    tally.add(seen("x.", IMAGE))
    words = r"^shard::a: .*; fix it \(5 of 400 samples were dropped, data.drop_budget=0.01 allows 4"
    with pytest.raises(UserError, match=words):
        tally.add(seen("x.", IMAGE))


def test_ranks_share_the_samples_of_an_epoch():
    tally = Tally(planned=200, ranks=2)
    tally.add(seen("xx" + "." * 99, IMAGE, IMAGE))  # 202 with those of the other rank
    tally.add(seen("x", IMAGE))
    tally.add(seen("x", IMAGE))
    with pytest.raises(UserError, match="5 of 400 samples"):
        tally.add(seen("x", IMAGE))


def test_dropped_boxes_may_be_the_same_share_of_the_boxes_expected():
    tally = Tally(planned=100)
    tally.add(seen("....", BOX, BOX, boxes=8))  # 2 a sample: 200 expected, 2 allowed
    with pytest.raises(UserError, match=r"too small; drop it \(3 of 200 boxes were dropped"):
        tally.add(seen("....", BOX, boxes=8))


def test_one_bad_sample_of_a_set_too_small_for_the_budget_ends_the_run():
    with pytest.raises(UserError, match="1 of 64 samples were dropped"):
        Tally(planned=64).add(seen("x", IMAGE))
    Tally(planned=64, budget=0.02).add(seen("x", IMAGE))


@pytest.mark.parametrize("batch", [32, 1024, 32_768])
def test_one_bad_shard_of_a_set_never_ends_a_run_inside_its_budget(batch):
    """10,000 samples of 100 million, which come by the hundreds in a row."""
    tally = Tally(planned=10**8)
    for start in range(0, 10_000, batch):
        rows = min(batch, 10_000 - start)
        tally.add(seen("x" * rows, *[IMAGE] * rows))
    assert tally.in_row == 10_000
    tally.joined([]).check()


def test_shards_that_are_all_bad_end_the_run_below_the_budget():
    tally = Tally(planned=10**9)
    for i in range(8):
        tally.add(seen("x" * 20, *[IMAGE] * 20, shard=f"{i}.tar"))
    says = r"shard::a: .*\(161 samples in a row were dropped, of 9 shards\)"
    with pytest.raises(UserError, match=says):
        tally.add(seen("x" * 20, *[IMAGE] * 20, shard="9.tar"))
    tally = Tally(planned=10**9)
    for i in range(50):
        tally.add(seen("x" * 20 + ".", *[IMAGE] * 20, shard=f"{i}.tar"))


def test_the_more_a_budget_allows_the_more_bad_shards_may_be_neighbours():
    assert [round(most_shards(share)) for share in (0.0, 0.01, 0.1, 0.5)] == [8, 8, 8, 27]
    assert most_shards(1.0) == float("inf")


def test_shards_that_are_all_bad_for_all_ranks_are_seen_when_ranks_are_joined():
    """Of a large batch a rank reads few shards for many steps."""
    tallies = [Tally(planned=10**9, ranks=10) for _ in range(10)]
    for i, tally in enumerate(tallies):
        tally.add(seen("x" * 20, *[IMAGE] * 20, shard=f"{i}.tar"))
    with pytest.raises(UserError, match=r"200 samples in a row were dropped, of 10 shards"):
        tallies[0].joined(tallies[1:])
    tallies[3].add(seen("."))
    tallies[0].joined(tallies[1:]).check()


def test_what_is_skipped_is_no_drop_and_neither_ends_a_row_nor_makes_one():
    tally = Tally(planned=100, budget=0.0)
    tally.add(seen("s" * 99 + "."))
    assert (tally.skipped, tally.samples, tally.in_row) == (99, 100, 0)
    tally = Tally(planned=10**9)
    tally.add(seen("xsx", IMAGE, IMAGE))
    assert (tally.in_row, tally.joined([tally]).skipped) == (2, 2)


def test_dropped_captions_may_be_the_same_share_of_the_captions_expected():
    caption = Dropped("captions", "caption", "", "shard::d: caption 0: blank; drop it")
    tally = Tally(planned=100)
    tally.add(seen("....", caption, caption, captions=8))  # 200 expected
    with pytest.raises(UserError, match=r"blank; drop it \(3 of 200 captions were dropped"):
        tally.add(seen("....", caption, captions=8))


def test_tallies_of_ranks_are_joined():
    a, b = Tally(planned=100, ranks=2), Tally(planned=100, ranks=2)
    a.add(seen(".x", IMAGE, boxes=5))
    b.add(seen(".."))
    whole = a.joined([b])
    assert (whole.samples, whole.boxes, whole.dropped("samples")) == (4, 5, 1)
    assert whole.rows() == a.rows()
    whole.check()
    b.add(seen("x", IMAGE))  # one each is within what a rank can judge, two are too many
    with pytest.raises(UserError, match="2 of 100 samples"):
        a.joined([b]).check()
    assert a.samples == 2


def test_sources_beyond_two_hundred_are_counted_together():
    tally = Tally(planned=10**6)
    boxes = [BOX._replace(source=f"s{i}") for i in range(MAX_KINDS + 50)]
    tally.add(seen(".", *boxes, boxes=10**6))
    assert tally.dropped("boxes") == MAX_KINDS + 50
    assert tally.rows()[0]["source"] == OTHERS
    assert tally.rows()[0]["count"] == 50


def test_a_state_is_plain_and_adds_to_what_is_there():
    a, b = Tally(planned=1000), Tally(planned=1000)
    a.add(seen(".x", IMAGE, BOX, boxes=500))
    state = json.loads(json.dumps(a.state_dict()))
    b.add(seen("..x", IMAGE, boxes=1))
    b.load_state_dict(state)
    assert (b.samples, b.boxes, b.dropped("samples"), b.dropped("boxes")) == (5, 501, 2, 1)
