"""Scenes as records and shards: reproducible, held-out pairs apart, names as the settings say."""

import hashlib
import json
from itertools import product

import numpy as np
import pytest

import cloc.scenes.depth.generate as depth
import cloc.scenes.generate as flat
from cloc.data.samples.record import from_json, to_json
from cloc.data.shards.manifest import read_manifest
from cloc.data.shards.reader import read_samples
from cloc.data.shards.shard_set import expand_shards, open_shards
from cloc.data.sources.cloc_regions import parse
from cloc.errors import UserError
from cloc.scenes.generate import scene, scenes, with_both_names, write_scenes
from cloc.scenes.kinds import HELD_OUT, class_prompts
from tests.helpers.scenes import decoded

# python -c "from tests.scenes.test_generate import digest; print(digest())"
GOLDEN = "235a581eac315a86a3ec658711ea6a5a020516a887936067c6245079026a9794"
SETTINGS = {"seed": 0, "size": 64, "twins": 0.4, "relational": 0.5}


def digest():
    """Of the pixels and annotations of the first scenes; PNG bytes may differ between encoders."""
    found = hashlib.sha256()
    for split in ("train", "val", "novel"):
        for record in scenes(split, 20, relational=0.5):
            found.update(decoded(record).tobytes())
            found.update(json.dumps(to_json(record)).encode())
    return found.hexdigest()


def test_scenes_are_the_same_on_every_machine():
    assert digest() == GOLDEN


def test_equal_seeds_give_equal_records_and_other_seeds_others():
    first, again = list(scenes("train", 20, seed=3)), list(scenes("train", 20, seed=3))
    assert first == again
    for other in (scenes("train", 20, seed=4), scenes("val", 20, seed=3)):
        assert not {r.image for r in other} & {r.image for r in first}


def test_any_scene_can_be_made_by_itself():
    assert scene("val", 7, **SETTINGS) == list(scenes("val", 8, relational=0.5))[7]


def test_no_two_scenes_of_a_set_are_equal_nor_of_two_splits():
    images = [r.image for split in ("train", "val", "novel") for r in scenes(split, 60)]
    assert len(set(images)) == 180


def test_keys_say_split_and_number():
    assert [r.key for r in scenes("novel", 2)] == ["novel-00000000", "novel-00000001"]


def test_records_pass_the_reader_unchanged():
    for record in scenes("train", 20, relational=0.5):
        text = json.dumps(to_json(record))
        assert from_json(record.key, record.image, "png", text, "test") == record


@pytest.mark.parametrize("size", [32, 64, 96])
def test_images_are_square_rgb(size):
    for record in scenes("train", 3, size=size):
        assert decoded(record).shape == (size, size, 3)
        assert (record.width, record.height, record.extension) == (size, size, "png")


def test_the_regions_show_their_colour():
    """The middle of the visible part is not the grey ground."""
    coloured = 0
    records = list(scenes("train", 30))
    for record in records:
        pixels = decoded(record).astype(int)
        for region in record.regions:
            x0, y0, x1, y1 = (int(x) for x in region.box)
            part = pixels[y0:y1, x0:x1]
            coloured += (np.ptp(part, axis=-1) > 40).mean() > 0.15
    assert coloured == sum(len(record.regions) for record in records)


def test_region_texts_are_full_and_labels_are_classes():
    for record in scenes("train", 50):
        for region, full in zip(record.regions, record.meta["objects"], strict=True):
            assert region.text in class_prompts()[region.label]
            assert region.text.split(" ", 1)[1] == full
            assert region.source == "scenes"


def test_without_relational_names_there_are_no_negatives():
    assert not any(region.negatives for r in scenes("train", 100) for region in r.regions)


def test_relational_changes_names_only():
    for plain, named in zip(scenes("val", 60), scenes("val", 60, relational=1.0), strict=True):
        assert (plain.image, plain.captions, plain.meta) == (
            named.image,
            named.captions,
            named.meta,
        )
        for a, b in zip(plain.regions, named.regions, strict=True):
            assert (a.box, a.label) == (b.box, b.label)


def test_relational_is_the_share_of_those_that_can_be_named_so():
    every, half = (
        [region for record in scenes("train", 150, relational=share) for region in record.regions]
        for share in (1.0, 0.5)
    )
    able = sum(bool(region.negatives) for region in every)
    assert 0.43 < sum(bool(region.negatives) for region in half) / able < 0.57
    assert able / len(every) > 0.6


def test_relational_names_carry_their_flipped_form():
    for record in scenes("train", 60, relational=1.0):
        for region in record.regions:
            if region.negatives:
                assert region.text.startswith(f"the {region.label} ")
                (flipped,) = region.negatives
                assert flipped != region.text
                assert sorted({*flipped.split()} ^ {*region.text.split()}) in (
                    ["left", "right"],
                    ["above", "below"],
                )


def test_twins_are_recorded_both_and_named_so():
    share = 0
    for record in scenes("train", 150, relational=1.0):
        twins = record.meta["twins"]
        share += len(twins) / 2 / 150
        for one, other in (twins, twins[::-1]) if twins else ():
            assert (one["region"], one["other"]) == (other["other"], other["region"])
            assert record.regions[one["region"]].text == one["phrase"]
            assert record.regions[one["region"]].negatives == (one["flipped"],)
            assert one["phrase"] != other["phrase"]
    assert 0.3 < share < 0.5


