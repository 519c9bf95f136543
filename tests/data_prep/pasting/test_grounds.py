"""Grounds: drawn textures, and crops of pictures of one split that tell what they show."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest

from cloc.data.samples.record import Record, Region
from cloc.data.shards.writer import write_shards
from cloc.errors import UserError
from data_prep.pasting.grounds import DRAWN, noise, read_pictures
from data_prep.pasting.pool import split_of
from tests.helpers.shards import encode


def ramp(key, width=120, height=80, format="PNG", **more):
    """Red says x, green says y."""
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([x, y, np.full_like(x, 7)], -1).astype(np.uint8)
    extension = {"PNG": "png", "JPEG": "jpg"}[format]
    return Record(key, encode(pixels, format), extension, width, height, **more)


def pictures(folder, records, *, val=0.0):
    write_shards(records, folder / "in", samples_per_shard=3)
    splits = ("train", "val") if val else ("train",)
    return read_pictures(str(folder / "in"), splits, val=val)


def test_noise_is_a_function_of_the_state_and_every_one_is_another():
    one, again, other = (noise(Random(seed), 64) for seed in (1, 1, 2))
    assert (one.key, one.labels, one.image.size) == (DRAWN, frozenset(), (64, 64))
    assert one.image.tobytes() == again.image.tobytes() != other.image.tobytes()


def test_noise_has_a_strength_and_a_colour_of_its_own():
    grounds = [np.asarray(noise(Random(seed), 48).image, float) for seed in range(60)]
    spread = [ground.std((0, 1)).max() for ground in grounds]
    assert min(spread) < 5
    assert max(spread) > 35
    assert np.std([ground.mean((0, 1)) for ground in grounds], 0).min() > 25


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_a_crop_is_square_inside_the_picture_and_at_least_half_as_long_as_its_shorter_side(
    tmp_path, format
):
    draw = pictures(tmp_path, [ramp("a", format=format)])["train"]
    rng, sides = Random(0), []
    for _ in range(60):
        image = np.asarray(draw(rng, 16).image, float)
        assert image.shape == (16, 16, 3)
        wide, high = (np.ptp(image.mean(axis)[:, c]) for axis, c in ((0, 0), (1, 1)))
        assert wide == pytest.approx(high, abs=6)
        sides.append(wide * 16 / 15)
    assert 36 < min(sides) < 50
    assert 70 < max(sides) < 84


def test_a_ground_says_what_its_regions_show(tmp_path):
    regions = tuple(Region((0, 0, 9, 9), "x", label=label) for label in ("A Dog", "red  cup", ""))
    draw = pictures(tmp_path, [ramp("a", regions=regions, meta={"license": "by"})])["train"]
    found = draw(Random(0), 16)
    assert (found.key, found.labels) == ("a", {"dog", "red cup"})
    assert found.licences == ("by",)


def test_a_turned_picture_is_shown_upright(tmp_path):
    record = replace(ramp("a"), orientation=6)
    image = np.asarray(pictures(tmp_path, [record])["train"](Random(0), 16).image, float)
    assert np.ptp(image[..., 0].mean(1)) > 30  # x of the stored picture now runs downwards
    assert np.ptp(image[..., 0].mean(0)) < 2


def test_each_split_has_the_pictures_whose_keys_fall_to_it(tmp_path):
    found = pictures(tmp_path, [ramp(f"{i}", 16, 16) for i in range(12)], val=0.4)
    for split, draw in found.items():
        rng = Random(0)
        keys = {draw(rng, 8).key for _ in range(80)}
        assert keys == {str(i) for i in range(12) if split_of(str(i), val=0.4) == split}


def test_a_split_without_a_picture_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"backgrounds=.*: val has none of 1 pictures; give"):
        pictures(tmp_path, [ramp("a")], val=0.01)
