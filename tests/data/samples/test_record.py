"""The annotation of a shard: what is written is what is read, and what is wrong is named."""

import json
import math
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloc.data.samples import validate
from cloc.data.samples.record import (
    SCHEMA,
    Caption,
    Problem,
    Record,
    Region,
    from_json,
    refuse_problems,
    to_bytes,
    to_json,
)
from cloc.errors import BadSample

WIDTH, HEIGHT = 64, 48
CLEAN = st.characters(exclude_categories=("Cs", "Cc")) | st.sampled_from("\t\n\r\v\f")
TEXT = st.text(CLEAN, max_size=40)
WORDS = TEXT.filter(str.strip)


@st.composite
def boxes(draw):
    """Anywhere in the image, off the grid of files, often just over 1 px wide or high."""
    ends = []
    for side in (WIDTH, HEIGHT):
        low = draw(st.floats(0, side - 1.01))
        high = draw(st.floats(low + 1.01, side) | st.just(low + 1.01))
        ends.append((low, min(high, side)))
    (x0, x1), (y0, y1) = ends
    return x0, y0, x1, y1


CAPTIONS = st.fixed_dictionaries({"text": WORDS, "source": TEXT})
REGIONS = st.fixed_dictionaries(
    {
        "box": boxes(),
        "text": WORDS,
        "score": st.floats(0, 1),
        "source": TEXT,
        "negatives": st.lists(WORDS, max_size=2).map(tuple),
        "label": TEXT,
    }
)
META = st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.booleans()), max_size=3)


@given(st.lists(CAPTIONS, max_size=2), st.lists(REGIONS, max_size=2), META)
def test_a_record_comes_back_from_its_json(captions, regions, meta):
    record = Record(
        key="a/b",
        image=b"bytes",
        extension="png",
        width=WIDTH,
        height=HEIGHT,
        captions=tuple(Caption(**fields) for fields in captions),
        regions=tuple(Region(**fields) for fields in regions),
        meta=meta,
    )
    again = from_json("a/b", b"bytes", "png", to_bytes(record, "here"), "here")
    assert [region.box for region in again.regions] == [
        tuple(round(x, 2) for x in region.box) for region in record.regions
    ]
    regions = zip(again.regions, record.regions, strict=True)
    again = replace(again, regions=tuple(replace(a, box=b.box) for a, b in regions))
    assert again == record
    assert json.loads(to_bytes(record, "here")) == to_json(record)


def annotation(**changes):
    whole = {"schema": SCHEMA, "width": WIDTH, "height": HEIGHT, "captions": [], "regions": []}
    return json.dumps({**whole, **changes})


def read(text):
    return from_json("key", b"", "jpg", text, "a.tar::key")


def test_boxes_are_written_to_a_hundredth_of_a_pixel():
    record = Record("k", b"", "jpg", 9, 9, regions=(Region((1.23456, 0.005, 2.0, 8.999), "x"),))
    assert to_json(record)["regions"][0]["box"] == [1.23, 0.01, 2.0, 9.0]


def test_what_may_be_missing_or_null():
    record = read(
        annotation(
            captions=[{"text": "a", "source": None}],
            regions=[{"box": [0, 0, 1, 1], "text": "b", "label": None, "negatives": None}],
            meta=None,
        )
    )
    assert record.captions == (Caption("a"),)
    assert record.regions == (Region((0.0, 0.0, 1.0, 1.0), "b"),)
    assert record.regions[0].score == 1
    assert record.meta == {}
    bare = json.dumps({"schema": SCHEMA, "width": 1, "height": 2})
    assert read(bare) == Record("key", b"", "jpg", 1, 2)


def test_boxes_are_clipped_to_the_image():
    region = {"box": [-5, 3, 100, 1000], "text": "b"}
    record = read(annotation(regions=[region]))
    assert record.regions[0].box == (0, 3, WIDTH, HEIGHT)
    assert record.problems == ()


