"""Plain image-text shards from raw members to a record."""

import io
import json

import PIL.Image
import pytest

from cloc.data.samples.record import Caption
from cloc.data.samples.validate import MAX_CAPTION_CHARS
from cloc.data.sources.caption_only import parse
from cloc.errors import BadSample, UserError
from tests.helpers.shards import encode, flat

RAW = {"__key__": "k", "__url__": "a.tar", "jpg": encode(flat(30, 20), "JPEG")}


def test_one_caption_no_regions_and_the_size_from_the_header():
    record = parse({**RAW, "txt": " Ein Bär\n".encode(), "json": b"img2dataset writes one too"})
    assert (record.width, record.height, record.extension) == (30, 20, "jpg")
    assert (record.captions, record.regions) == ((Caption("Ein Bär"),), ())


def test_blank_text_is_no_caption():
    assert parse({**RAW, "txt": b" \n"}).captions == ()


@pytest.mark.parametrize("txt", [None, b" \n"])
def test_without_a_txt_the_caption_of_the_json_is_one(txt):
    """Where img2dataset keeps it; null is a picture that it had none for."""
    raw = {**RAW, "json": json.dumps({"key": "k", "caption": " Ein Bär\n"}).encode()}
    raw |= {} if txt is None else {"txt": txt}
    assert parse(raw).captions == (Caption("Ein Bär"),)
    assert parse({**raw, "json": b'{"caption": null}'}).captions == ()


def test_a_txt_counts_before_a_json():
    assert parse({**RAW, "txt": b"a", "json": b'{"caption": "b"}'}).captions == (Caption("a"),)
    assert parse({**RAW, "txt": b" ", "json": b"{}"}).captions == ()


def test_control_characters_and_a_byte_order_mark_become_spaces_or_go():
    assert parse({**RAW, "txt": b"\xef\xbb\xbfa\x00\x1bb\r\n"}).captions == (Caption("a b"),)
    assert parse({**RAW, "txt": "it\x92s".encode()}).captions == (Caption("it's"),)
    assert parse({**RAW, "txt": b"\x00\x01"}).captions == ()


def test_a_caption_is_cleaned_and_one_without_words_is_told():
    record = parse({**RAW, "txt": b"<b>red star</b> &amp; blue\xe2\x80\xa8ring https://x.org"})
    assert (record.captions, record.problems) == ((Caption("red star & blue ring"),), ())
    record = parse({**RAW, "txt": b"<br> https://x.org"})
    [(reason, source, line)] = record.problems
    assert (record.captions, reason, source) == ((), "caption", "")
    assert line.startswith(
        "a.tar::k: the caption '<br> https://x.org' has no words; fix or drop it"
    )


def test_a_caption_may_be_as_long_as_the_cap():
    text = "犬" * MAX_CAPTION_CHARS
    assert parse({**RAW, "txt": text.encode()}).captions == (Caption(text),)


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        ({}, "members", r"no txt member; its members are 'k\.jpg'; add one"),
        ({"json": b"{}"}, "members", "no txt member, and no caption in the json; .*cloc_regions.p"),
        ({"json": b"[]"}, "members", "no txt member, and no caption in the json"),
        ({"json": b"{"}, "caption", "the json is no JSON"),
        ({"json": b'{"caption": 3}'}, "caption", "caption of the json is 3, expected a text; fix"),
        ({"txt": "a red star".encode("utf-16")}, "caption", "the caption is not UTF-8"),
        (
            {"txt": "a red star".encode("utf-16-le")},
            "caption",
            "the caption is not UTF-8 .*as in UTF-16",
        ),
        ({"txt": "a café".encode("latin-1")}, "caption", "the caption is not UTF-8"),
        ({"txt": b"\xff\xfe"}, "caption", "the caption is not UTF-8 .*; fix or drop it"),
        ({"txt": b"\xed\xa0\x80"}, "caption", "the caption is not UTF-8"),  # half a surrogate pair
        ({"txt": b"x" * 10_001}, "caption", "the caption has 10,001 characters, at most 10,000"),
        ({"txt": b"\xff" * 40_001}, "caption", "the caption has 40,001 bytes, at most 40,000"),
    ],
)
def test_a_bad_caption_names_shard_and_key(change, reason, words):
    with pytest.raises(BadSample, match=rf"^a\.tar::k: {words}") as error:
        parse({**RAW, **change})
    assert error.value.reason == reason


def test_a_bad_image_names_shard_and_key():
    with pytest.raises(UserError, match=r"^a\.tar::k: not an image"):
        parse({**RAW, "txt": b"a", "jpg": b"<html>"})


def test_a_picture_is_shown_as_people_see_it_who_write_captions():
    exif, file = PIL.Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    PIL.Image.fromarray(flat(30, 20)).save(file, "JPEG", exif=exif)
    turned = parse({**RAW, "jpg": file.getvalue(), "txt": b"a cat"})
    assert (turned.width, turned.height, turned.orientation) == (30, 20, 6)
    assert parse({**RAW, "txt": b"a cat"}).orientation == 1


def test_of_two_captions_of_one_json_none_wins():
    sample = {**RAW, "json": b'{"caption": "a cat", "caption": "a dog"}'}
    with pytest.raises(
        BadSample, match="'caption' occurs twice in one object, as 'a cat' and 'a d"
    ):
        parse(sample)
