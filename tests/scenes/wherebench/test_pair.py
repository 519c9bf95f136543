"""The two of a pair: neither comes first more often, and all ways of saying it occur."""

from collections import Counter
from random import Random

from cloc.scenes.wherebench.pair import Drawn, converse_captions, exchanged, pictures


def test_all_ways_of_saying_it_occur_and_none_more_often():
    rng = Random(0)
    found = Counter(
        converse_captions(rng, "a", "b", word="on", converse="under") for _ in range(4000)
    )
    assert set(found) == {(x, y) for x in ("a on b", "b under a") for y in ("b on a", "a under b")}
    assert max(abs(count - 1000) for count in found.values()) < 100


def test_a_coin_says_which_of_the_two_is_first():
    rng = Random(0)
    drawn = Drawn(pictures(rng, [], [], size=64), ("one", "two"), True)
    found = Counter(exchanged(rng, drawn).captions for _ in range(1000))
    assert set(found) == {("one", "two"), ("two", "one")}
    assert abs(found["one", "two"] - 500) < 60
    turned = next(x for x in (exchanged(rng, drawn) for _ in range(99)) if x.captions[0] == "two")
    assert turned.pictures == drawn.pictures[::-1]
    assert turned.mirror_swaps


def test_both_pictures_have_one_ground():
    one, other = pictures(Random(0), [], [], size=64)
    assert one.draw().tobytes() == other.draw().tobytes()
