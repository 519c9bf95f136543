"""Items are the same bytes on every machine, and show what they say they show."""

import hashlib

import numpy as np
import pytest

from cloc.scenes.draw import mask
from cloc.scenes.kinds import COLOURS
from cloc.scenes.wherebench.items import RELATIONS, item, look_alike_item

NAMES = [*RELATIONS, "look_alikes"]
# Of the first ten items in 64 pixels and the first in 224: a change is a change of the version.
DIGESTS = {
    "left_right": "47a1d8ac155f96f6",
    "above_below": "210a920e33eb611b",
    "front_behind": "4d9eb2ff53a5b35c",
    "inside": "6eb0fb7411f177d5",
    "on_under": "cb967b01e37df1b8",
    "between": "2855b91e8e765f02",
    "count_side": "62ad098d6246dba6",
    "place": "f29d0c750a7ff871",
    "look_alikes": "1a1bbcc57abb6959",
}


def made(relation, number, size):
    if relation == "look_alikes":
        return look_alike_item(number, size=size)
    return item(relation, number, size=size)


@pytest.mark.parametrize("relation", NAMES)
def test_the_first_items_are_the_same_on_every_machine(relation):
    out = hashlib.blake2b(digest_size=8)
    for one in [made(relation, number, 64) for number in range(10)] + [made(relation, 0, 224)]:
        for example in one.examples:
            out.update(example.image.tobytes() + example.boxes.tobytes())
        out.update("|".join(one.captions).encode())
    assert out.hexdigest() == DIGESTS[relation]


@pytest.mark.parametrize("relation", NAMES)
def test_an_item_is_the_same_at_every_size_and_in_every_order_of_asking(relation):
    for number in (3, 1):
        small, large = (made(relation, number, size) for size in (64, 320))
        assert small.captions == large.captions
        for a, b in zip(small.examples, large.examples, strict=True):
            assert np.abs(a.boxes / 64 - b.boxes / 320).max() < 2 / 64
            assert b.image.size == (320, 320)


@pytest.mark.parametrize("relation", NAMES)
def test_a_box_shows_the_shape_that_is_named_and_all_else_is_ground(relation):
    for number in range(10):
        for example in made(relation, number, 128).examples:
            pixels = np.asarray(example.image).astype(int)
            rest = np.ptp(pixels, -1) > 0
            for i, (box, label) in enumerate(zip(example.boxes, example.labels, strict=True)):
                x0, y0, x1, y1 = box.astype(int)
                colour, shape = label.split()
                pure = mask(shape, x1 - x0, 128).alpha == 255
                seen = (pixels[y0:y1, x0:x1] == COLOURS[colour]).all(-1)
                covered = relation == "front_behind" and i == 0
                assert (seen & pure).sum() / pure.sum() >= (0.3 if covered else 1)
                assert (seen <= pure).all()
                rest[y0:y1, x0:x1] = False
            assert rest.any() == (relation == "look_alikes")  # their references


@pytest.mark.parametrize("relation", NAMES)
def test_keys_and_digests_tell_every_picture_from_every_other(relation):
    found = [made(relation, number, size) for number in range(5) for size in (64, 65)]
    digests = [example.digest for one in found for example in one.examples]
    assert len(set(digests)) == len(digests) == 20
    assert len({one.key for one in found}) == 5


def test_captions_stand_beside_their_pictures():
    one = item("place", 0, size=64)
    assert [example.captions for example in one.examples] == [(text,) for text in one.captions]
    assert one.examples[0].phrases[0].endswith(one.examples[0].labels[0])
    twins = look_alike_item(0, size=64)
    assert twins.examples[0].phrases == twins.captions == twins.examples[1].phrases[::-1]
    assert len(twins.examples[0].boxes) == 2
