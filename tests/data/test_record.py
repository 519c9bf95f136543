"""The annotation of a shard: what is written is what is read, and what is wrong is named."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloc.data.record import SCHEMA, Caption, Record, Region, check_box, from_json, to_json
from cloc.errors import UserError

WIDTH, HEIGHT = 64, 48
WORDS = st.text(min_size=1).filter(str.strip)


@st.composite
def boxes(draw):
    """On the grid of hundredths of a pixel that files hold, at least one pixel wide."""
    (x0, x1), (y0, y1) = (
        sorted(draw(st.tuples(*[st.integers(0, 100 * side - 100)] * 2))) for side in (WIDTH, HEIGHT)
    )
    return x0 / 100, y0 / 100, (x1 + 100) / 100, (y1 + 100) / 100


CAPTIONS = st.fixed_dictionaries({"text": WORDS, "source": st.text()})
REGIONS = st.fixed_dictionaries(
    {
        "box": boxes(),
        "text": WORDS,
        "score": st.floats(0, 1),
        "source": st.text(),
        "negatives": st.lists(WORDS, max_size=2).map(tuple),
        "label": st.text(),
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
    text = json.dumps(to_json(record))
    assert from_json("a/b", b"bytes", "png", text, "here") == record


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
    assert check_box([-5, 3, 100, 1000], WIDTH, HEIGHT, "here") == (0, 3, WIDTH, HEIGHT)
    region = {"box": [-5, 3, 100, 1000], "text": "b"}
    assert read(annotation(regions=[region])).regions[0].box == (0, 3, WIDTH, HEIGHT)


NOT_FINITE = r"a coordinate that is not finite; fix or drop the region where the shard is made"


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ("[0, NaN, 5, 5]", rf"box \[0, nan, 5, 5\] has {NOT_FINITE}"),
        ("[0, 0, Infinity, 5]", rf"box \[0, 0, inf, 5\] has {NOT_FINITE}"),
        (f"[0, 0, 1{'0' * 400}, 5]", NOT_FINITE),
        ('[0, 0, "5", 5]', NOT_FINITE),
        ("[0, 0, null, 5]", NOT_FINITE),
        ("[5, 0, 0, 5]", r"box \[5, 0, 0, 5\] is reversed or empty \(x0 < x1, y0 < y1\); fix"),
        ("[0, 5, 5, 0]", r"reversed or empty"),
        ("[3, 0, 3, 5]", r"reversed or empty"),
        ("[64, 0, 70, 5]", r"box \[64, 0, 70, 5\] lies outside the 64x48 image; fix or drop"),
        ("[0, -9, 5, -1]", r"lies outside"),
        ("[0, 0, 5]", r"box \[0, 0, 5\] is not \[x0, y0, x1, y1\]"),
        ('"0 0 5 5"', r"box '0 0 5 5' is not"),
        ("null", r"box None is not"),
    ],
)
def test_a_bad_box_names_its_file_its_region_and_the_cure(box, reason):
    regions = f'[{{"box": [0, 0, 1, 1], "text": "fine"}}, {{"box": {box}, "text": "b"}}]'
    with pytest.raises(UserError, match=rf"^a\.tar::key: region 1: .*{reason}"):
        read(annotation().replace('"regions": []', f'"regions": {regions}'))


def with_region(**changes):
    return annotation(regions=[{"box": [0, 0, 1, 1], "text": "b", **changes}])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", r"the annotation is not JSON"),
        ("[" * 100_000, r"the annotation is not JSON"),
        ("[]", r"schema 'list', expected 'cloc-regions/1'; plain image-text .* data=captions"),
        (annotation(schema="cloc-regions/2"), r"schema 'cloc-regions/2', expected"),
        (annotation(schema=None), r"schema None, expected"),
        (annotation(width=0), r"width is 0, expected the image's size in pixels"),
        (annotation(height="48"), r"height is '48', expected"),
        (annotation(height=True), r"height is True, expected"),
        (annotation(width=math.nan), r"width is nan, expected"),
        (annotation(captions={"text": "a"}), r"captions is not a list of objects"),
        (annotation(captions=["a"]), r"captions is not a list of objects"),
        (annotation(regions="none"), r"regions is not a list of objects"),
        (annotation(captions=[{"text": " "}]), r"caption 0: text is ' ', expected some words"),
        (annotation(captions=[{"text": "a", "source": 3}]), r"caption 0: source is 3, expected"),
        (annotation(meta=[1]), r"meta is \[1\], expected an object"),
        (with_region(text=None), r"region 0: text is None, expected some words"),
        (with_region(label=3), r"region 0: label is 3, expected a word or nothing"),
        (with_region(source=["x"]), r"region 0: source is \['x'\], expected a word"),
        (with_region(score="high"), r"region 0: score is 'high', expected a finite number"),
        (with_region(score=None), r"region 0: score is None, expected a finite number"),
        (with_region(score=math.nan), r"region 0: score is nan, expected a finite number"),
        (with_region(negatives="no"), r"negatives is 'no', expected a list of phrases"),
        (with_region(negatives=[""]), r"negatives is \[''\], expected a list"),
        (with_region(negatives=[1]), r"negatives is \[1\], expected a list"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(text, reason):
    with pytest.raises(UserError, match=rf"^a\.tar::key: .*{reason}") as error:
        read(text)
    assert "\n" not in str(error.value)