GOOD = {"box": [0, 0, 1, 1], "text": "fine"}


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        ({"box": [0, math.nan, 5, 5]}, "box_not_finite", r"box \[0, nan, 5, 5\] has a coordinate"),
        ({"box": [5, 0, 0, 5]}, "box_reversed", r"box \[5, 0, 0, 5\] is reversed or empty"),
        (
            {"box": [0, 0, 0.5, 0.5]},
            "box_small",
            r"box .* is 0\.50x0\.50 px inside the 64x48 image",
        ),
        ({"box": None}, "box_shape", "box None is not"),
        ({"text": None}, "text", "text is None, expected some words"),
        ({"text": "a\ud800"}, "text", r"text 'a\\ud800' holds '\\ud800', half a surrogate pair"),
        ({"text": "x" * 1001}, "text", "text 'x+... has 1,001 characters, at most 1,000"),
        ({"score": "high"}, "score", "score is 'high', expected a finite number"),
        ({"score": None}, "score", "score is None, expected a finite number"),
        ({"score": math.nan}, "score", "score is nan, expected a finite number"),
        ({"score": True}, "score", "score is True, expected a finite number"),
    ],
)
def test_a_bad_region_goes_alone_and_is_told(change, reason, words):
    bad = {**GOOD, "source": "owl", **change}
    record = read(annotation(regions=[GOOD, bad, {**GOOD, "text": "too"}]))
    assert [region.text for region in record.regions] == ["fine", "too"]
    [problem] = record.problems
    assert (problem.reason, problem.source) == (reason, "owl")
    assert re.match(rf"a\.tar::key: region 1: {words}.*; fix or drop", problem.message)
    assert "\n" not in problem.message


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        ({"label": 3}, "label", "label is 3, expected a word or nothing"),
        ({"label": "x" * 201}, "label", "label 'x+... has 201 characters, at most 200"),
        ({"source": ["x"]}, "source", r"source is \['x'\], expected a word or nothing"),
        ({"negatives": "no"}, "negatives", "negatives is 'no', expected a list of at most 100"),
        ({"negatives": ["n"] * 101}, "negatives", "negatives is 101 phrases, expected"),
    ],
)
def test_what_a_region_can_do_without_goes_alone(change, reason, words):
    record = read(annotation(regions=[{**GOOD, **change}]))
    assert record.regions == (Region((0.0, 0.0, 1.0, 1.0), "fine"),)
    [problem] = record.problems
    assert (problem.reason, problem.source) == (reason, "")
    assert re.match(rf"a\.tar::key: region 0: {words}.*; fix or drop", problem.message)


def test_a_bad_negative_goes_without_the_good_ones():
    negatives = ["a cat", "", 1, None, "\x00", "a cow"]
    record = read(annotation(regions=[{**GOOD, "negatives": negatives, "source": "owl"}]))
    assert record.regions[0].negatives == ("a cat", "a cow")
    [problem] = record.problems
    assert (problem.reason, problem.source) == ("negatives", "owl")
    assert "region 0: 4 of 6 negatives are not clean, short phrases, such as ''" in problem.message


def test_a_bad_caption_goes_alone_and_a_bad_source_without_its_caption():
    captions = [
        {"text": "a", "source": 3},
        {"text": " ", "source": "alt"},
        "no object",
        {"text": "x" * 10_001},
        {"text": "b", "source": "alt"},
    ]
    record = read(annotation(captions=captions))
    assert record.captions == (Caption("a"), Caption("b", "alt"))
    told = [(p.reason, p.source, p.message.split(": ")[1]) for p in record.problems]
    assert told == [
        ("source", "", "caption 0"),
        ("caption", "alt", "caption 1"),
        ("caption", "", "caption 2"),
        ("caption", "", "caption 3"),
    ]


def test_a_region_that_is_no_object_goes_alone():
    record = read(annotation(regions=[GOOD, [0, 0, 1, 1]]))
    assert len(record.regions) == 1
    message = "a.tar::key: region 1: [0, 0, 1, 1] is not an object; "
    assert record.problems[0][:2] == ("region", "")
    assert record.problems[0].message.startswith(message)


