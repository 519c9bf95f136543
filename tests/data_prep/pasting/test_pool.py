"""What is pasted: of one split by the key of its picture, enough of it, and small in memory."""

import pytest

from cloc.data.shards.index import write_index
from cloc.data.shards.writer import write_shards
from cloc.errors import UserError
from data_prep.pasting.pool import check_enough, read_pools, read_records, split_of
from data_prep.pasting.raster import raster
from tests.data_prep.pasting.scraps import scrap, two_discs
from tests.helpers.shards import write_tar

LINES = raster(32, 16, sizes=[[0.3, 0.9], [0.2, 0.6]], at_least=1, at_most=2)


def pools(folder, records, *, val=0.3, per_label=500):
    write_shards(records, folder / "in", samples_per_shard=100)
    return read_pools(str(folder / "in"), LINES, val=val, at_least=64, per_label=per_label)


def test_all_things_of_a_picture_are_in_the_split_of_its_key(tmp_path):
    found = pools(tmp_path, [two_discs(f"{i}", "ball", "cup") for i in range(30)])
    keys = {
        split: {thing.key for things in pool.things.values() for thing in things}
        for split, pool in found.items()
    }
    assert keys["train"] | keys["val"] == {str(i) for i in range(30)}
    assert not keys["train"] & keys["val"]
    assert all(split_of(key, val=0.3) == split for split in keys for key in keys[split])
    assert 3 <= len(keys["val"]) <= 16


def test_of_a_label_the_first_ones_are_kept(tmp_path):
    records = [two_discs(f"{i}", "ball", "cup") for i in range(5)]
    pool = pools(tmp_path, records, val=0.0, per_label=2)["train"]
    assert {label: [x.key for x in things] for label, things in pool.things.items()} == {
        "ball": ["0", "1"],
        "cup": ["0", "1"],
    }
    assert pool.drops == {"per_label": 6}


def test_what_is_kept_is_no_larger_than_a_picture(tmp_path):
    pool = pools(tmp_path, [two_discs("0", "ball", "cup")], val=0.0)["train"]
    (cup,) = pool.things["cup"]
    assert cup.size == (32, 32)
    assert (cup.pixels[16, 16] == (0, 0, 200, 255)).all()


def test_what_fits_is_by_label_in_order(tmp_path):
    pool = pools(tmp_path, [two_discs("0", "cup", "ball")], val=0.0)["train"]
    found = pool.fitting(LINES, 2)
    assert list(found) == ["ball", "cup"]
    assert all(fitting.shapes for able in found.values() for fitting in able)


def test_shards_without_any_mask_are_refused(tmp_path):
    record = scrap("0", [("ball", None, (0, 0, 0))], boxes={0: (5, 5, 50, 50)})
    with pytest.raises(UserError, match="no region of 1 samples has a mask; write the shards with"):
        pools(tmp_path, [record])


def test_too_few_labels_are_refused_with_what_was_left_out(tmp_path):
    found = pools(tmp_path, [two_discs("0", "ball", "ball"), two_discs("1", "", "")], val=0.0)
    with pytest.raises(UserError) as error:
        check_enough({"train": found["train"]}, LINES, objects="in")
    assert str(error.value) == (
        "objects=in: train has things of 1 labels that fit among 2, 2 are needed (left out: "
        "2 label); give more shards, a lower pixels_at_least, smaller sizes or another val"
    )


def test_plain_captions_are_no_objects(tmp_path):
    image = two_discs("0", "a", "b").image
    write_index(write_tar(tmp_path / "a.tar", {"a.png": image, "a.txt": b"a dog"}))
    with pytest.raises(UserError, match=r"a\.tar::a: no json member"):
        list(read_records(str(tmp_path / "a.tar"), key="objects"))