@pytest.mark.parametrize("twins", [0.0, 1.0])
def test_twins_is_the_share_of_images(twins):
    assert all(bool(r.meta["twins"]) == bool(twins) for r in scenes("val", 40, twins=twins))


def test_held_out_pairs_occur_in_every_novel_scene_and_nowhere_else():
    for split in ("train", "val", "novel"):
        for record in scenes(split, 80):
            labels = {region.label for region in record.regions}
            assert bool(labels & HELD_OUT) == (split == "novel")
            said = " ".join(caption.text for caption in record.captions)
            if split != "novel":
                assert not any(name in said for name in HELD_OUT)


def test_write_scenes_writes_three_sets_with_classes_and_settings(tmp_path, capsys):
    out = tmp_path / "out"
    write_scenes(out, train=5, val=2, novel=1, **SETTINGS, samples_per_shard=2)
    assert capsys.readouterr().out == ""  # no bar outside a terminal
    for split, count in (("train", 5), ("val", 2), ("novel", 1)):
        manifest = read_manifest(out / split)
        assert manifest["samples"] == count
        assert manifest["classes"] == class_prompts()
        assert manifest["source"] == {"name": "scenes", "split": split, **SETTINGS}
    assert len(expand_shards(str(out / "train"), key="data.train")) == 3


def test_equal_settings_give_equal_shards(tmp_path):
    for name in "ab":
        write_scenes(tmp_path / name, train=4, val=1, novel=1, seed=1)
    a, b = (
        {p.relative_to(tmp_path / name): p.read_bytes() for p in (tmp_path / name).rglob("*.*")}
        for name in "ab"
    )
    assert a == b
    assert len(a) == 9


def test_without_regions_pictures_and_captions_are_the_same_and_nothing_says_where(tmp_path):
    for name, regions in (("with", True), ("without", False)):
        write_scenes(tmp_path / name, train=3, val=0, novel=0, regions=regions)
    sets = [open_shards(f"{tmp_path}/{name}/train", key="x") for name in ("with", "without")]
    whole, bare = ([parse(raw) for raw in read_samples(shards, key="x")] for shards in sets)
    assert [(r.key, r.image, r.captions) for r in whole] == [
        (r.key, r.image, r.captions) for r in bare
    ]
    assert all(record.regions and record.meta for record in whole)
    assert not any(record.regions or record.meta for record in bare)


def test_0_leaves_a_split_out(tmp_path):
    write_scenes(tmp_path / "out", train=2, val=0, novel=0)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["train"]


def test_a_full_target_is_refused_before_anything_is_written(tmp_path):
    write_scenes(tmp_path / "out", train=0, val=0, novel=1)
    with pytest.raises(UserError, match="novel exists and is not empty; remove it or choose"):
        write_scenes(tmp_path / "out", train=1, val=1, novel=1)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["novel"]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"twins": 1.5}, "twins=1.5"),
        ({"relational": -0.1}, "relational=-0.1"),
        ({"size": 16}, "size=16.*32 to 1024"),
        ({"seed": -1}, "seed=-1"),
        ({"train": -1}, "train=-1"),
    ],
)
def test_bad_settings_are_named(tmp_path, setting, message):
    counts = {"train": 1, "val": 1, "novel": 1}
    with pytest.raises(UserError, match=message):
        write_scenes(tmp_path / "out", **{**counts, **setting})
    assert not (tmp_path / "out").exists()


def test_an_unknown_split_is_named():
    with pytest.raises(UserError, match="'test' of scenes: choose one of train, val, novel"):
        next(scenes("test", 1))


def test_the_streams_of_seeds_and_splits_never_meet():
    first = {
        next(scenes(split, 1, seed=seed)).image
        for seed, split in product(range(12), ("train", "val", "novel"))
    }
    assert len(first) == 36


@pytest.mark.parametrize("module", [flat, depth], ids=["flat", "depth"])
def test_with_both_names_every_region_keeps_its_plain_one_and_its_place(module):
    for plain, named in zip(
        module.scenes("val", 40), module.scenes("val", 40, relational=1.0), strict=True
    ):
        both = with_both_names(named)
        assert both.regions[: len(plain.regions)] == plain.regions
        more = [region for region in named.regions if region.negatives]
        assert list(both.regions[len(plain.regions) :]) == more
        assert both.meta == named.meta
        assert with_both_names(plain) == plain


def test_scenes_are_written_with_both_names_where_that_is_asked(tmp_path):
    settings = {"train": 6, "val": 0, "novel": 0, "relational": 1.0}
    write_scenes(tmp_path / "both", **settings, keep_names=True)
    write_scenes(tmp_path / "one", **settings)
    sets = [open_shards(f"{tmp_path}/{name}/train", key="x") for name in ("both", "one")]
    both, one = ([parse(raw) for raw in read_samples(shards, key="x")] for shards in sets)
    assert [with_both_names(record).regions for record in one] == [r.regions for r in both]
    manifest = read_manifest(tmp_path / "both/train")
    assert manifest["source"]["keep_names"] is True
