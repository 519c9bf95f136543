"""The pieces that several losses stand on."""

import pytest
import torch
import torch.nn.functional as F

from cloc.errors import UserError
from cloc.losses.shared.rows import (
    check_chunk,
    check_option,
    one_minus_cosine,
    sum_over_chunks,
    wipe,
)
from cloc.numerics import upcast
from tests.helpers.rows import unit_rows


def test_only_half_types_are_upcast():
    for given, expected in [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ]:
        assert upcast(torch.zeros(2, dtype=given)).dtype == expected


def test_wipe_leaves_padding_no_say_nan_and_infinity_included():
    rows = torch.tensor([[1.0, 2.0], [torch.nan, torch.inf]], requires_grad=True)
    wiped = wipe(rows, torch.tensor([True, False]))
    assert wiped.tolist() == [[1, 2], [0, 0]]
    wiped.square().sum().backward()
    assert rows.grad.tolist() == [[2, 4], [0, 0]]


def test_one_minus_cosine_is_torchs_of_unit_vectors_and_their_gradient_before_the_length():
    student, teacher = (3 * unit_rows(seed, 4, 5) for seed in (0, 1))
    teacher.requires_grad_()
    found = []
    for gap in (
        lambda a, b: one_minus_cosine(F.normalize(a, dim=-1), F.normalize(b, dim=-1)),
        lambda a, b: 1 - F.cosine_similarity(a, b.detach(), dim=-1),
    ):
        rows = student.clone().requires_grad_()
        values = gap(rows, teacher)
        (values * torch.arange(1, 5)).sum().backward()
        found.append((values.detach(), rows.grad))
    torch.testing.assert_close(*found, rtol=0, atol=1e-12)
    assert teacher.grad is None
    assert one_minus_cosine(-unit_rows(0, 1, 5), unit_rows(0, 1, 5)).item() == pytest.approx(2)


@pytest.mark.parametrize("rows", [unit_rows(0, 3, 64), torch.zeros(3, 64)])
def test_between_equal_rows_it_and_its_gradient_are_exactly_zero(rows):
    """The gradient of the product is rounding, of every size that Adam divides by."""
    student = rows.float().requires_grad_()
    value = one_minus_cosine(student, rows.float()).sum()
    value.backward()
    assert value == 0
    assert (student.grad == 0).all()


def test_a_teacher_of_another_size_is_refused():
    says = "the teacher's embeddings have 7 numbers and the model's 5; start from a tower"
    with pytest.raises(UserError, match=says):
        one_minus_cosine(unit_rows(0, 2, 5), unit_rows(0, 2, 7))


@pytest.mark.parametrize("chunk", [None, 1, 3, 7, 100])
def test_chunks_cover_every_row_once(chunk):
    rows = torch.arange(7.0, requires_grad=True)
    seen = []

    def partial(some):
        seen.append(rows[some])
        return rows[some].square().sum()

    summed = sum_over_chunks(partial, 7, chunk=chunk)
    assert torch.equal(torch.cat(seen), rows)
    assert max(map(len, seen)) <= (chunk or 7)
    assert summed.item() == 91
    summed.backward()
    assert rows.grad.tolist() == (2 * rows).tolist()


def test_no_rows_sum_to_zero():
    assert sum_over_chunks(lambda rows: torch.zeros(0)[rows].sum(), 0, chunk=4).item() == 0


def test_a_wrong_option_names_the_options():
    with pytest.raises(UserError, match="kind is 'huber'; choose one of mse, l1_giou"):
        check_option("kind", "huber", ("mse", "l1_giou"))


def test_a_chunk_without_rows_is_refused():
    check_chunk("chunk", None)
    check_chunk("chunk", 1)
    with pytest.raises(UserError, match="chunk is 0; it counts rows of one slice, so 1 or more"):
        check_chunk("chunk", 0)
