"""Files as pictures: cropped, mirrored, permuted, each with a digest of its own."""

import numpy as np
import PIL.Image
import pytest
import torch

from cloc.errors import UserError
from cloc.eval.suite_pictures import _views, file_pictures, mirror, picture_vectors
from tests.helpers.suites import Chance, Encoder, paint


def views(pictures, view="original", seed=0, grid=4):
    return list(_views(pictures, view, seed, grid))


def numbered(path, width=6, height=4):
    pixels = np.arange(width * height * 3, dtype=np.uint8).reshape(height, width, 3)
    PIL.Image.fromarray(pixels).save(path)
    return pixels


def test_the_pixels_are_those_of_the_file(tmp_path):
    pixels = numbered(tmp_path / "a.png")
    [picture] = file_pictures([tmp_path / "a.png"], root=tmp_path)
    assert picture.key == "a.png"
    assert np.array_equal(picture.read().image, pixels)
    assert np.array_equal(mirror(picture.read().image), pixels[:, ::-1])
    assert len(picture.read().digest) == 16


def test_a_crop_is_black_outside_and_another_picture(tmp_path):
    pixels = numbered(tmp_path / "a.png")
    crops = [None, (1, 1, 4, 3), (5, 3, 8, 6)]
    whole, inner, outer = file_pictures([tmp_path / "a.png"] * 3, root=tmp_path, crops=crops)
    assert np.array_equal(inner.read().image, pixels[1:3, 1:4])
    beyond = np.asarray(outer.read().image)
    assert beyond.shape == (3, 3, 3)
    assert np.array_equal(beyond[0, 0], pixels[3, 5])
    assert beyond[1:].max() == beyond[:, 1:].max() == 0
    assert len({p.key for p in (whole, inner, outer)}) == 3
    assert len({p.read().digest for p in (whole, inner, outer)}) == 3


@pytest.mark.parametrize(
    "crop",
    [(6, 0, 9, 2), (0, 4, 2, 9), (-3, 0, 0, 2), (0, 0, 13, 2), (0, -5, 2, 4), (0, 0, 90000, 2)],
)
def test_a_crop_of_another_picture_is_refused(tmp_path, crop):
    numbered(tmp_path / "a.png")
    [picture] = file_pictures([tmp_path / "a.png"], root=tmp_path, crops=[crop])
    with pytest.raises(UserError, match=r"a.png: box \[.*\] is none of the picture of 6x4; give"):
        picture.read()


def test_each_view_has_pixels_and_a_digest_of_its_own(tmp_path):
    rng = np.random.default_rng(0)
    image = PIL.Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8))
    image.save(tmp_path / "a.png")
    image.save(tmp_path / "b.png")
    pictures = file_pictures([tmp_path / "a.png", tmp_path / "b.png"], root=tmp_path)
    seen = [views(pictures), views(pictures, "mirrored"), views(pictures, "permuted")]
    seen.append(views(pictures, "permuted", seed=1))
    assert len({x[0].digest for x in seen}) == len({x[0].image.tobytes() for x in seen}) == 4
    same, permuted = seen[0], seen[2]
    assert same[0].digest == same[1].digest  # the same file twice
    assert permuted[0].image.tobytes() != permuted[1].image.tobytes()  # each in its own order
    again = views(pictures[1:], "permuted")
    assert again[0].image.tobytes() == permuted[1].image.tobytes()  # wherever it stands
    assert again[0].image.tobytes() == again[0].image.tobytes()  # and however often it is read


def test_a_repeated_picture_is_computed_once(tmp_path):
    paint(tmp_path / "a.png", 1)
    paint(tmp_path / "b.png", 2)
    paths = [tmp_path / f"{name}.png" for name in "abba"]
    asked = []

    class Counting(Chance):
        def image(self, number, mirrored):
            asked.append(number)
            return super().image(number, mirrored)

    found = picture_vectors(Counting(), file_pictures(paths, root=tmp_path), batch_size=2)
    assert sorted(asked) == [1, 2]
    assert torch.equal(found[0], found[3])
    assert torch.equal(found[1], found[2])
    assert not torch.equal(found[0], found[1])


def test_blind_is_one_grey_square_for_all(tmp_path):
    paint(tmp_path / "a.png", 1)
    pictures = file_pictures([tmp_path / "a.png"] * 3, root=tmp_path)
    found = picture_vectors(Encoder({1: ((), ())}), pictures, view="blind", batch_size=2)
    assert found.shape == (3, 1024)
    assert len(found.unique(dim=0)) == 1


def test_missing_pictures_are_counted_and_the_first_is_named(tmp_path):
    paint(tmp_path / "a.png", 1)
    paths = [tmp_path / f"{name}.png" for name in ("a", "no", "nor", "no")]
    with pytest.raises(UserError, match=r"no\.png: no such picture; 2 of 3 that"):
        file_pictures(paths, root=tmp_path)


def test_what_is_no_picture_is_refused_by_name(tmp_path):
    (tmp_path / "a.jpg").write_text("no picture")
    [picture] = file_pictures([tmp_path / "a.jpg"], root=tmp_path)
    with pytest.raises(UserError, match=r"a\.jpg"):
        picture.read().image.load()
