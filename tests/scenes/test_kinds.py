"""The vocabulary: enough classes, one held-out pair per shape, prompts that say every kind."""

from cloc.scenes import kinds


def test_72_classes_of_which_8_are_held_out_one_per_shape():
    assert len({kind.name for kind in kinds.KINDS}) == 72
    assert len({kind.name for kind in kinds.SEEN_KINDS}) == 64
    assert len(kinds.HELD_OUT) == 8
    assert {name.split()[1] for name in kinds.HELD_OUT} == set(kinds.SHAPES)


def test_kinds_are_all_different_and_split_without_remainder():
    assert len({kind.full for kind in kinds.KINDS}) == len(kinds.KINDS) == 72 * 4
    assert {*kinds.SEEN_KINDS, *kinds.HELD_OUT_KINDS} == set(kinds.KINDS)
    assert {kind.name for kind in kinds.HELD_OUT_KINDS} == kinds.HELD_OUT


def test_every_class_has_its_four_full_forms():
    prompts = kinds.class_prompts()
    assert len(prompts) == 72
    assert sorted(prompts["red star"]) == [
        "a large solid red star",
        "a large striped red star",
        "a small solid red star",
        "a small striped red star",
    ]
    assert all(len(set(texts)) == 4 for texts in prompts.values())


def test_articles_and_plurals():
    assert kinds.article("red star") == "a red star"
    assert kinds.article("orange ring") == "an orange ring"
    assert kinds.plural("red star") == "red stars"
    assert kinds.plural("green moon") == "green moons"
    assert kinds.plural("red box") == "red boxes"


def test_resized_changes_the_size_only():
    large = next(kind for kind in kinds.KINDS if kind.full == "large striped red star")
    small = kinds.resized(large, "small")
    assert small in kinds.KINDS
    assert small.full == "small striped red star"
