"""A rank's exception must reach the test, and a rank that waits for it must not hang it."""

import time

import pytest
import torch
import torch.distributed as td

from tests.helpers.ranks import run_ranks


def _only_rank_1_fails(rank, words):
    if rank == 1:
        raise RuntimeError(words)
    td.all_reduce(torch.ones(1))  # waits for rank 1 for ever


@pytest.mark.dist
def test_an_exception_of_a_rank_is_reported_and_ends_the_others():
    begin = time.monotonic()
    with pytest.raises(AssertionError, match=r"(?s)rank 1 of 2:.*RuntimeError: box 7 is bent"):
        run_ranks(_only_rank_1_fails, "box 7 is bent", timeout_s=300)
    assert time.monotonic() - begin < 100
