"""Scenes with depth as records and shards: reproducible, and their exact truth in `meta`."""

import hashlib
import json

import numpy as np
import pytest

from cloc.data.samples.record import from_json, to_json
from cloc.data.shards.manifest import read_manifest
from cloc.data.shards.reader import read_samples
from cloc.data.shards.shard_set import open_shards
from cloc.data.sources.cloc_regions import parse
from cloc.errors import UserError
from cloc.scenes.depth.arrange import KINDS
from cloc.scenes.depth.generate import (
    FACING,
    composed,
    run_lengths,
    scene,
    scenes,
    versions,
    write_scenes,
)
from cloc.scenes.depth.layout import CROWD
from cloc.scenes.depth.solids import HELD_OUT, class_prompts
from tests.helpers.depth import visible_masks
from tests.helpers.scenes import decoded

# python -c "from tests.scenes.depth.test_generate import digest; print(digest())"
GOLDEN = "e99865f52aca6fe5408762eb03fed2ecf45e386cf7e94c541408b879146736bb"
SETTINGS = {"seed": 0, "size": 64, "twins": 0.4, "relational": 0.5}


def digest():
    """Of the pixels and annotations of the first scenes; PNG bytes may differ between encoders."""
    found = hashlib.sha256()
    for split in ("train", "val", "novel"):
        for record in scenes(split, 30, relational=0.5):
            found.update(decoded(record).tobytes())
            found.update(json.dumps(to_json(record)).encode())
    return found.hexdigest()


@pytest.fixture(scope="module")
def drawn():
    return [composed("train", i, seed=1, size=64, twins=0.4, relational=0.5) for i in range(250)]


def test_scenes_are_the_same_on_every_machine():
    assert digest() == GOLDEN


def test_any_scene_can_be_made_by_itself():
    assert scene("val", 7, **SETTINGS) == list(scenes("val", 8, relational=0.5))[7]


def test_no_two_scenes_of_a_set_are_equal_nor_of_two_splits_or_seeds():
    sets = [("train", 0), ("val", 0), ("novel", 0), ("train", 1)]
    images = [r.image for split, seed in sets for r in scenes(split, 40, seed=seed)]
    assert len(set(images)) == 160


def test_records_pass_the_reader_unchanged():
    for size in (64, 224):
        for record in scenes("novel", 10, relational=0.5, size=size):
            text = json.dumps(to_json(record))
            assert from_json(record.key, record.image, "png", text, "test") == record


def test_a_large_picture_is_no_larger_than_a_record_may_be():
    record = scene("train", 3, seed=0, size=1024, twins=1.0, relational=1.0)
    assert not from_json(record.key, b"", "png", json.dumps(to_json(record)), "test").problems


def test_boxes_are_of_whole_things_and_hold_their_visible_masks(drawn):
    covered = 0
    for _, record in drawn:
        for region, mask in zip(record.regions, visible_masks(record), strict=True):
            rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
            x0, y0, x1, y1 = region.box
            assert x0 <= columns[0]
            assert columns[-1] < x1
            assert y0 <= rows[0]
            assert rows[-1] < y1
            covered += (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1) != region.box
    assert covered > 50  # of many the extent is of what is hidden too


def test_no_pixel_is_of_two_things(drawn):
    for _, record in drawn:
        assert np.sum(visible_masks(record), 0).max() <= 1


def test_alone_in_the_picture_the_box_is_the_extent_of_the_mask(drawn):
    alone = 0
    for _, record in drawn:
        boxes = np.array([region.box for region in record.regions])
        for i, mask in enumerate(visible_masks(record)):
            a = boxes[i]
            apart = (boxes[:, :2] >= a[2:]) | (boxes[:, 2:] <= a[:2])
            if apart.any(1).sum() == len(boxes) - 1:
                alone += 1
                rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
                assert (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1) == tuple(a)
    assert alone > 300


