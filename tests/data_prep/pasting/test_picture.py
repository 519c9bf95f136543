"""Pictures with pasted things: what is said of them is what is painted."""

import io
from collections import Counter
from dataclasses import replace
from random import Random

import numpy as np
import PIL.Image
import pytest

from cloc.data.samples.record import refuse_problems, to_bytes
from cloc.errors import UserError
from data_prep.masks import masks_of
from data_prep.pasting.cutouts import Cutout
from data_prep.pasting.grounds import Ground, noise
from data_prep.pasting.picture import SEEN, Painter, _place, alike, listed
from data_prep.pasting.pool import Fitting, Pool
from data_prep.pasting.raster import overlaps, raster

LINES = raster(64, 16, sizes=[[0.3, 0.9], [0.2, 0.6], [0.1, 0.5]], at_least=1, at_most=3)
COLOURS = {"ball": (255, 0, 0), "cup": (0, 255, 0), "red cup": (0, 0, 255), "ox": (255, 255, 0)}
BLACK = (0, 0, 0)


def disc(label, side=60):
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    alpha = np.where(x**2 + y**2 <= side**2 / 4, 255, 0).astype(np.uint8)
    colour = np.full((side, side, 3), 120, np.uint8)  # what is not of the thing
    colour[alpha > 0] = COLOURS[label]
    return Cutout(
        label, f"of {label}", ("by",) if label == "ox" else (), np.dstack([colour, alpha])
    )


def black(rng, size):
    return Ground(PIL.Image.new("RGB", (size, size)), "black")


def painter(*labels, grounds=black, lines=LINES, seed=0, split="train"):
    pool = Pool({label: [disc(label)] for label in labels or COLOURS})
    return Painter(split, lines, grounds, pool, seed)


def painted(many=60, **settings):
    paint, drops = painter(**settings), Counter()
    return [paint(index, drops) for index in range(many)], drops


def pixels(record):
    return np.asarray(PIL.Image.open(io.BytesIO(record.image)), int)


def cells(record):
    return [tuple(thing["cells"]) for thing in record.meta["things"]]


def test_sides_of_boxes_lie_on_the_lines_and_inside_the_picture():
    for record in painted()[0]:
        for region, (x0, y0, x1, y1) in zip(record.regions, cells(record), strict=True):
            assert region.box == (4 * x0, 4 * y0, 4 * x1, 4 * y1)
            assert 0 <= x0 < x1 <= 16
            assert 0 <= y0 < y1 <= 16


def test_a_thing_fills_its_box():
    lines = LINES._replace(num_objects=[1])
    for record in painted(lines=lines)[0]:
        (region,), (mask,) = record.regions, masks_of(record)
        ys, xs = np.nonzero(mask)
        tight = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
        assert np.abs(tight - region.box).max() <= 1
        shown = pixels(record)
        x0, y0, x1, y1 = map(int, region.box)
        outside = np.ones((64, 64), bool)
        outside[y0:y1, x0:x1] = False
        assert (shown[outside] == 0).all()


def test_edges_are_soft_and_nothing_of_what_was_around_comes_along():
    lines = LINES._replace(num_objects=[1])
    soft = 0
    for record in painted(20, lines=lines)[0]:
        colour = np.array(COLOURS[record.regions[0].label]) > 0
        shown = pixels(record)
        assert shown[..., ~colour].max() <= 2  # grey would be of every channel
        soft += ((shown[..., colour] > 20) & (shown[..., colour] < 235)).sum()
    assert soft > 500


def test_no_more_than_half_of_a_box_lies_in_another():
    crowded = LINES._replace(sizes=[(0.5, 0.9)] * 3, num_objects=[3])
    records, drops = painted(lines=crowded)
    for record in records:
        boxes = cells(record)
        assert not any(overlaps(a, b) for i, a in enumerate(boxes) for b in boxes[:i])
    told = sum(len(record.regions) for record in records) + drops["no_place"]
    assert told == 3 * len(records)
    assert drops["no_place"] > 0


def test_of_every_thing_at_least_half_is_seen_and_masks_say_what():
    crowded = LINES._replace(sizes=[(0.4, 0.6)] * 3, num_objects=[3])
    partly = 0
    for record in painted(lines=crowded)[0]:
        shown = pixels(record)
        for region, mask in zip(record.regions, masks_of(record), strict=True):
            inner = mask & (np.abs(shown - COLOURS[region.label]).max(-1) < 60)
            assert inner.sum() > 0.7 * mask.sum()
            wide, high = (int(region.box[i + 2] - region.box[i]) for i in (0, 1))
            whole = np.pi / 4 * wide * high
            assert mask.sum() >= (SEEN - 0.05) * whole
            partly += mask.sum() < 0.9 * whole
        assert sum(mask.astype(int) for mask in masks_of(record)).max() <= 1
    assert partly > 5


