"""Captions, regions and masks that are left out of records have a budget too."""

from collections import Counter

import pytest

from cloc.data.samples.record import Caption, Record, Region
from cloc.errors import BadSample, UserError
from data_prep.importing import whole
from data_prep.lost_parts import Parts, check_parts

BOX = Region((0.0, 0.0, 9.0, 9.0), "a cat")


def record(captions=0, regions=0):
    captions, regions = (Caption("a cat"),) * captions, (BOX,) * regions
    return Record("k", b"", "jpg", 40, 30, captions=captions, regions=regions)


def read(records, budget=0.0):
    """(captions kept, regions kept, what was counted) of each record, through the budget."""
    drops = Counter()

    def made():
        for captions, regions, lost in records:
            drops.update(lost)
            yield record(captions, regions)

    return list(whole(made(), drops, budget=budget))


@pytest.mark.parametrize(
    ("lost", "says"),
    [
        (
            {"box_small": 1},
            r"5 of 5 regions cannot be used \(5 box_small; boxes thinner than 1 px",
        ),
        (
            {"box_outside": 2, "text": 1},
            r"15 of 15 regions .*10 box_outside, 5 text; boxes outside",
        ),
        (
            {"caption": 1},
            r"5 of 5 captions .* \(5 caption; texts are read as UTF-8\); mend them, or",
        ),
        (
            {"span": 3},
            r"15 of 15 regions cannot be used \(15 span\); mend them, or allow for it wi",
        ),
    ],
)
def test_a_set_that_loses_all_is_refused(lost, says):
    with pytest.raises(UserError, match=says) as error:
        read([(0, 0, lost)] * 5)
    assert "\n" not in str(error.value)


def test_captions_that_are_all_there_are_no_regions():
    with pytest.raises(UserError, match="5 of 5 regions"):
        read([(1, 0, {"box_small": 1})] * 5)


def test_a_tenth_may_go_and_of_a_small_set_a_few():
    assert len(read([(0, 9, {"box_small": 1})] * 50)) == 50
    assert len(read([(0, 1, {"box_small": 1})] * 9)) == 9
    with pytest.raises(UserError, match=r"20 of 120 regions .* with budget=0\.17"):
        read([(0, 5, {"box_small": 1})] * 20)
    assert len(read([(0, 5, {"box_small": 1})] * 20, budget=0.2)) == 20


def test_a_long_import_ends_early():
    def endless():
        while True:
            yield 0, 0, {"caption": 1}

    with pytest.raises(UserError, match="100 of 100 captions"):
        read(endless())


def test_what_is_left_out_on_purpose_and_whole_samples_are_no_parts():
    assert len(read([(0, 0, {"crowd": 9, "group": 9, "negatives": 9})] * 50)) == 50
    drops = Counter()
    bad = [BadSample("caption", "k: bad")] * 30 + [record(1)] * 70
    assert len(list(whole(bad, drops, budget=0.5))) == 70
    assert drops == {"caption": 30}


def test_masks_have_a_budget_of_their_own():
    def read(lost, masks, budget=0.0):
        made = Record("k", b"", "jpg", 40, 30, regions=(BOX,), meta={"masks": masks})
        return list(whole([made] * 20, Counter(lost), budget=budget))

    mask = {"size": [30, 40], "counts": "x"}
    assert len(read({"mask": 2}, [mask])) == 20
    for lost in ({"mask": 12}, {"mask_large": 12}):
        with pytest.raises(UserError, match=r"12 of 32 masks .* with budget=0\.38"):
            read(lost, [mask])
        assert len(read(lost, [mask], budget=0.38)) == 20
    with pytest.raises(UserError, match=r"12 of 12 masks .*are polygons in pixels\?"):
        read({"mask": 12}, [None])
    assert len(read({}, "of other people")) == 20


def test_a_share_that_everything_may_have_allows_all():
    parts = Parts(Counter(caption=50), budget=1.0)
    parts.check()
    with pytest.raises(UserError, match=r"^a\.tar: 50 of 50 captions .* with x=1"):
        check_parts(Counter(caption=50), Counter(), share=0.1, key="x", where="a.tar: ")
