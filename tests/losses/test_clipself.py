"""The CLIPSelf loss against torch's own cosine, one region at a time."""

import pytest
import torch
import torch.nn.functional as F

from cloc.errors import UserError
from cloc.losses.clipself import CLIPSelf, clipself_loss
from tests.helpers.rows import (
    assert_same,
    graded,
    make_batch,
    make_embeddings,
    num_waits,
    unit_rows,
)

VALID = [[1, 1, 1, 1], [1, 0, 0, 0], [0, 0, 0, 0]]


def make_regions(seed=0, valid=VALID):
    return {
        "regions": unit_rows(seed, 3, 4, 5),
        "teacher": unit_rows(seed + 10, 3, 4, 5),
        "valid": torch.tensor(valid).bool(),
    }


def of_lengths(regions, teacher, valid):
    """The loss of rows that get their unit length first, as the model gives them."""
    return clipself_loss(F.normalize(regions, dim=-1), teacher, valid)


def by_definition(regions, teacher, valid):
    """One region at a time."""
    gaps = [
        1 - F.cosine_similarity(regions[i, m], teacher[i, m].detach(), dim=0)
        for i, m in valid.nonzero().tolist()
    ]
    return torch.stack(gaps).mean()


@pytest.mark.parametrize("seed", range(3))
def test_matches_the_definition(seed):
    regions = make_regions(seed)
    regions["regions"] = regions["regions"] * torch.arange(1, 5)[:, None]
    actual = graded(of_lengths, regions)
    assert set(actual[1]) == {"regions"}  # the teacher gets none
    assert_same(actual, graded(by_definition, regions))


@pytest.mark.parametrize("garbage", [1e30, torch.nan, -torch.inf])
def test_padding_changes_nothing(garbage):
    regions = make_regions()
    expected = graded(clipself_loss, regions)
    for name in ("regions", "teacher"):
        padded = ~regions["valid"][..., None]
        regions[name] = regions[name].masked_fill(padded, garbage)
    assert_same(graded(clipself_loss, regions), expected, atol=0)


def test_zero_with_zero_gradient_where_nothing_is_valid():
    value, grads, _ = graded(clipself_loss, make_regions(valid=torch.zeros(3, 4).tolist()))
    assert value == 0
    assert (grads["regions"] == 0).all()


def test_a_student_that_still_is_its_teacher_has_no_gradient():
    regions = make_regions()
    regions["teacher"] = regions["regions"]
    value, grads, _ = graded(clipself_loss, regions)
    assert value == 0
    assert (grads["regions"] == 0).all()


def test_autocast_changes_nothing():
    regions = {k: x.float() if x.is_floating_point() else x for k, x in make_regions().items()}
    expected = graded(clipself_loss, regions)
    assert_same(graded(clipself_loss, regions, autocast=True), expected, atol=0)


def test_half_inputs_are_computed_in_float32():
    regions = {k: x.bfloat16() if x.is_floating_point() else x for k, x in make_regions().items()}
    exact = {k: x.double() if x.is_floating_point() else x for k, x in regions.items()}
    value = clipself_loss(**regions)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value.double(), clipself_loss(**exact), rtol=1e-6, atol=0)


def test_the_adapter_reads_the_teachers_regions():
    regions = make_regions()
    batch = make_batch(
        valid=regions["valid"],
        phrases=torch.ones(1, 2, dtype=torch.long),
        phrase_index=torch.zeros(3, 4, dtype=torch.long),
        negative_index=torch.zeros(3, 4, 0, dtype=torch.long),
        boxes=torch.zeros(3, 4, 4),
    )
    teacher = {"teacher_region": regions["teacher"]}
    value, logs = CLIPSelf()(make_embeddings(3, region=regions["regions"], extra=teacher), batch)
    torch.testing.assert_close(value, clipself_loss(**regions), rtol=0, atol=0)
    assert logs == {}
    assert CLIPSelf.needs == ("region", "extra.teacher_region")


def test_a_teacher_of_another_size_is_refused():
    regions = make_regions()
    regions["teacher"] = unit_rows(1, 3, 4, 7)
    with pytest.raises(UserError, match="teacher's embeddings have 7 numbers and the model's 5"):
        clipself_loss(**regions)


def test_the_host_never_waits():
    assert num_waits(lambda: graded(clipself_loss, make_regions())) == 0
