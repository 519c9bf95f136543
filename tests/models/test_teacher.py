"""The teacher's embeddings: its own tower's, of images and of their boxes' crops."""

import numpy as np
import PIL.Image
import pytest
import torch

from cloc.models.teacher import Teacher, crops
from tests.helpers.models import make_model, model_batch


def test_images_and_crops_are_embedded_by_the_frozen_tower():
    model, other = make_model(), make_model(seed=1)
    teacher = Teacher(other.tower, ["teacher_image", "teacher_region"])
    batch = model_batch(model)
    found = teacher(batch)
    assert found["teacher_image"].equal(other.tower.images(batch.images).pooled)
    cut = crops(batch.images, batch.boxes, size=(32, 32))
    expected = other.tower.images(cut).pooled.unflatten(0, batch.boxes.shape[:2])
    assert found["teacher_region"].equal(expected)
    assert not any(value.requires_grad for value in found.values())


def test_without_the_field_no_crop_is_made():
    model = make_model()
    found = Teacher(make_model().tower, ["teacher_image"])(model_batch(model))
    assert set(found) == {"teacher_image"}


@pytest.mark.parametrize("pieces", [2, 3])
def test_pieces_change_nothing(pieces):
    model = make_model()
    batch = model_batch(model, valid=((1, 1, 0),) * 6)
    teacher = Teacher(make_model(seed=1).tower, ["teacher_region"])
    whole, parts = teacher(batch), teacher(batch, pieces=pieces)
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value)


def test_a_model_with_a_teacher_gives_its_answers_and_saves_nothing_of_it():
    model = make_model()
    names, parameters = set(model.state_dict()), len(list(model.parameters()))
    model.teacher = Teacher(make_model(seed=1).tower, ["teacher_region"])
    assert set(model.state_dict()) == names
    assert len(list(model.parameters())) == parameters
    batch = model_batch(model, valid=((1, 1, 1),) * 4)
    found = [model(batch, accumulate=k).extra["teacher_region"] for k in (1, 2)]
    assert found[0].shape == (4, 3, 24)
    torch.testing.assert_close(found[0], found[1])
    assert make_model()(batch).extra == {}


def by_pillow(image, box, size):
    """The same crop, cut and padded by hand."""
    height, width = size
    x0, y0, x1, y1 = box
    ratio = max((x1 - x0) / width, (y1 - y0) / height)
    shape = (round((x1 - x0) / ratio), round((y1 - y0) / ratio))
    cut = PIL.Image.fromarray(image).resize(shape, PIL.Image.Resampling.BILINEAR, box=box)
    canvas = PIL.Image.new("RGB", (width, height))
    canvas.paste(cut, ((width - shape[0]) // 2, (height - shape[1]) // 2))
    return np.asarray(canvas).astype(int)


@pytest.mark.parametrize("box", [(8, 8, 40, 40), (0, 0, 32, 16), (10, 4, 18, 36), (0, 0, 64, 64)])
def test_a_crop_is_the_boxs_pixels_as_large_as_fits_centred_on_black(box):
    y, x = np.mgrid[:64, :64]
    image = np.stack([4 * x, 4 * y, 255 - 2 * x - 2 * y], -1).clip(0, 255).astype(np.uint8)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None]
    boxes = torch.tensor(box).view(1, 1, 4) / 64
    found = crops(pixels, boxes, size=(64, 64))[0].permute(1, 2, 0).numpy().astype(int)
    expected = by_pillow(image, box, (64, 64))
    assert np.abs(found - expected).mean() < 1.0
    assert ((found.sum(-1) == 0) == (expected.sum(-1) == 0)).mean() > 0.95


def test_an_empty_box_is_black():
    white = torch.full((1, 3, 8, 8), 255, dtype=torch.uint8)
    found = crops(white, torch.zeros(1, 2, 4), size=(8, 8))
    assert found.shape == (2, 3, 8, 8)
    assert not found.any()
