"""Pictures of a folder: read late, known by a digest, refused where they are of another set."""

import numpy as np
import PIL.Image
import pytest

from cloc.errors import BadSample, UserError
from cloc.eval.pictures import case_names, digest_of, picture_example, require_pictures

BOXES = np.array([[0, 0, 4, 4], [2, 1, 8, 6]], np.float32)


@pytest.fixture
def path(tmp_path):
    PIL.Image.new("RGB", (8, 6), (9, 8, 7)).save(tmp_path / "one.png")
    return tmp_path / "one.png"


def test_the_picture_is_read_at_every_look(path):
    found = picture_example(path, key="k", boxes=BOXES, size=(8, 6))
    assert found.image.getpixel((0, 0)) == (9, 8, 7)
    PIL.Image.new("RGB", (8, 6), (1, 2, 3)).save(path)
    assert found.image.getpixel((0, 0)) == (1, 2, 3)
    assert (found.phrases, found.labels) == (("", ""), ("", ""))
    assert case_names(found) == ["k:0", "k:1"]


def test_pixels_are_those_that_are_stored(tmp_path):
    path = tmp_path / "turned.jpg"
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # shown, it is 6 wide and 8 high
    PIL.Image.new("RGB", (8, 6)).save(path, exif=exif)
    assert picture_example(path, key="k", size=(8, 6)).image.size == (8, 6)


def test_the_digest_hangs_on_picture_boxes_and_what_else_is_given(path):
    digests = [
        picture_example(path, key="k", boxes=BOXES).digest,
        picture_example(path, key="other", boxes=BOXES).digest,
        picture_example(path, key="k", boxes=BOXES[:1]).digest,
        picture_example(path, key="k", boxes=BOXES, mask_bytes=b"m").digest,
    ]
    assert digests[0] == digests[1] == digest_of(path.read_bytes(), BOXES)
    assert len(set(digests)) == 3
    assert {len(digest) for digest in digests} == {16}


def test_missing_pictures_are_told_with_the_first_and_how_many(path, tmp_path):
    require_pictures([path], key="k")
    some = [path, tmp_path / "b.png", tmp_path / "a.png", tmp_path / "b.png"]
    with pytest.raises(UserError, match=r"b.png: no such picture; 2 of 3 .*; set k to"):
        require_pictures(some, key="k")
    for name in ("a" * 300, "a\0b"):  # which no file can have
        with pytest.raises(UserError, match=r"no such picture; 1 of 1 .*; set k to"):
            require_pictures([tmp_path / name], key="k")


def test_a_picture_of_another_set_is_refused(path):
    with pytest.raises(UserError, match=r"the picture is 8x6, annotated as 6x8; give the annot"):
        picture_example(path, key="k", size=(6, 8))
    with pytest.raises(UserError, match=r"box \[9.0, 0.0, 12.0, 4.0\] lies outside of the pic"):
        picture_example(path, key="k", boxes=np.array([[9, 0, 12, 4]], np.float32))
    for box, says in (
        ([0, 0, 10, 4], r"box \[0.0, 0.0, 10.0, 4.0\] reaches out of the picture of 8x6; give"),
        ([-2, 0, 5, 4], r"box \[-2.0, 0.0, 5.0, 4.0\] reaches out of"),
        ([0.1, 0.1, 0.5, 0.5], r"one.png: all boxes are within the first pixel, such as \[0.1, "),
    ):
        with pytest.raises(UserError, match=says):
            picture_example(path, key="k", boxes=np.array([box], np.float32))
    # published boxes pass the edge by parts of a pixel
    picture_example(path, key="k", boxes=np.array([[-0.5, 0, 8.9, 6]], np.float32))
    path.write_bytes(b"no picture")
    with pytest.raises(BadSample, match=r"one.png"):
        picture_example(path, key="k")