def test_a_mask_shows_its_colour_and_the_rest_is_grey(drawn):
    for image, record in drawn:
        spread = np.ptp(np.asarray(image).astype(int), -1)
        masks = visible_masks(record)
        assert all(spread[mask].max() > 40 for mask in masks)
        assert spread[~np.any(masks, 0)].max() <= 10


def test_regions_stand_in_the_order_of_painting_the_farthest_first(drawn):
    for _, record in drawn:
        distances = [thing["distance"] for thing in record.meta["things"]]
        assert distances == sorted(distances, reverse=True)
        for i, thing in enumerate(record.meta["things"]):
            assert thing["holder"] is None or thing["holder"] < i


def test_meta_is_complete(drawn):
    held = set()
    for _, record in drawn:
        meta = record.meta
        assert meta.keys() == {
            *("relations", "twins", "objects", "kind", "horizon", "pairs", "things"),
        }
        assert meta["objects"] == [region.label for region in record.regions]
        assert len(meta["things"]) == len(record.regions)
        for name, thing in zip(meta["objects"], meta["things"], strict=True):
            assert thing.keys() == {"distance", "facing", "holder", "held", "visible"}
            fronted = name.split()[1] in ("car", "duck", "chair")
            assert (thing["facing"] in FACING) == fronted
            assert (thing["holder"] is None) == (thing["held"] == "")
            held.add(thing["held"])
        for pair in meta["pairs"]:
            thing = meta["things"][pair["region"]]
            if pair["word"] in ("in", "on", "under"):
                assert (thing["holder"], thing["held"]) == (pair["other"], pair["word"])
    assert held == {"", "in", "on", "under"}


def test_twins_are_recorded_both_and_named_so():
    share = 0
    for _, record in (
        composed("train", i, seed=2, size=64, twins=0.4, relational=1.0) for i in range(150)
    ):
        twins = record.meta["twins"]
        share += len(twins) / 2 / 150
        for one, other in (twins, twins[::-1]) if twins else ():
            assert (one["region"], one["other"]) == (other["other"], other["region"])
            assert record.regions[one["region"]].text == one["phrase"]
            assert record.regions[one["region"]].negatives == (one["flipped"],)
            assert record.regions[one["region"]].label == record.regions[one["other"]].label
            assert one["phrase"] != other["phrase"]
    assert 0.3 < share < 0.5


def test_relational_changes_names_only():
    for index in range(40):
        settings = {"seed": 0, "size": 64, "twins": 0.4}
        (image, plain), (again, named) = (
            composed("val", index, relational=share, **settings) for share in (0.0, 1.0)
        )
        assert image.tobytes() == again.tobytes()
        assert (plain.captions, plain.meta) == (named.captions, named.meta)
        assert not any(region.negatives for region in plain.regions)
        assert [(r.box, r.label) for r in plain.regions] == [
            (r.box, r.label) for r in named.regions
        ]
        for region in plain.regions:
            assert [region.text] == class_prompts()[region.label]


def test_versions_are_the_scene_and_the_other_way_round():
    counts = set()
    for index in range(60):
        shown = versions("train", index, seed=0, size=64, twins=0.4)
        image, record = composed("train", index, seed=0, size=64, twins=0.4, relational=1.0)
        assert shown[0][0].tobytes() == image.tobytes()
        assert shown[0][1].meta == record.meta
        assert (len(shown) == 1) == (record.meta["kind"] == "crowd")
        counts.add(len(shown))
        if len(shown) == 2:
            one, other = (np.asarray(picture).astype(int) for picture, _ in shown)
            related = np.zeros((64, 64), bool)
            for _, version in shown:
                for pair in version.meta["pairs"]:
                    for place in (pair["region"], pair["other"]):
                        x0, y0, x1, y1 = (int(c) for c in version.regions[place].box)
                        related[max(y0 - 8, 0) : y1 + 8, max(x0 - 4, 0) : x1 + 4] = True
            changed = (one != other).any(-1)
            assert changed.any()
            assert not (changed & ~related).any()
    assert counts == {1, 2}


