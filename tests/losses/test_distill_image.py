"""The distillation loss against torch's own cosine, and which images count."""

import pytest
import torch
import torch.nn.functional as F

from cloc.errors import UserError
from cloc.losses.distill_image import DistillImage, distill_image_loss
from tests.helpers.rows import (
    assert_same,
    graded,
    make_batch,
    make_embeddings,
    num_waits,
    unit_rows,
)


def make_images(seed=0, n=6):
    return {"images": unit_rows(seed, n, 5), "teacher": unit_rows(seed + 10, n, 5)}


def of_lengths(loss):
    """The loss of rows that get their unit length first, as the model gives them."""

    def run(images, teacher):
        return loss(F.normalize(images, dim=-1), teacher)

    return run


def by_definition(images, teacher):
    """One image at a time."""
    pairs = zip(images, teacher.detach(), strict=True)
    gaps = [1 - F.cosine_similarity(a, b, dim=0) for a, b in pairs]
    return torch.stack(gaps).mean()


@pytest.mark.parametrize("seed", range(3))
def test_matches_the_definition(seed):
    images = make_images(seed)
    images["images"] = images["images"] * torch.arange(1, 7)[:, None]
    actual = graded(of_lengths(distill_image_loss), images)
    assert set(actual[1]) == {"images"}  # the teacher gets none
    assert_same(actual, graded(by_definition, images))


def test_the_squared_distance_is_twice_this():
    images = make_images()
    squared = (images["images"] - images["teacher"]).square().sum(-1).mean()
    torch.testing.assert_close(2 * distill_image_loss(**images), squared)


def test_a_student_that_still_is_its_teacher_has_no_gradient():
    images = make_images()
    images["teacher"] = images["images"]
    value, grads, _ = graded(distill_image_loss, images)
    assert value == 0
    assert (grads["images"] == 0).all()


def test_no_image_at_all_is_zero():
    assert graded(distill_image_loss, make_images(n=0))[0] == 0


def test_autocast_changes_nothing():
    images = {k: x.float() for k, x in make_images().items()}
    expected = graded(distill_image_loss, images)
    assert_same(graded(distill_image_loss, images, autocast=True), expected, atol=0)


def test_half_inputs_are_computed_in_float32():
    images = {k: x.bfloat16() for k, x in make_images().items()}
    value = distill_image_loss(**images)
    assert value.dtype == torch.float32
    exact = distill_image_loss(**{k: x.double() for k, x in images.items()})
    torch.testing.assert_close(value.double(), exact, rtol=1e-6, atol=0)


def test_the_adapter_counts_images_without_a_caption_and_without_a_region_too():
    images = make_images()
    batch = make_batch(
        valid=torch.zeros(6, 1).bool(),
        phrases=torch.ones(1, 2, dtype=torch.long),
        phrase_index=torch.zeros(6, 1, dtype=torch.long),
        negative_index=torch.zeros(6, 1, 0, dtype=torch.long),
        boxes=torch.zeros(6, 1, 4),
    )
    batch = batch._replace(caption_valid=torch.arange(6) < 2)
    out = make_embeddings(6, image=images["images"], extra={"teacher_image": images["teacher"]})
    value, logs = DistillImage()(out, batch)
    torch.testing.assert_close(value, distill_image_loss(**images), rtol=0, atol=0)
    assert logs == {}
    assert DistillImage.needs == ("image", "extra.teacher_image")


def test_a_teacher_of_another_size_is_refused():
    images = make_images()
    with pytest.raises(UserError, match="teacher's embeddings have 7 numbers and the model's 5"):
        distill_image_loss(images["images"], unit_rows(1, 6, 7))


def test_the_host_never_waits():
    assert num_waits(lambda: graded(distill_image_loss, make_images())) == 0
