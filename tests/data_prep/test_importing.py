"""What importers share: pictures, boxes, words, the held-out side, the budget and the writing."""

import io
from collections import Counter

import PIL.Image
import pytest

from cloc.data.samples.record import Record
from cloc.data.shards.manifest import read_manifest
from cloc.errors import BadSample, UserError
from data_prep.importing import (
    Split,
    check_share,
    clipped,
    is_held_out,
    read_picture,
    whole,
    words,
    write_splits,
)


def picture(kind="JPEG", size=(40, 30)):
    buffer = io.BytesIO()
    PIL.Image.new("RGB", size).save(buffer, kind)
    return buffer.getvalue()


def record(key):
    return Record(key, picture(), "jpg", 40, 30)


@pytest.mark.parametrize(("kind", "extension"), [("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp")])
def test_a_picture_is_its_own_bytes_with_the_extension_of_its_content(tmp_path, kind, extension):
    path = tmp_path / "a.bin"
    path.write_bytes(picture(kind))
    assert read_picture(path, cure="") == (picture(kind), extension, 40, 30)


def test_a_missing_or_unreadable_picture_is_a_bad_sample_that_says_the_cure(tmp_path):
    with pytest.raises(BadSample, match=r"a\.jpg: .*cannot be read .*; get it") as error:
        read_picture(tmp_path / "a.jpg", cure="get it")
    assert error.value.reason == "missing"
    unknown = r"b\.jpg: not a readable picture \(of a format that Pillow does not know\); get it"
    for content, says in ((b"hello", unknown), (picture("GIF"), "a GIF picture")):
        (tmp_path / "b.jpg").write_bytes(content)
        with pytest.raises(BadSample, match=says) as error:
            read_picture(tmp_path / "b.jpg", cure="get it")
        assert error.value.reason == "picture"


@pytest.mark.parametrize("box", [[0.1, 0.1, 0.4, 0.5], [0, 0, 1, 1], [0.0, 0.0, 1.0, 0.3]])
def test_a_box_of_fractions_taken_for_pixels_is_named(box):
    drops = Counter()
    assert clipped(box, 64, 48, "x", drops) is None
    assert drops == {"box_fraction": 1}


def test_a_box_is_clipped_or_counted_under_its_reason():
    drops = Counter()
    assert clipped([-5, 2, 50, 20], 40, 30, "x", drops) == (0, 2, 40, 20)
    for box in ([5, 5, 5, 9], [50, 0, 60, 9], [1, 1, float("nan"), 5], [3, 3, 3.2, 9], [1, 2]):
        assert clipped(box, 40, 30, "x", drops) is None
    assert drops == {
        **{"box_reversed": 1, "box_outside": 1, "box_not_finite": 1, "box_small": 1},
        "box_shape": 1,
    }


def test_words_are_one_line_and_what_is_no_text_has_none():
    assert words(" a\n cat\x00 sits ") == "a cat sits"
    assert words(None) == words(float("nan")) == words("\x01") == ""


def test_the_held_out_side_is_a_function_of_the_key_and_only_grows():
    keys = [f"{i}" for i in range(2000)]
    small, large = ({k for k in keys if is_held_out(k, share=s)} for s in (0.1, 0.3))
    assert small < large
    assert abs(len(large) - 600) < 100
    assert is_held_out(7, share=0.5) == is_held_out("7", share=0.5)
    with pytest.raises(UserError, match="val=1 is not a share"):
        check_share(1)


def test_bad_samples_are_counted_and_above_the_budget_the_last_one_is_the_error():
    drops = Counter()
    bad = BadSample("missing", "b.jpg: gone")
    found = list(whole([record("a"), bad, record("b")], drops, budget=0.4))
    assert [r.key for r in found] == ["a", "b"]
    assert drops == {"missing": 1}
    with pytest.raises(UserError, match=r"b\.jpg: gone \(1 of 3 samples cannot be used, budget=0"):
        list(whole([record("a"), bad, record("b")], drops, budget=0.2))
    begun = (bad for _ in iter(int, 1))  # endless: it must not be read to its end
    with pytest.raises(UserError, match=r"\(100 of 100 samples"):
        list(whole(begun, drops, budget=0.5))


def test_splits_are_written_with_their_drops_and_classes(tmp_path):
    drops = Counter()

    def records():
        yield record("a")
        drops["crowd"] += 3  # while the records are read

    splits = {"train": Split(records(), drops, 1)}
    manifests = write_splits(
        tmp_path, splits, name="x", samples_per_shard=9, classes={"cat": ["a cat"]}
    )
    assert manifests == {"train": read_manifest(tmp_path / "train")}
    assert manifests["train"]["drops"] == {"crowd": 3}
    assert manifests["train"]["classes"] == {"cat": ["a cat"]}