def test_every_number_of_things_is_drawn_and_sizes_are_of_it():
    records, _ = painted(150)
    seen = Counter(len(record.regions) for record in records)
    assert set(seen) == {1, 2, 3}
    assert min(seen.values()) > 25
    longest = {
        count: [
            max(c[2] - c[0], c[3] - c[1]) / 16
            for record in records
            if len(record.regions) == count
            for c in cells(record)
        ]
        for count in seen
    }
    for count, (low, high) in enumerate(LINES.sizes, 1):
        assert low <= min(longest[count]) <= max(longest[count]) <= high


def test_no_name_of_a_picture_can_mean_two_of_its_things():
    for record in painted(100)[0]:
        labels = [region.label for region in record.regions]
        assert len(set(labels)) == len(labels)
        assert not {"cup", "red cup"} <= set(labels)
    assert alike("cup", "red cup")
    assert alike("red cup", "cup")
    assert not alike("cup", "cupboard")
    assert not alike("red cup", "red ball")


def test_what_the_ground_shows_is_not_pasted_on_it():
    def shows(rng, size):
        return black(rng, size)._replace(labels=frozenset({"coffee cup", "ball"}))

    records, drops = painted(40, grounds=shows)
    assert {r.label for record in records for r in record.regions} == {"red cup", "ox"}
    assert drops["no_label"] > 0  # three of two names


def test_grounds_that_show_everything_are_refused():
    def shows(rng, size):
        return black(rng, size)._replace(labels=frozenset(COLOURS))

    with pytest.raises(UserError, match="backgrounds show every label of train's objects, such as"):
        painted(1, grounds=shows)


def test_a_record_says_what_was_pasted():
    paint = painter("ox", "ball", lines=LINES._replace(num_objects=[2]))
    record = paint(7, Counter())
    first, second = record.regions
    assert record.key == "train-00000007"
    assert {first.text, second.text} == {"an ox", "a ball"}
    assert record.captions[0].text == f"{first.text} and {second.text}"
    assert {first.source, second.source, record.captions[0].source} == {"pasted"}
    assert [t["from"] for t in record.meta["things"]] == [f"of {r.label}" for r in record.regions]
    assert (record.meta["grid"], record.meta["background"]) == (16, "black")
    assert record.meta["license"] == "by"
    refuse_problems(record)
    assert to_bytes(record, "here")
    assert listed(["a cup", "a dog", "a ball"]) == "a cup, a dog and a ball"
    assert listed(["a cup"]) == "a cup"


def test_masks_and_things_stay_with_their_regions():
    record = painter(lines=LINES._replace(num_objects=[3]))(0, Counter())
    kept = record.with_regions([len(record.regions) - 1])
    assert kept.meta["things"] == record.meta["things"][-1:]
    assert kept.meta["masks"] == record.meta["masks"][-1:]


def test_a_picture_depends_on_seed_split_and_number_alone():
    def alone(index, **settings):
        return painter(grounds=noise, **settings)(index, Counter())

    records, _ = painted(6, grounds=noise)
    assert alone(5) == records[5]
    others = [records[4], alone(5, seed=1), alone(5, split="val")]
    assert all(replace(other, key="") != replace(records[5], key="") for other in others)


def test_the_ground_is_not_painted_on():
    given = noise(Random(0), 64)
    before = given.image.tobytes()
    painter(grounds=lambda rng, size: given)(0, Counter())
    assert given.image.tobytes() == before


class Counting(Random):
    """Which shapes were tried."""

    def choice(self, given):
        self.tried = [*getattr(self, "tried", []), given]
        return super().choice(given)


def test_after_ten_retries_a_thing_is_left_out():
    whole = Fitting(disc("ball"), [(16, 16)])
    placed = _place(Random(0), whole, [], LINES)
    rng = Counting(0)
    assert _place(rng, Fitting(disc("cup"), [(15, 15)]), placed, LINES) is None
    assert len(rng.tried) == 11
    assert len(_place(rng, Fitting(disc("cup"), [(4, 4)]), [], LINES)) == 1
