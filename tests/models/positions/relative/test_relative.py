"""Tables of buckets in an attention, against loops over pairs."""

import torch

from cloc.models.positions.relative.relative import asked, picked, summed


def test_every_pair_gets_the_entry_of_its_bucket():
    torch.manual_seed(0)
    table, buckets = torch.randn(2, 5), torch.randint(0, 5, (3, 4, 4))
    found = picked(table, buckets)
    for b in range(3):
        for i in range(4):
            for j in range(4):
                assert torch.equal(found[b, :, i, j], table[:, buckets[b, i, j]])


def test_products_with_vectors_of_buckets():
    torch.manual_seed(0)
    x, table = torch.randn(3, 2, 4, 6), torch.randn(1, 6, 5)
    buckets, shares = torch.randint(0, 5, (1, 4, 4)), torch.rand(3, 2, 4, 4)
    found, mean = asked(x, table, buckets), summed(shares, table, buckets)
    expected = torch.zeros_like(mean)
    for i in range(4):
        for j in range(4):
            vector = table[0, :, buckets[0, i, j]]
            torch.testing.assert_close(found[:, :, i, j], x[:, :, i] @ vector)
            expected[:, :, i] += shares[:, :, i, j, None] * vector
    torch.testing.assert_close(mean, expected)


def test_a_gradient_reaches_every_bucket_that_is_used():
    table = torch.zeros(1, 6, 5, requires_grad=True)
    buckets = torch.tensor([[[0, 1], [3, 3]]])
    asked(torch.ones(1, 2, 2, 6), table, buckets).sum().backward()
    assert (table.grad.abs().sum((0, 1)) > 0).tolist() == [True, True, False, True, False]
