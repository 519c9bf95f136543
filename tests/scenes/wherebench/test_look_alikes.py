"""The twins never move; of each, the reference changes sides."""

from collections import Counter
from random import Random

from cloc.scenes.wherebench.canvas import GAP
from cloc.scenes.wherebench.look_alikes import look_alikes


def drawn(count=300):
    rng = Random(0)
    return [look_alikes(rng, 250) for _ in range(count)]


def test_twins_are_equal_and_stand_still_while_references_move():
    for one in drawn():
        first, second = (picture.things for picture in one.pictures)
        assert first[:2] == second[:2]
        assert first[0].kind == first[1].kind
        assert first[0].side == first[1].side
        assert first[2].kind == first[3].kind == second[2].kind
        assert first[2:] != second[2:]
        assert first[0].kind.colour != first[2].kind.colour


def test_all_are_clear_of_each_other_and_of_the_rim():
    for one in drawn():
        for picture in one.pictures:
            boxes = [thing.box for thing in picture.things]
            for i, a in enumerate(boxes):
                for b in boxes[:i]:
                    gaps = [max(a[k], b[k]) - min(a[k + 2], b[k + 2]) for k in (0, 1)]
                    assert max(gaps) >= GAP // 4 - 1
            assert picture.boxes.min() >= 4
            assert picture.boxes.max() <= 246


def test_each_phrase_means_the_first_box_as_often_as_not():
    found = Counter(one.phrases[0].split(" directly ")[1].split()[0] for one in drawn())
    assert set(found) == {"left", "right", "above", "below"}
    assert max(abs(count - 75) for count in found.values()) < 30
    assert {one.mirror_swaps for one in drawn() if "left" in one.phrases[0]} == {True}
    assert {one.mirror_swaps for one in drawn() if "above" in one.phrases[0]} == {False}
