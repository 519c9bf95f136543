"""The importer of pasted things: whole folders, splits that share nothing, the same bytes again."""

import filecmp

import pytest

from cloc.cli.prepare import main
from cloc.data.shards.manifest import read_manifest
from cloc.data.shards.writer import write_shards
from cloc.errors import UserError
from data_prep.importers.pasted import write_pasted
from data_prep.masks import masks_of
from tests.data_prep.pasting.scraps import scrap, two_discs
from tests.helpers.imported import imported, prepared
from tests.helpers.photos import MINI, NEEDS_MINI

KEYS = {"val": 0.25, "count": 40}


@pytest.fixture(scope="module")
def depth(tmp_path_factory):
    folder = tmp_path_factory.mktemp("depth")
    prepared("scenes_depth", folder / "in", train=120, val=0, novel=0, keep_names="true")
    return folder / "in/train"


@pytest.fixture(scope="module")
def pasted(depth):
    out = depth.parents[1] / "out"
    prepared("pasted", out, objects=depth, **KEYS)
    return out


def sources(folder):
    return {thing["from"] for r in imported(folder).values() for thing in r.meta["things"]}


def test_scenes_with_depth_become_pictures_of_their_things(pasted):
    names = {split: imported(pasted / split) for split in ("train", "val")}
    assert {split: len(records) for split, records in names.items()} == {"train": 30, "val": 10}
    for records in names.values():
        for record in records.values():
            assert 1 <= len(record.regions) <= 3
            assert all(mask.any() for mask in masks_of(record))
            assert record.meta["background"] == "noise"
            assert all(x % 4 == 0 for region in record.regions for x in region.box)


def test_no_thing_of_train_is_in_val(pasted):
    train, val = sources(pasted / "train"), sources(pasted / "val")
    assert len(train) > 10
    assert len(val) > 3
    assert not train & val


def test_the_manifest_names_the_labels_and_what_was_left_out(pasted):
    manifest = read_manifest(pasted / "train")
    shown = {r.label for record in imported(pasted / "train").values() for r in record.regions}
    assert shown <= set(manifest["classes"])
    assert set(manifest["drops"]) >= {"touched", "small"}


def test_the_same_settings_give_the_same_bytes_and_another_seed_others(pasted, depth, tmp_path):
    prepared("pasted", tmp_path / "again", objects=depth, **KEYS)
    prepared("pasted", tmp_path / "other", objects=depth, seed=1, **KEYS)
    for split in ("train", "val"):
        given = [folder / split / "shard-000000.tar" for folder in (pasted, tmp_path / "again")]
        assert filecmp.cmp(*given, shallow=False)
        other = tmp_path / "other" / split / "shard-000000.tar"
        assert not filecmp.cmp(given[0], other, shallow=False)


def test_what_is_pasted_can_be_cut_out_again(pasted, tmp_path):
    given = {"objects": pasted / "train", "count": 4, "val": 0, "objects_at_most": 1}
    prepared("pasted", tmp_path / "b", **given)
    assert sources(tmp_path / "b/train") <= set(imported(pasted / "train"))


def test_without_val_and_where_its_share_is_of_no_picture_there_is_only_train(depth, tmp_path):
    for name, val in (("a", 0), ("b", 0.2)):
        prepared("pasted", tmp_path / name, objects=depth, count=4, val=val)
        assert [p.name for p in (tmp_path / name).iterdir() if p.is_dir()] == ["train"]


@NEEDS_MINI
def test_things_of_photographs_are_pasted_onto_photographs_of_the_same_split(tmp_path):
    instances = f"{MINI}/annotations/instances_train2017.json"
    prepared("coco", tmp_path / "in", images=f"{MINI}/train2017", instances=instances, masks="true")
    shards = tmp_path / "in/train"
    prepared("pasted", tmp_path / "out", objects=shards, backgrounds=shards, size=128, **KEYS)
    photos, seen = imported(shards), {}
    for split in ("train", "val"):
        records = imported(tmp_path / "out" / split).values()
        grounds = {record.meta["background"] for record in records}
        seen[split] = grounds | sources(tmp_path / "out" / split)
        for record in records:
            shown = {region.label for region in photos[record.meta["background"]].regions}
            assert not shown & {region.label for region in record.regions}
            assert record.meta["license"]  # numbers of COCO's are no words
    assert seen["train"] | seen["val"] <= set(photos)
    assert not seen["train"] & seen["val"]


NAMES = ("ball", "cup")
BAD = {
    "count=0: give the number of pictures, 1 or more": ["count=0"],
    "val=1.0 is not a share": ["val=1.0"],
    "per_label=0: give a number": ["per_label=0"],
    "pixels_at_least=0: give a number": ["pixels_at_least=0"],
    "size=64 must be a multiple": ["grid=13"],
    "no whole number of cells of grid=16": ["sizes=[[0.01,0.05]]", "objects_at_most=1"],
    "train has things of 2 labels that fit among 3": ["val=0"],
    "train has none of 1 pictures": ["objects_at_most=1", "val=0.3", "backgrounds={}/one"],
}


@pytest.mark.parametrize("says", BAD)
def test_what_is_wrong_is_told_in_one_line_and_nothing_is_written(tmp_path, says):
    records = [two_discs(str(i), *NAMES) for i in range(8)]
    write_shards(records, tmp_path / "in", samples_per_shard=9)
    write_shards([two_discs("x", *NAMES)], tmp_path / "one", samples_per_shard=9)
    given = [word.format(tmp_path) for word in BAD[says]]
    with pytest.raises(UserError, match=says) as error:
        main(["import=pasted", f"objects={tmp_path}/in", f"out={tmp_path}/out", *given])
    assert "\n" not in str(error.value)
    assert not list(tmp_path.glob("out*"))


def test_shards_without_masks_are_refused(tmp_path):
    record = scrap("0", [("ball", None, (0, 0, 0))], boxes={0: (5, 5, 50, 50)})
    write_shards([record], tmp_path / "in", samples_per_shard=9)
    with pytest.raises(UserError, match="no region of 1 samples has a mask"):
        prepared("pasted", tmp_path / "out", objects=tmp_path / "in")
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize(("key", "value"), [("count", -3), ("count", True), ("seed", -1)])
def test_who_calls_it_is_told_as_well(tmp_path, key, value):
    given = {"objects": "in", "count": 4, "sizes": [[0.3, 0.9]] * 3, key: value}
    with pytest.raises(UserError, match=f"^{key}={value}: "):
        write_pasted(tmp_path / "out", **given)
