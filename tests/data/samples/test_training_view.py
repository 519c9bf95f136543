"""The view of a record: drawing of captions, regions and negatives, and the frame."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from cloc.data.samples.orientation import CODES
from cloc.data.samples.record import Caption, Record, Region
from cloc.data.samples.training_view import View, look
from cloc.data.samples.transforms import Flip, RandomCrop
from cloc.errors import BadSample, UserError
from tests.helpers.shards import encode, make_record

SIX = make_record(6)  # six regions, two captions, two negatives each


def see(record=SIX, *, seed=0, **view):
    rng = np.random.default_rng(seed)
    return look(record, rng, view=View(**view), image_size=32, where="a.tar::k")


def test_at_most_max_regions_each_as_likely_as_the_others():
    seen = Counter(phrase for seed in range(600) for phrase in see(seed=seed).phrases)
    assert sum(seen.values()) == 600 * 4
    assert all(340 < seen[f"thing {i} of 6"] < 460 for i in range(6))


def test_few_regions_are_all_shown_in_order():
    assert see(make_record(3)).phrases == ("thing 0 of 3", "thing 1 of 3", "thing 2 of 3")
    assert see(make_record(0)).boxes.shape == (0, 4)


def test_a_drawn_region_keeps_its_box_and_negatives():
    for seed in range(20):
        out = see(seed=seed, max_negatives=2)
        for box, phrase, negatives in zip(out.boxes, out.phrases, out.negatives, strict=True):
            i = int(phrase.split()[1])
            # 20 x 10 becomes 32 x 16, centred in 32 x 32
            assert np.allclose(box, np.array([i, 1, i + 3, 4]) * 1.6 + [0, 8, 0, 8])
            assert negatives == ("no thing", f"not {i}")


def test_each_caption_is_as_likely_as_the_others():
    seen = Counter(see(seed=seed).caption for seed in range(400))
    assert set(seen) == {"picture 6", "image number 6"}
    assert min(seen.values()) > 150
    assert see(replace(SIX, captions=())).caption is None


def test_a_captions_chance_is_in_proportion_to_the_weight_of_its_source():
    captions = (Caption("a", "alt"), Caption("b", "vesl"), Caption("c"))
    record = replace(SIX, captions=captions)
    weights = {"alt": 0.5, "vesl": 2.5}  # and 1 for the one that is not named
    seen = Counter(see(record, seed=s, caption_weights=weights).caption for s in range(800))
    assert abs(seen["a"] - 100) < 40
    assert abs(seen["b"] - 500) < 60
    assert abs(seen["c"] - 200) < 50
    never = {"alt": 0.0, "": 0.0}
    assert {see(record, seed=s, caption_weights=never).caption for s in range(50)} == {"b"}
    assert see(record, caption_weights={**never, "vesl": 0.0}).caption is None


def test_at_most_max_negatives():
    assert {len(n) for n in see(max_negatives=0).negatives} == {0}
    drawn = Counter(
        n for seed in range(200) for ns in see(seed=seed, max_negatives=1).negatives for n in ns
    )
    assert set(drawn) == {"no thing", *(f"not {i}" for i in range(6))}


def test_the_same_generator_gives_the_same_view():
    settings = {"augment": (Flip(0.5),), "frame": RandomCrop}
    first, again, other = see(seed=3, **settings), see(seed=3, **settings), see(seed=4, **settings)
    assert first.phrases == again.phrases
    assert (first.boxes == again.boxes).all()
    assert first.phrases != other.phrases or not np.array_equal(first.boxes, other.boxes)


def test_regions_are_drawn_after_the_transforms_hid_some():
    def hide_four(sample, rng):
        return sample.keep(np.array([4, 5]))

    for seed in range(10):
        shown = see(seed=seed, augment=(hide_four,), max_regions=2).phrases
        assert shown == ("thing 4 of 6", "thing 5 of 6")


def test_transforms_that_end_at_another_size_are_refused():
    with pytest.raises(UserError, match=r"^a\.tar::k: .*end at 20x10 but the model sees 32x32"):
        see(frame=lambda size: Flip(0.0))


def test_a_view_ends_in_pixels_whatever_its_frame_does():
    """So a picture that cannot be decoded is found where it is counted, not in a batch."""

    def cut(sample, rng):
        return replace(sample, image=sample.image.cut(0, 0, 5, 5).mirror())

    out = look(
        SIX, np.random.default_rng(0), view=View(frame=lambda size: cut), image_size=5, where="w"
    )
    assert out.image.source.shape == (5, 5, 3)


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"image": SIX.image[:-30]}, "image"), ({"width": 21}, "size"), ({"image": b"?"}, "image")],
)
def test_a_bad_picture_is_a_bad_sample_with_its_reason(change, reason):
    with pytest.raises(BadSample, match=r"^a\.tar::k: ") as error:
        see(replace(SIX, **change))
    assert error.value.reason == reason


def test_a_scene_of_the_right_size_is_bit_for_bit_what_is_stored():
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    scene = Record("k", encode(pixels), "png", 32, 32, regions=(Region((1.0, 2.0, 9.0, 8.0), "x"),))
    out = see(scene)
    assert (out.image.pixels(32, 32) == pixels).all()
    assert out.boxes.tolist() == [[1, 2, 9, 8]]


@pytest.mark.parametrize(
    "settings", [{"max_regions": 0}, {"max_negatives": -1}, {"caption_weights": {"alt": -1.0}}]
)
def test_a_setting_out_of_range_names_itself(settings):
    with pytest.raises(UserError, match=rf"^{next(iter(settings))} is "):
        View(**settings)


@pytest.mark.parametrize("code", CODES)
def test_pixels_and_boxes_are_turned_together(code):
    pixels = np.zeros((20, 32, 3), np.uint8)
    pixels[2:6, 3:15] = 255
    region = Region((3.0, 2.0, 15.0, 6.0), "it")
    record = Record("k", encode(pixels), "png", 32, 20, regions=(region,), orientation=code)
    for view in ({}, {"augment": [Flip(1.0)]}):
        out = see(record, **view)
        x0, y0, x1, y1 = out.boxes[0].astype(int)
        shown = out.image.pixels(32, 32)
        assert shown[y0:y1, x0:x1].min() == 255
        assert (shown > 0).sum() == 3 * 4 * 12
    assert (x1 - x0, y1 - y0) == ((12, 4) if code < 5 else (4, 12))
