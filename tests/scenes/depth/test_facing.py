"""Names of where a front points."""

from cloc.scenes.depth.facing import OPPOSITE, with_facing
from cloc.scenes.depth.generate import FACING, scenes
from cloc.scenes.generate import with_both_names


def test_every_side_has_an_opposite():
    assert set(OPPOSITE) == set(FACING)
    assert all(OPPOSITE[OPPOSITE[side]] == side for side in FACING)


def test_each_thing_with_a_front_has_a_further_region_in_its_box():
    heard = set()
    for record in scenes("train", 60, relational=0.5):
        both = with_facing(record)
        assert both.regions[: len(record.regions)] == record.regions
        more = both.regions[len(record.regions) :]
        fronted = [
            (region, name, thing["facing"])
            for region, name, thing in zip(
                record.regions, record.meta["objects"], record.meta["things"], strict=True
            )
            if thing["facing"]
        ]
        assert len(more) == len(fronted)
        for region, (of, name, side) in zip(more, fronted, strict=True):
            word = {"towards": "towards the viewer"}.get(side, side.removeprefix("to the "))
            assert region.box == of.box
            assert region.label == of.label
            assert region.text.endswith(f"{name} facing {word}")
            [opposite] = region.negatives
            assert opposite != region.text
            heard |= {(word, opposite.split(" facing ")[1])}
    assert heard == {
        ("left", "right"),
        ("right", "left"),
        ("away", "towards the viewer"),
        ("towards the viewer", "away"),
    }


def test_beside_both_names_it_comes_last():
    for record in scenes("train", 20, relational=1.0):
        both = with_both_names(with_facing(record))
        assert (
            both.regions[: len(with_both_names(record).regions)] == with_both_names(record).regions
        )
        assert sum(" facing " in region.text for region in both.regions) == sum(
            bool(thing["facing"]) for thing in record.meta["things"]
        )