@pytest.mark.parametrize("meta", [[1], 0, "", {"a": [{"b": math.inf}]}, {"\ud800": 1}])
def test_bad_meta_data_goes_alone(meta):
    record = read(annotation(meta=meta, regions=[GOOD]))
    assert (record.meta, len(record.regions)) == ({}, 1)
    assert [problem.reason for problem in record.problems] == ["meta"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"the annotation is not JSON"),
        ("{", r"the annotation is not JSON"),
        ("[" * 10_000, r"the annotation is not JSON"),
        ("[" * 100_000, r"over 50,000 commas and open brackets"),
        (annotation(meta=json.loads("[" * 16 + "]" * 16)), "nested more than 16 deep"),
        (annotation(meta=json.loads("[" * 500 + "]" * 500)), "nested more than 16 deep"),
        ("[]", r"schema 'list', expected 'cloc-regions/1'; plain image-text .* data=captions"),
        (annotation(schema="cloc-regions/2"), r"schema 'cloc-regions/2', expected"),
        (annotation(schema=None), r"schema None, expected"),
        (annotation(schema=["x" * 10**5]), r"schema \['x+\.\.\., expected"),
        (annotation(width=0), r"width is 0, expected the image's size in pixels, 1 to 65,535"),
        (annotation(height="48"), r"height is '48', expected"),
        (annotation(height=True), r"height is True, expected"),
        (annotation(height=48.0), r"height is 48.0, expected"),
        (annotation(width=math.nan), r"width is nan, expected"),
        (annotation(width=10**400), r"width is 10+\.\.\., expected"),
        (annotation(width=65_536), r"width is 65536, expected"),
        (annotation(captions={"text": "a"}), r"captions is not a list of objects"),
        (annotation(regions="none"), r"regions is not a list of objects"),
        (annotation(regions=""), r"regions is not a list of objects"),
        (annotation(regions=[GOOD] * 1001), r"1,001 regions, at most 1,000 are read"),
        (annotation(captions=[{"text": "a"}] * 101), r"101 captions, at most 100 are read"),
        (annotation(meta={"a": "x" * 2**20}), r"annotation has 1,048,\d+ bytes, at most 1,048,576"),
        (f'{annotation()[:-1]}, "width": 64}}', r"the key 'width' occurs twice in one object"),
        (annotation(width=7).replace("7", "9" * 5000), r"is not JSON in UTF-8 \(Exceeds the limit"),
        (annotation().encode("utf-16"), r"is not JSON in UTF-8 \('utf-8' codec can't decode"),
        (annotation().encode() + b"\xff", r"is not JSON in UTF-8 \('utf-8' codec can't decode"),
        (annotation(a="?").encode().replace(b"?", b"\xed\xa0\x80"), r"is not JSON in UTF-8"),
    ],
    ids=str,
)
def test_what_is_wrong_with_the_whole_is_named_in_one_line(text, words):
    with pytest.raises(BadSample, match=rf"^a\.tar::key: .*{words}") as error:
        read(text)
    assert error.value.reason == "annotation"
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300


def test_a_hostile_annotation_is_refused_before_it_is_parsed(monkeypatch):
    monkeypatch.setattr(json, "loads", None)
    for text in ('[{},"' * 2_000_000, "{}," * 100_000, "[]," * 100_000, "1," * 100_000):
        with pytest.raises(BadSample, match=r"has (1\d,\d{3},\d{3} bytes|over 50,000 commas)"):
            read(text.encode())


def test_a_byte_order_mark_is_no_problem():
    assert read(b"\xef\xbb\xbf" + annotation().encode()).width == WIDTH


def one_region(**changes):
    return Record(
        "k", b"", "png", 9, 9, (), (replace(Region((0.0, 0.0, 5.0, 5.0), "x"), **changes),)
    )


