"""Random numbers of a piece are its rows of the whole batch's, whichever operation draws them."""

import pytest
import torch
import torch.nn.functional as F
from timm.layers import DropPath, PatchDropout
from torch import nn

from cloc.errors import UserError
from cloc.models.per_row_random import RowDraws

CUTS = ((0, 3), (3, 5), (5, 8))
ATTENTION = nn.MultiheadAttention(4, 2, dropout=0.4, batch_first=True, dtype=torch.float64)


def attend(x):
    return ATTENTION(x, x, x, need_weights=False)[0]


DRAWS = {
    "dropout": lambda x: F.dropout(x, 0.4),
    "dropout of heads": lambda x: F.dropout(x.reshape(-1, 3, 2), 0.4).reshape(x.shape),
    "dropout of turned axes": lambda x: F.dropout(x.transpose(1, 2), 0.4),
    "one draw a channel": lambda x: F.dropout1d(x, 0.4),
    "fused dropout": lambda x: torch.native_dropout(x, 0.4, True)[0],
    "fused dropout, off": lambda x: torch.native_dropout(x, 0.4, False)[0],
    "stochastic depth": DropPath(0.4),
    "patch dropout": PatchDropout(0.5, num_prefix_tokens=1),
    "attention": attend,
    "rand": lambda x: x + torch.rand(len(x), 1, 1),
    "randn": lambda x: x + torch.randn(x.shape),
    "rand_like": lambda x: x + torch.rand_like(x),
    "randn_like": lambda x: x + torch.randn_like(x),
    "uniform_": lambda x: x + torch.empty_like(x).uniform_(-1, 1),
    "normal_": lambda x: x + torch.empty_like(x).normal_(),
    "two after each other": lambda x: F.dropout(F.dropout(x, 0.4) + 1, 0.3),
}


def whole_and_pieces(draw, x):
    torch.manual_seed(0)
    whole, parts = draw(x), []
    for start, stop in CUTS:
        torch.manual_seed(0)
        with RowDraws(start, stop, len(x)):
            parts.append(draw(x[start:stop]))
    return whole, torch.cat(parts)


@pytest.mark.parametrize("name", DRAWS)
def test_a_piece_draws_its_rows_of_the_batch(name):
    x = torch.randn(8, 6, 4, dtype=torch.float64) + 5
    whole, parts = whole_and_pieces(DRAWS[name], x)
    torch.testing.assert_close(parts, whole, rtol=1e-12, atol=1e-12)


def test_a_draw_that_is_not_of_rows_is_the_batch_s_own():
    x = torch.zeros(8, 2)
    whole, parts = whole_and_pieces(lambda x: x + torch.rand(()), x)
    assert whole.equal(parts)


def test_a_draw_that_cannot_be_cut_says_so():
    with RowDraws(0, 2, 4), pytest.raises(UserError, match=r"randint.*set accumulate=1"):
        torch.randint(5, (2,))


def test_a_fused_attention_kernel_may_drop_nothing():
    fused = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    x = torch.randn(2, 1, 3, 4)
    with RowDraws(0, 2, 4):
        torch.testing.assert_close(fused(x, x, x)[0], fused(x, x, x, dropout_p=0.0)[0])
        with pytest.raises(UserError, match=r"flash_attention.*the dropout of this tower's att"):
            fused(x, x, x, 0.1)


def test_gradients_pass_through():
    x = torch.randn(8, 6, dtype=torch.float64, requires_grad=True)
    for value in whole_and_pieces(lambda x: torch.native_dropout(x, 0.4, True)[0] ** 2, x):
        [grad] = torch.autograd.grad(value.sum(), x)
        torch.testing.assert_close(grad, 2 * value / x.where(x != 0, 1.0), rtol=1e-12, atol=1e-12)
