"""Permuted pictures keep every pixel and lose its place."""

import numpy as np
import PIL.Image
import pytest

from cloc.eval.control_pictures import blind, mirrored, permute_patches, permuted
from tests.helpers.oracle import example


def numbered(width: int, height: int) -> PIL.Image.Image:
    pixels = np.arange(width * height * 3, dtype=np.uint32).reshape(height, width, 3)
    return PIL.Image.fromarray((pixels * 2654435761 >> 24).astype(np.uint8))


def cells(image: PIL.Image.Image, grid: int) -> list[bytes]:
    width, height = image.width // grid, image.height // grid
    corners = [(x * width, y * height) for y in range(grid) for x in range(grid)]
    return [image.crop((x, y, x + width, y + height)).tobytes() for x, y in corners]


def test_cells_stay_whole_and_change_places():
    image = numbered(32, 16)
    out = permute_patches(image, grid=8, rng=np.random.default_rng(0))
    assert out.size == image.size
    assert sorted(cells(out, 8)) == sorted(cells(image, 8))
    moved = sum(a != b for a, b in zip(cells(out, 8), cells(image, 8), strict=True))
    assert moved > 55


@pytest.mark.parametrize("size", [(31, 17), (5, 3)])
def test_the_size_stays_where_a_side_is_no_multiple_of_grid(size):
    image = numbered(*size)
    out = permute_patches(image, grid=8, rng=np.random.default_rng(0))
    assert out.size == size
    assert out.tobytes() != image.tobytes()


def test_order_depends_on_the_seed_and_on_the_place():
    a = example(("red", (0, 0, 8, 8)), ("blue", (20, 20, 32, 32)))
    first, second = (e.image.tobytes() for e in permuted([a, a], grid=8, seed=0))
    again = [e.image.tobytes() for e in permuted([a, a], grid=8, seed=0)]
    other = next(permuted([a], grid=8, seed=1)).image.tobytes()
    assert again == [first, second]
    assert len({first, second, other}) == 3


def test_the_blind_image_has_one_value():
    assert np.unique(np.asarray(blind().image)).tolist() == [128]


def test_a_mirrored_picture_takes_its_boxes_along():
    a = example(("red", (2, 8, 10, 24)))._replace(
        masks=np.eye(32, dtype=bool)[None], digest=b"1" * 16
    )
    [b] = mirrored([a])
    assert b.boxes.tolist() == [[22, 8, 30, 24]]
    assert (np.asarray(b.image) == np.asarray(a.image)[:, ::-1]).all()
    assert (b.masks == a.masks[:, :, ::-1]).all()
    [again] = mirrored([b])
    assert again.image.tobytes() == a.image.tobytes()
    assert a.boxes.tolist() == again.boxes.tolist() == [[2, 8, 10, 24]]


def test_a_changed_picture_has_a_digest_of_its_own_and_none_without_one():
    a = example(("red", (0, 0, 8, 8)))._replace(digest=b"1" * 16)
    changed = [
        next(permuted([a], grid=8, seed=0)),
        next(permuted([a], grid=8, seed=1)),
        next(mirrored([a])),
    ]
    assert len({a.digest, *(b.digest for b in changed)}) == 4
    assert next(mirrored([a._replace(digest=b"")])).digest == b""
