"""Plain image-text shards from raw members to a record."""

import pytest

from cloc.data.record import Caption
from cloc.data.sources.caption_only import parse
from cloc.errors import UserError
from tests.helpers.shards import encode, flat

RAW = {"__key__": "k", "__url__": "a.tar", "jpg": encode(flat(30, 20), "JPEG")}


def test_one_caption_no_regions_and_the_size_from_the_header():
    record = parse({**RAW, "txt": " Ein Bär\n".encode(), "json": b"img2dataset writes one too"})
    assert (record.width, record.height, record.extension) == (30, 20, "jpg")
    assert (record.captions, record.regions) == ((Caption("Ein Bär"),), ())


def test_blank_text_is_no_caption():
    assert parse({**RAW, "txt": b" \n"}).captions == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "no txt member; .*cloc_regions.parse"),
        ({"txt": b"\xff\xfe"}, "the caption is not UTF-8"),
        ({"txt": b"a", "jpg": b"<html>"}, "not an image"),
    ],
)
def test_a_bad_sample_names_shard_and_key(change, words):
    with pytest.raises(UserError, match=rf"^a\.tar::k: {words}"):
        parse({**RAW, **change})
