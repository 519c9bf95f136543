"""Names, sizes and the pairs of colour and shape that training never sees."""

from cloc.scenes.depth.shapes import HELD_AT
from cloc.scenes.depth.solids import (
    ALL,
    FRONTED,
    HELD_OUT,
    HOLDERS,
    PLAIN,
    SHAPES,
    WORLD,
    Solid,
    class_prompts,
    solids_of,
)
from cloc.scenes.kinds import COLOURS


def test_every_shape_in_every_colour_has_a_name():
    assert len({solid.name for solid in ALL}) == len(ALL) == len(SHAPES) * len(COLOURS) == 99
    assert Solid("ball", "red").name == "red ball"


def test_shapes_are_plain_fronted_or_holders():
    assert sorted(SHAPES) == sorted([*PLAIN, *FRONTED, *HOLDERS])
    assert len(set(SHAPES)) == len(SHAPES) == len(WORLD)


def test_a_held_out_pair_takes_each_colour_once_and_no_shape_twice():
    colours, shapes = zip(*(name.split() for name in HELD_OUT), strict=True)
    assert sorted(colours) == sorted(COLOURS)
    assert len(set(shapes)) == len(shapes)


def test_solids_of_a_shape_are_all_or_those_that_are_not_held_out():
    for shape in SHAPES:
        every, seen = solids_of(shape, True), solids_of(shape, False)
        assert {solid.shape for solid in every} == {shape}
        assert len(every) == len(COLOURS)
        assert {solid.name for solid in every} - {solid.name for solid in seen} == {
            name for name in HELD_OUT if name.endswith(f" {shape}")
        }


def test_what_is_told_apart_of_a_holder_is_in_on_or_under_it_or_beside_it():
    """And where in the picture of the holder it lies is known for all of them."""
    places = {(shape, word) for shape, words in HOLDERS.items() for word in words}
    assert {place for place in places if place[1] != "beside"} == set(HELD_AT)
    assert {word for _, word in places} == {"in", "on", "under", "beside"}


def test_what_is_held_is_smaller_than_its_holder():
    assert max(WORLD[shape] for shape in (*PLAIN, "duck")) < min(WORLD[shape] for shape in HOLDERS)


def test_class_prompts_have_articles():
    assert class_prompts()["orange table"] == ["an orange table"]
    assert len(class_prompts()) == 99
