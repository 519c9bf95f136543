"""Schema `cloc-regions/1` from raw members to a record."""

import pytest

from cloc.data.shards.reader import read_samples
from cloc.data.shards.shard_set import open_shards
from cloc.data.sources.cloc_regions import parse
from cloc.errors import BadSample
from tests.helpers.shards import make_record, make_shards


def test_a_two_sample_shard_comes_back_as_it_was_written(tmp_path):
    folder = make_shards(tmp_path / "set", shards=1, each=2)
    raw = read_samples(open_shards(folder, key="k"), key="k")
    assert [parse(sample) for sample in raw] == [make_record(0), make_record(1)]


def test_a_jpeg_member_is_a_jpg_record():
    text = b'{"schema": "cloc-regions/1", "width": 3, "height": 2}'
    record = parse({"__key__": "k", "__url__": "a.tar", "jpeg": b"x", "json": text})
    assert (record.extension, record.width, record.height) == ("jpg", 3, 2)
    assert (record.captions, record.regions) == ((), ())


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ("[5, 1, 2, 4]", "box_reversed"),
        ("[1, 1, NaN, 4]", "box_not_finite"),
        ("[1, 1, 1e999, 4]", "box_not_finite"),
    ],
)
def test_a_bad_box_names_shard_and_key_and_goes_alone(box, reason):
    text = '{"schema": "cloc-regions/1", "width": 9, "height": 9, "regions": [{"text": "a", "box": '
    sample = {"__key__": "k", "__url__": "a.tar", "png": b"x", "json": f"{text}{box}}}]}}".encode()}
    record = parse(sample)
    assert record.regions == ()
    [problem] = record.problems
    assert problem.reason == reason
    assert problem.message.startswith("a.tar::k: region 0: box ")


def test_an_annotation_that_cannot_be_used_names_shard_and_key():
    with pytest.raises(BadSample, match=r"^a\.tar::k: the annotation is not JSON") as error:
        parse({"__key__": "k", "__url__": "a.tar", "png": b"x", "json": b"\x80"})
    assert error.value.reason == "annotation"


def test_no_json_says_how_plain_shards_are_read():
    with pytest.raises(
        BadSample, match=r"^a\.tar::k: no json member; .*caption_only\.parse"
    ) as error:
        parse({"__key__": "k", "__url__": "a.tar", "png": b"x", "txt": b"hello"})
    assert error.value.reason == "members"
