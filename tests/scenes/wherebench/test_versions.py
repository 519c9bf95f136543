"""Both versions give items of every relation they name, and refuse what cannot be drawn."""

import pytest

from cloc.errors import UserError
from cloc.scenes.wherebench.versions import VERSIONS, check


@pytest.mark.parametrize("version", VERSIONS)
def test_every_relation_has_items(version):
    of = VERSIONS[version]
    assert {of.item(name, 0, size=64).relation for name in of.relations} == set(of.relations)
    assert {one.relation for one in of.look_alike_items(8, size=64)} == set(of.look_alikes)
    assert of.bag_of_patches.keys() <= set(of.relations)


def test_pairs_of_look_alikes_are_all_of_them_in_version_1_and_those_of_a_relation_in_version_2():
    assert len(list(VERSIONS[1].look_alike_items(3, size=64))) == 3
    assert len(list(VERSIONS[2].look_alike_items(3, size=64))) == 3 * len(VERSIONS[2].look_alikes)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"pairs": 0}, "pairs=0: set pairs"),
        ({"size": 32}, "size=32"),
        ({"size": 2000}, "64 to 1024"),
        ({"version": 3}, "version=3: there is 1 or 2"),
    ],
)
def test_what_there_is_not_is_refused(wrong, words):
    with pytest.raises(UserError, match=words):
        check(**{"version": 1, "pairs": 1, "size": 64, **wrong})