@pytest.mark.parametrize(
    ("record", "reason", "words"),
    [
        (
            one_region(box=(1.0, 1.0, 1.004, 5.0)),
            "box_reversed",
            r"region 0: box \[1.0, 1.0, 1.0, 5.0\] is reversed or empty",
        ),
        (one_region(box=(1.0, 1.0, 1.9, 5.0)), "box_small", "region 0: box .* is 0.90x4.00 px"),
        (one_region(box=(0.0, 0.0, math.nan, 1.0)), "box_not_finite", "region 0: box"),
        (one_region(text=" "), "text", "region 0: text is ' '"),
        (one_region(text="a\ud800"), "text", r"region 0: text 'a\\ud800' holds"),
        (one_region(negatives=("no", "")), "negatives", "region 0: 1 of 2 negatives"),
        (one_region(score=math.inf), "score", "region 0: score is inf"),
        (Record("k", b"", "png", 0, 9), "annotation", "width is 0"),
        (Record("k", b"", "png", 9, 9, (Caption("\x00"),)), "caption", "caption 0: text"),
        (Record("k", b"", "png", 9, 9, meta={"a": math.nan}), "meta", "meta holds nan"),
        (Record("k", b"", "png", 9, 9, meta={"a": {1}}), "annotation", "as JSON .*set is not JSON"),
        (
            Record("k", b"", "png", 9, 9, meta={"a": {1: 2, "1": 3}}),
            "annotation",
            "'1' occurs twice",
        ),
        (Record("k", b"", "png", 9, 9, meta={"a": 10**5000}), "annotation", "as JSON .*limit"),
        (Record("k", b"", "png", 9, 9, meta={"a": "ä" * 600_000}), "annotation", "at most 1,048,5"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_what_a_reader_would_leave_out_is_not_written(record, reason, words):
    with pytest.raises(BadSample, match=rf"^sample k: .*({words})") as error:
        to_bytes(record, "sample k")
    assert error.value.reason == reason
    assert "\n" not in str(error.value)


def test_bytes_are_compact_readable_and_equal_for_equal_records():
    content = to_bytes(one_region(text="Stück"), "here")
    assert '"regions":[{"box":[0.0,0.0,5.0,5.0],"text":"Stück","score":1.0,' in content.decode()
    assert content == to_bytes(one_region(text="Stück"), "there")


def test_refusing_problems_names_the_first():
    record = one_region()
    assert refuse_problems(record) is record
    problems = (Problem("box_small", "owl", "here: thin"), Problem("text", "", "here: blank"))
    with pytest.raises(BadSample, match=r"^here: thin$") as error:
        refuse_problems(replace(record, problems=problems))
    assert error.value.reason == "box_small"
    assert to_bytes(replace(record, problems=problems), "here") == to_bytes(record, "here")


def test_every_cap_can_be_reached():
    """What is just within all caps is read without a problem."""
    region = {**GOOD, "text": "x" * 100, "negatives": ["n"] * 3, "label": "l" * 200}
    record = read(
        annotation(
            captions=[{"text": "x" * 1000}] * validate.MAX_CAPTIONS,
            regions=[region] * validate.MAX_REGIONS,
            meta={"a": list(range(validate.MAX_META_VALUES - 2))},
        )
    )
    assert len(record.regions) == validate.MAX_REGIONS
    assert len(record.captions) == validate.MAX_CAPTIONS
    assert record.problems == ()


def test_how_a_picture_is_turned_is_written_only_where_it_is():
    record = Record("k", b"", "jpg", 20, 10, orientation=6)
    assert to_json(record)["orientation"] == 6
    again = from_json("k", b"", "jpg", to_bytes(record, "here"), "here")
    assert again == record
    assert "orientation" not in to_json(replace(record, orientation=1))


@pytest.mark.parametrize("code", [0, 9, "6", 6.0, True])
def test_a_code_that_is_none_costs_the_sample(code):
    data = to_json(Record("k", b"", "jpg", 20, 10)) | {"orientation": code}
    with pytest.raises(BadSample, match=r"orientation is .*, expected EXIF's code, 1 to 8"):
        from_json("k", b"", "jpg", json.dumps(data), "here")
