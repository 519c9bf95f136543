"""What importers of annotated pictures share: what can be no region, and JSON held in memory."""

import json
from collections import Counter

import PIL.Image
import pytest

from cloc.data.samples.validate import MAX_PHRASE_CHARS, MAX_REGIONS
from cloc.errors import BadSample, UserError
from data_prep.importers.shared.annotated import Found, by_url, inside, load_json, regions_of
from data_prep.importers.shared.frames import Frame
from data_prep.importing import Picture, read_picture
from tests.helpers.imported import draw

BOX = (1.0, 1.0, 9.0, 9.0)
PICTURE = Frame(Picture(b"", "jpg", 40, 30))


def test_what_can_be_no_region_is_counted_by_its_reason():
    found = [
        Found(BOX, " a\n cat\x00 ", "cat"),
        Found((5, 5, 5, 9), "a"),
        Found(BOX, ""),
        Found(BOX, None),
        Found(BOX, MAX_PHRASE_CHARS * "a" + "b"),
        *[Found(BOX, "dog")] * MAX_REGIONS,
    ]
    drops = Counter()
    regions = regions_of(found, PICTURE, source="x", where="here", drops=drops)
    assert (regions[0].text, regions[0].label, regions[0].source) == ("a cat", "cat", "x")
    assert len(regions) == MAX_REGIONS
    assert drops == {"box_reversed": 1, "text": 3, "too_many": 1}


def test_a_picture_that_no_loader_reads_is_a_bad_sample(tmp_path):
    # A thumbnail in the header has an end of its own.
    whole = draw(tmp_path / "a.jpg", comment=b"\xff\xd9").read_bytes()
    assert whole.count(b"\xff\xd9") == 2
    deep = tmp_path / "deep.png"
    PIL.Image.new("I;16", (40, 30)).save(deep)
    assert read_picture(tmp_path / "a.jpg", cure="x").content == whole
    (tmp_path / "cut.jpg").write_bytes(whole[:-2])
    (tmp_path / "trailer.jpg").write_bytes(whole + b"\xff\xda of a film behind it")
    read_picture(tmp_path / "trailer.jpg", cure="x")
    for path, reason, says in (
        (tmp_path / "cut.jpg", "picture", r"cut\.jpg: a JPEG that is cut.*; get it$"),
        (deep, "pixels", r"deep\.png: a PNG of 16 bits"),
    ):
        with pytest.raises(BadSample, match=says) as error:
            read_picture(path, cure="get it")
        assert error.value.reason == reason


def test_a_url_names_a_folder_and_a_file(tmp_path):
    assert by_url(tmp_path, "https://x.org/a/b/c.jpg?d=e/f", "here") == tmp_path / "b/c.jpg"
    flat = draw(tmp_path / "c.jpg")
    assert by_url(tmp_path, "https://x.org/a/b/c.jpg", "here") == flat
    draw(tmp_path / "b/c.jpg")
    assert by_url(tmp_path, "https://x.org/a/b/c.jpg", "here") == tmp_path / "b/c.jpg"
    for url in ("https://x.org/a/../c.jpg", "", None):
        with pytest.raises(UserError, match=r"here: .* inside the folder"):
            by_url(tmp_path, url, "here")


@pytest.mark.parametrize("name", ["../a", "/a", "", 7, "a\0", "\ud800.jpg", 300 * "a", "a/../b"])
def test_a_name_that_leads_out_of_the_folder_or_is_none_is_refused(tmp_path, name):
    with pytest.raises(UserError, match=r"here: .* is not the name of a file inside") as error:
        inside(tmp_path, name, "here")
    assert "\n" not in str(error.value)


def test_polygons_are_not_held_and_a_byte_order_mark_is_no_obstacle(tmp_path):
    row = {"id": 1, "category_id": 2, "bbox": [], "segmentation": [[1, 2]], "area": 3}
    (tmp_path / "a.json").write_text(json.dumps([row, {"id": 1}]), encoding="utf-8-sig")
    data = load_json(tmp_path / "a.json", key="x")
    assert data == [{"id": 1, "category_id": 2, "bbox": []}, {"id": 1}]


@pytest.mark.parametrize("content", [b"", b"[1", b"\xff\xfe[", b"[" * 100_000])
def test_what_is_not_json_is_one_line(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.json: not JSON .*; download the file again$"):
        load_json(tmp_path / "a.json", key="x")
