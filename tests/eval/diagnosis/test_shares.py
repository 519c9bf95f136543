"""Shares of attention as they are computed, against a softmax of queries and keys."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cloc.eval.diagnosis.shares import Shares


def random(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def seen(run):
    found = []
    with torch.no_grad(), Shares(found.append):
        answer = run()
    return answer, found


@pytest.mark.parametrize("options", [{}, {"attn_mask": True}, {"scale": 0.3}, {"is_causal": True}])
def test_of_fused_attention(options):
    q, k, v = (random(i, 2, 3, 5, 8) for i in range(3))
    mask = torch.zeros(5, 5)
    if options.get("attn_mask"):
        options = {"attn_mask": (mask := random(9, 5, 5))}
    if options.get("is_causal"):
        mask = torch.full((5, 5), -torch.inf).triu(1)
    answer, [shares] = seen(lambda: F.scaled_dot_product_attention(q, k, v, **options))
    logits = q @ k.mT * options.get("scale", 8**-0.5) + mask
    torch.testing.assert_close(shares, logits.softmax(-1))
    torch.testing.assert_close(answer, logits.softmax(-1) @ v)


def call(attention, x, **options):
    with torch.no_grad():
        return attention(x, x, x, **options)


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("average_attn_weights", [True, False])
def test_of_torchs_own_attention(need_weights, average_attn_weights):
    """Its answer, weights included, is what it would be without anybody looking."""
    options = {"need_weights": need_weights, "average_attn_weights": average_attn_weights}
    torch.manual_seed(0)
    attention, x = nn.MultiheadAttention(16, 4, batch_first=True).eval(), random(0, 2, 5, 16)
    watched, [shares] = seen(lambda: call(attention, x, **options))
    torch.testing.assert_close(watched, call(attention, x, **options))
    q, k, v = (
        part.unflatten(-1, (4, 4)).transpose(1, 2)
        for part in F.linear(x, attention.in_proj_weight, attention.in_proj_bias).chunk(3, -1)
    )
    by_hand = (q @ k.mT / 2).softmax(-1)
    torch.testing.assert_close(shares, by_hand)
    mixed = attention.out_proj((by_hand @ v).transpose(1, 2).flatten(2))
    torch.testing.assert_close(watched[0], mixed)


@pytest.mark.parametrize("softmax", [torch.softmax, F.softmax, torch.Tensor.softmax])
def test_of_a_softmax_over_queries_and_keys_and_no_other(softmax):
    logits = random(0, 2, 3, 5, 5)
    answer, [shares] = seen(lambda: softmax(logits, dim=-1))
    assert shares is answer
    assert seen(lambda: softmax(logits[0], dim=-1))[1] == []  # of three axes


def test_after_it_nothing_is_seen():
    found = []
    with Shares(found.append):
        pass
    random(0, 1, 1, 2, 2).softmax(-1)
    assert found == []