def test_held_out_pairs_occur_in_every_novel_scene_and_nowhere_else():
    for split in ("train", "val", "novel"):
        for index in range(60):
            _, record = composed(split, index, **SETTINGS)
            assert bool({r.label for r in record.regions} & HELD_OUT) == (split == "novel")
            said = " ".join(caption.text for caption in record.captions)
            if split != "novel":
                assert not any(name in said for name in HELD_OUT)


def test_run_lengths_are_cocos():
    """Columns first, from the left; what is outside first, also where that is nothing."""
    assert run_lengths([0b0001, 0b0110, 0], 2) == ["0 1 3", "1 2 1", "4"]


def test_write_scenes_writes_three_sets_with_classes_and_settings(tmp_path, capsys):
    out = tmp_path / "out"
    write_scenes(out, train=5, val=2, novel=1, **SETTINGS, samples_per_shard=2)
    assert capsys.readouterr().out == ""  # no bar outside a terminal
    for split, count in (("train", 5), ("val", 2), ("novel", 1)):
        manifest = read_manifest(out / split)
        assert manifest["samples"] == count
        assert manifest["classes"] == class_prompts()
        assert manifest["source"] == {"name": "scenes_depth", "split": split, **SETTINGS}


def test_own_is_a_share_of_the_scenes_and_without_it_nothing_changes():
    settings = dict(seed=3, size=64, twins=0.4, relational=1.0)
    plain = [composed("train", i, **settings)[1] for i in range(60)]
    assert plain == [composed("train", i, **settings, own=0.0)[1] for i in range(60)]
    kinds = [composed("train", i, **settings, own=0.5)[1].meta["kind"] for i in range(300)]
    assert abs(kinds.count("own") / 300 - (0.5 + 0.5 * (1 - CROWD) / len(KINDS))) < 0.09
    assert {composed("val", i, **settings, own=1.0)[1].meta["kind"] for i in range(40)} == {"own"}


def test_own_sides_and_fronts_are_written_where_that_is_asked(tmp_path):
    write_scenes(tmp_path, train=20, val=0, novel=0, own=1.0, keep_names=True, facing=True)
    source = read_manifest(tmp_path / "train")["source"]
    assert (source["own"], source["facing"], source["keep_names"]) == (1.0, True, True)
    shards = open_shards(f"{tmp_path}/train", key="x")
    records = [parse(raw) for raw in read_samples(shards, key="x")]
    assert all(record.meta["kind"] == "own" for record in records)
    assert all(any(" facing " in r.text for r in record.regions) for record in records)


def test_equal_settings_give_equal_shards(tmp_path):
    for name in "ab":
        write_scenes(tmp_path / name, train=4, val=1, novel=1, seed=1)
    a, b = (
        {p.relative_to(tmp_path / name): p.read_bytes() for p in (tmp_path / name).rglob("*.*")}
        for name in "ab"
    )
    assert a == b
    assert len(a) == 9


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"twins": 1.5}, "twins=1.5"),
        ({"relational": -0.1}, "relational=-0.1"),
        ({"own": 2}, "own=2"),
        ({"size": 16}, "size=16.*32 to 1024"),
        ({"seed": -1}, "seed=-1"),
        ({"train": -1}, "train=-1"),
    ],
)
def test_bad_settings_are_named_before_anything_is_written(tmp_path, setting, message):
    counts = {"train": 1, "val": 1, "novel": 1}
    with pytest.raises(UserError, match=message):
        write_scenes(tmp_path / "out", **{**counts, **setting})
    assert not (tmp_path / "out").exists()


def test_an_unknown_split_is_named():
    with pytest.raises(UserError, match="'test' of scenes: choose one of train, val, novel"):
        next(scenes("test", 1))
