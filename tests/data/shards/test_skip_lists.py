"""What a run leaves out on purpose: list files, what their entries name, sets with gaps."""

import shutil

import numpy as np
import pytest

from cloc.data.shards.shard_set import open_recorded
from cloc.data.shards.skip_lists import Listed, ShardNames, Skips, read_list, whole_list
from cloc.data.stream.order import Shuffle
from cloc.errors import UserError
from tests.helpers.loaders import BATCH, loader
from tests.helpers.shards import make_shards

SHARDS, EACH = 4, 7


@pytest.fixture
def folder(tmp_path):
    return make_shards(tmp_path / "set", shards=SHARDS, each=EACH)


def listed(tmp_path, *lines, name="skip.txt"):
    path = tmp_path / name
    path.write_text("".join(f"{line}\n" for line in lines))
    return str(path)


def test_a_list_has_an_entry_a_line_whatever_ends_it(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeff# why\r\na\u2028b\rc d \n\n\tc d\n\x0be\n".encode())
    assert read_list(str(path), key="k") == ["a\u2028b", "c d", "\x0be"]
    assert read_list(None, key="k") == []


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, r"data\.skip_keys=.*a\.txt cannot be read \(No such file"),
        ("a".encode("utf-16"), r"data\.skip_keys=.*a\.txt is not text in UTF-8"),
    ],
)
def test_a_list_that_cannot_be_read_is_named(tmp_path, content, says):
    if content is not None:
        (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(UserError, match=says):
        Skips(keys=str(tmp_path / "a.txt"))
    with pytest.raises(UserError, match=r"skip_shards=\['a'\]: give the name of a file"):
        Skips(shards=["a"])


@pytest.mark.parametrize(
    ("entry", "path", "is_it"),
    [
        ("s.tar", "/x/train/s.tar", True),
        ("train/s.tar", "/x/train/s.tar", True),
        ("./train/s.tar", "/x/train/s.tar", True),
        ("/x/train/s.tar", "/x/train/s.tar", True),
        ("ain/s.tar", "/x/train/s.tar", False),
        ("/train/s.tar", "/x/train/s.tar", False),
        ("s.tar", "/x/train/ss.tar", False),
        ("b/s.tar", "s3://b/s.tar", True),
        ("s3://b/s.tar", "s3://b/s.tar", True),
        ("s3://c/s.tar", "s3://b/s.tar", False),
    ],
)
def test_a_shard_is_named_by_the_end_of_its_path(entry, path, is_it):
    assert bool(ShardNames([entry])(path)) == is_it


def test_a_path_may_be_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert ShardNames([f"{tmp_path}/a/s.tar"])("a/s.tar")
    assert ShardNames([f"../{tmp_path.name}/a/s.tar"])("a/s.tar")


def test_a_key_stands_alone_or_behind_its_shard(tmp_path):
    skips = Skips(keys=listed(tmp_path, "a", "x/s.tar::b", "s.tar::c::d"))
    assert skips.entry("/y/t.tar", "a") == "a"
    assert skips.entry("/y/x/s.tar", "b") == "x/s.tar::b"
    assert skips.entry("/y/s.tar", "b") is None
    assert skips.entry("/y/s.tar", "c::d") == "s.tar::c::d"
    assert Skips().entry("/y/t.tar", "a") is None


def test_a_place_stands_behind_its_shard_and_is_no_key(tmp_path):
    skips = Skips(keys=listed(tmp_path, "#4", "x/s.tar::#3", "s.tar::#x"))
    assert skips.at("/y/x/s.tar", 3) == "x/s.tar::#3"
    assert [skips.at("/y/x/s.tar", 4), skips.at("/y/s.tar", 3)] == [None, None]
    assert [skips.entry("/y/x/s.tar", key) for key in ("#3", "#4")] == [None, None]
    assert skips.entry("/y/s.tar", "#x") == "s.tar::#x"


def test_a_sample_whose_header_is_damaged_is_skipped_by_what_its_message_says(folder, tmp_path):
    shards, _ = open_recorded(folder, key="data.train")
    path = folder / "shard-000001.tar"
    offsets = np.fromfile(path.with_suffix(".idx"), "<u8")
    content = bytearray(path.read_bytes())
    content[int(offsets[2]) : int(offsets[2]) + 100] = b"x" * 100
    whole = list(loader(shards))
    path.write_bytes(content)
    with pytest.raises(UserError, match="not a tar header") as error:
        list(loader(shards, budget=0.0))
    entry = str(error.value).split(" of ")[0]
    assert entry == f"{path}::#2"
    ours = loader(shards, skips=Skips(keys=listed(tmp_path, entry)), budget=0.0)
    assert assert_blank_where(ours, whole, {f"{EACH + 2:05d}"}.__contains__) > 0
    assert ours.tally.met == {entry}


def test_a_batch_says_where_its_samples_are_from_and_that_takes_them_out(folder, tmp_path):
    shards, _ = open_recorded(folder, key="data.train")
    batch = next(iter(loader(shards)))
    assert [origin.rpartition("::")[2] for origin in batch.origins] == list(batch.keys)
    ours = next(iter(loader(shards, skips=Skips(keys=listed(tmp_path, *batch.origins)))))
    assert {*ours.keys, *ours.origins} == {""}


def test_entries_that_name_nothing_are_told_and_those_that_name_two_refused(tmp_path):
    shards = listed(tmp_path, "a.tar", "c.tar", name="shards.txt")
    keys = listed(tmp_path, "b.tar::1", "z.tar::1", "alone", name="keys.txt")
    skips = Skips(shards, keys)
    assert skips.check(["/x/a.tar", "/x/b.tar", "/x/a.tar"]) == [
        f"data.skip_shards={shards}: no shard is c.tar",
        f"data.skip_keys={keys}: no shard is z.tar",
    ]
    with pytest.raises(UserError, match=r"a\.tar names /x/a\.tar and /y/a\.tar; write more of"):
        skips.check(["/x/a.tar", "/y/a.tar"])
    assert Skips().check(iter(())) == []
    assert skips.unmet({"alone"}) == (f"data.skip_keys={keys}: no sample is b.tar::1, z.tar::1")
    assert skips.unmet({"alone", "b.tar::1", "z.tar::1"}) == ""


def assert_blank_where(found, whole, is_skipped):
    """Bit by bit the batches of the run without a list, but for rows of the samples given."""
    rows = 0
    for ours, theirs in zip(found, whole, strict=True):
        for row, key in enumerate(theirs.keys):
            if is_skipped(key):
                rows += 1
                assert ours.keys[row] == ""
                assert not ours.caption_valid[row]
                assert not ours.valid[row].any()
                continue
            assert ours.keys[row] == key
            assert (ours.images[row] == theirs.images[row]).all()
            assert (ours.captions[row] == theirs.captions[row]).all()
            assert (ours.boxes[row] == theirs.boxes[row]).all()
    return rows


@pytest.mark.parametrize("spec", ["folder", "glob", "braces", "list"])
def test_a_skipped_shard_leaves_blank_rows_and_may_be_gone(folder, tmp_path, spec):
    spec = {
        "folder": str(folder),
        "glob": f"{folder}/*.tar",
        "braces": f"{folder}/shard-00000{{0..3}}.tar",
        "list": [f"{folder}/shard-00000{i}.tar" for i in range(4)],
    }[spec]
    before, record = open_recorded(spec, key="data.train")
    whole = list(loader(before))
    for suffix in ("tar", "idx"):
        (folder / f"shard-000001.{suffix}").unlink()
    names = Skips(listed(tmp_path, "shard-000001.tar")).shards
    now, again = open_recorded(spec, key="data.train", skip=names, before=record)
    assert (now.digest, now.skipped, again) == (before.digest, {1}, record)
    ours = loader(now, budget=0.0)
    skipped = {f"{i:05d}" for i in range(EACH, 2 * EACH)}
    rows = assert_blank_where(ours, whole, skipped.__contains__)
    assert ours.tally.skipped == rows > 10
    assert (ours.tally.counts, ours.tally.samples) == ({}, 12 * BATCH)


def test_a_skipped_key_leaves_a_blank_row_in_every_epoch(folder, tmp_path):
    shards, _ = open_recorded(folder, key="data.train")
    whole = list(loader(shards))
    skips = Skips(keys=listed(tmp_path, "00003", "shard-000001.tar::00010", "nobody"))
    ours = loader(shards, skips=skips, budget=0.0)
    rows = assert_blank_where(ours, whole, {"00003", "00010"}.__contains__)
    assert ours.tally.skipped == rows >= 4
    assert "nobody" in skips.unmet(ours.tally.met)
    assert "0003" not in skips.unmet(ours.tally.met)


def test_a_skipped_shard_counts_as_when_the_run_began_although_it_is_cut_now(folder, tmp_path):
    spec = f"{folder}/*.tar"
    before, record = open_recorded(spec, key="k")
    path = folder / "shard-000002.tar"
    path.write_bytes(path.read_bytes()[:1000])
    names = ShardNames(["shard-000002.tar"])
    assert open_recorded(spec, key="k", skip=names, before=record)[0].digest == before.digest
    assert open_recorded(spec, key="k", skip=names)[0].digest != before.digest
    other = ShardNames(["shard-000001.tar"])
    assert open_recorded(spec, key="k", skip=other, before=record)[0].digest != before.digest


def test_what_was_never_whole_counts_as_empty():
    def measure(path):
        if path == "b":
            raise UserError("no index")
        return 5, 10

    names = ShardNames(["b"])
    found = whole_list(["a", "b", "c"], names, [], measure)
    assert found == [Listed("a", 5, 10), Listed("b", 0, 0), Listed("c", 5, 10)]
    with pytest.raises(UserError, match="no index"):
        whole_list(["a", "b"], ShardNames(), [], measure)


def test_a_set_that_was_moved_and_lacks_shards_at_both_ends_is_the_same():
    before = [Listed(f"old/{name}", 5, 10) for name in "abcde"]
    names = ShardNames(["a", "c", "e"])
    found = whole_list(["new/b", "new/d"], names, before, lambda path: (5, 10))
    assert [path for path, *_ in found] == ["old/a", "new/b", "old/c", "new/d", "old/e"]


def test_a_list_that_leaves_nothing_is_refused(folder):
    names = ShardNames(f"shard-00000{i}.tar" for i in range(SHARDS))
    with pytest.raises(
        UserError, match=r"data.train=.*: no samples in 4 shards but those of data\.skip_shards"
    ):
        open_recorded(folder, key="data.train", skip=names)


def test_order_knows_nothing_of_skips(folder):
    """The places of a run follow from the counts alone, which a list does not change."""
    names = ShardNames(["shard-000000.tar"])
    plain, _ = open_recorded(folder, key="k")
    gaps, _ = open_recorded(folder, key="k", skip=names)
    assert np.array_equal(plain.counts, gaps.counts)
    assert Shuffle() == Shuffle()


DAYS = ("day0", "day1", "day2", "day3")


@pytest.fixture
def days(tmp_path):
    """Shards of one name in several folders, none of the same size, and nothing that lists them."""
    for number, day in enumerate(DAYS):
        make_shards(tmp_path / "dd" / day, shards=1, each=EACH + number)
        (tmp_path / "dd" / day / "manifest.json").unlink()
    return tmp_path / "dd"


def gone_on(spec, record, *entries):
    """What is found of the set where these are skipped."""
    return open_recorded(spec, key="data.train", skip=ShardNames(entries), before=record)[0]


@pytest.mark.parametrize("where", ["dd", "moved", "moved/deeper"])
@pytest.mark.parametrize("lost", [(0,), (1,), (3,), (0, 2), (1, 2, 3)])
def test_a_lost_shard_is_told_from_others_of_its_name(days, tmp_path, where, lost):
    before, record = open_recorded(f"{days}/day*/*.tar", key="data.train")
    place = tmp_path / where
    if place != days:
        place.parent.mkdir(exist_ok=True)
        days.rename(place)
    for i in lost:
        shutil.rmtree(place / DAYS[i])
    spec, names = f"{place}/day*/*.tar", [f"{DAYS[i]}/shard-000000.tar" for i in lost]
    for folder in ("", f"{place}/", f"{days}/"):
        now = gone_on(spec, record, *(f"{folder}{name}" for name in names))
        assert (now.digest, now.skipped) == (before.digest, set(lost))
        there = [now.paths[i] for i in range(len(DAYS)) if i not in lost]
        assert there == sorted(map(str, place.glob("day*/*.tar")))
    assert gone_on(spec, record).digest != before.digest


def test_of_one_shard_that_is_gone_and_one_of_its_name_that_is_not_both_may_be_skipped(days):
    spec = f"{days}/day*/*.tar"
    before, record = open_recorded(spec, key="data.train")
    shutil.rmtree(days / "day1")
    now = gone_on(spec, record, "day1/shard-000000.tar", "day2/shard-000000.tar")
    assert (now.digest, now.skipped) == (before.digest, {1, 2})
    assert [now.paths[i] for i in range(4)] == [f"{days}/{day}/shard-000000.tar" for day in DAYS]


def test_folders_may_have_other_names_while_no_shard_is_gone(days):
    before, record = open_recorded(f"{days}/day*/*.tar", key="data.train")
    for day in DAYS:
        (days / day).rename(days / f"x-{day}")
    assert gone_on(f"{days}/x-*/*.tar", record).digest == before.digest


@pytest.mark.parametrize("how", ["folder", "shard"])
@pytest.mark.parametrize(
    "spec",
    [
        "{0}/day{{0,1,2,3}}/*.tar",
        ["{0}/day0/*.tar", "{0}/day1/*.tar", "{0}/day2/*.tar", "{0}/day3/*.tar"],
        ["{0}/day0", "{0}/day1", "{0}/day2", "{0}/day3"],
        ["{0}/day0", "{0}/day1/shard-000000.tar", "{0}/day2", "{0}/day3/*.tar"],
    ],
)
def test_a_part_of_which_nothing_is_left_keeps_its_places(days, spec, how):
    whole = [part.format(days) for part in ([spec] if isinstance(spec, str) else spec)]
    before, record = open_recorded(whole, key="data.train")
    if how == "folder":
        shutil.rmtree(days / "day1")
    else:
        (days / "day1/shard-000000.tar").unlink()
    now = gone_on(whole, record, "day1/shard-000000.tar")
    assert (now.digest, now.skipped) == (before.digest, {1})
    with pytest.raises(UserError, match=r"day1.*, or list in data\.skip_shards=FILE what to go on"):
        gone_on(whole, record, "day2/shard-000000.tar")
    if "*" in whole[1 % len(whole)]:  # of which no list says what was there
        with pytest.raises(UserError, match=r"day1/\*\.tar; .* that exists$"):
            gone_on(whole, None, "day1/shard-000000.tar")
