"""What importers of captioned sets share: keys, texts, boxes of fractions, fields, pictures."""

from collections import Counter

import pytest

from cloc.data.samples.record import Caption, Record
from cloc.errors import BadSample, UserError
from data_prep.importers.shared.captioned import (
    Fields,
    at_most,
    attempts,
    box_of_fractions,
    captions_of,
    check_choice,
    held_out,
    phrase_of,
    picture_below,
    sample_key,
)
from data_prep.importers.shared.frames import Frame
from data_prep.importing import Picture
from tests.data_prep.importers.written import jpeg
from tests.helpers.shards import encode, flat

PICTURE = Picture(b"", "jpg", 40, 30)


def test_a_key_is_the_path_without_its_extension_and_without_dots():
    assert sample_key("a.jpg") == "a"
    assert sample_key("v1.0/b c.d.JPG") == "v1_0/b c_d"
    for name in ("__x__/a.jpg", "/a.jpg", "", "\udcff.jpg"):
        with pytest.raises(BadSample, match="cannot be the key of a sample") as error:
            sample_key(name)
        assert error.value.reason == "key"


def test_captions_are_one_line_each_and_what_no_shard_takes_is_counted():
    drops = Counter()
    assert captions_of(" a\n cat ", "x", drops) == (Caption("a cat", "x"),)
    assert captions_of(None, "x", drops) == ()
    assert not drops
    assert captions_of(["", 3, "\ud800", "y" * 10_001, "cat"], "x", drops) == (Caption("cat", "x"),)
    assert len(captions_of(["cat"] * 101, "x", drops)) == 100
    assert drops == {"caption": 5}


def test_a_phrase_is_one_line_or_counted():
    drops = Counter()
    assert phrase_of(" a\tcat ", drops) == "a cat"
    assert [phrase_of(text, drops) for text in ("", None, "\ud800", "x" * 1001)] == [""] * 4
    assert drops == {"text": 4}


def test_fractions_become_pixels_of_the_picture():
    drops = Counter()
    assert box_of_fractions([0.25, "0.5", 1.5, 1], Frame(PICTURE), "x", drops) == (10, 15, 40, 30)
    assert not drops
    for given in (None, [0.1], [0, 0, 1, 1, 1], [0, 0, None, 1], [0, 0, float("nan"), 1]):
        assert box_of_fractions(given, Frame(PICTURE), "x", drops) is None
    assert drops == {"box_shape": 3, "box_not_finite": 2}


def test_more_than_a_shard_takes_is_counted():
    drops = Counter()
    assert at_most([1, 2, 3], 2, "region", drops) == (1, 2)
    assert drops == {"region": 1}


def test_a_picture_lies_below_its_folder_and_can_be_loaded(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "a.jpg").write_bytes(jpeg())
    (tmp_path / "in/b.png").write_bytes(encode(flat(20, 10)))
    assert picture_below(tmp_path / "in", "b.png", cure="x")[1:] == ("png", 20, 10)
    for name in ("../a.jpg", str(tmp_path / "a.jpg"), "b.png\0"):
        with pytest.raises(BadSample, match=r"does not lie in .*; get it") as error:
            picture_below(tmp_path / "in", name, cure="get it")
        assert error.value.reason == "missing"
    cut = encode(flat(20, 10))[:-20]
    (tmp_path / "in/b.png").write_bytes(cut)
    with pytest.raises(BadSample, match="a PNG that is cut"):
        picture_below(tmp_path / "in", "b.png", cure="x")


def test_what_cannot_be_made_is_handed_on():
    def make(number):
        if number == 2:
            raise BadSample("two", "it is two")
        return Record(str(number), b"", "jpg", 1, 1)

    bad = BadSample("bad", "already")
    found = list(attempts([1, bad, 2, 3], make))
    assert [x.key if isinstance(x, Record) else x.reason for x in found] == ["1", "bad", "two", "3"]


def test_splits_share_the_keys_and_count_on_their_own():
    def read(is_ours, drops):
        for key in map(str, range(50)):
            if is_ours(key):
                drops["seen"] += 1
                yield Record(key, b"", "jpg", 1, 1)

    splits = held_out(read, val=0.3, budget=0)
    keys = {name: {r.key for r in split.records} for name, split in splits.items()}
    assert keys["train"] | keys["val"] == set(map(str, range(50)))
    assert not keys["train"] & keys["val"]
    assert {name: s.drops["seen"] for name, s in splits.items()} == {
        name: len(found) for name, found in keys.items()
    }
    assert [*held_out(read, val=0, budget=0)] == ["train"]
    with pytest.raises(UserError, match="val=2 is not a share"):
        held_out(read, val=2, budget=0)


@pytest.mark.parametrize("budget", [2, -0.1, float("nan"), "few"])
def test_a_budget_is_a_share(budget):
    with pytest.raises(UserError, match=f"budget={budget} is not a share of the samples; give 0"):
        held_out(lambda is_ours, drops: [], val=0, budget=budget)


def test_fields_are_those_asked_for_without_null_and_without_what_no_shard_takes():
    fields, drops = Fields(["a", "b"], key="keep"), Counter()
    assert fields.of({"a": 1, "b": None, "c": 2}, drops) == {"a": 1}
    assert fields.of({"a": float("inf"), "b": "\ud800"}, drops) == {}
    assert drops == {"meta": 2}
    fields.check()


def test_a_field_that_nothing_has_is_told_at_the_end_or_after_a_thousand():
    fields, drops = Fields(["a", "oops"], key="keep"), Counter()
    fields.of({"a": 1}, drops)
    with pytest.raises(UserError, match=r"keep: none of 1 samples has a field 'oops', .* had a;"):
        fields.check()
    for _ in range(998):
        fields.of({"a": 1}, drops)
    with pytest.raises(UserError, match="keep: none of 1000 samples"):
        fields.of({"a": 1}, drops)


def test_a_choice_is_of_the_known_names():
    check_choice(["a"], ("a", "b"), key="spans")
    for given, says in ((["c"], "'c'"), ([], "an empty list")):
        with pytest.raises(UserError, match=f"spans: {says} is not known; name some of a, b"):
            check_choice(given, ("a", "b"), key="spans")
