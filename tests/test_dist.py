"""Collectives are the identity in one process and have the summed gradient in several."""

import pytest
import torch
import torch.distributed as td

from cloc import dist
from tests.helpers.collectives import Collectives
from tests.helpers.ranks import ROOT, run_ranks


def test_every_one_is_the_identity_in_a_single_process():
    rows = torch.randn(3, 2, requires_grad=True)
    assert dist.gather(rows) == (rows,)
    assert dist.total(rows) is rows
    assert (dist.rank(), dist.world_size()) == (0, 1)
    assert dist.side_group() is None


def _check_collectives(rank, world, whole, weights):
    assert (dist.rank(), dist.world_size()) == (rank, world)
    _check_gather(rank, world, whole, weights)
    _check_columns(rank, world)
    _check_total(rank, world, whole)
    _check_other_types(rank, world)
    _check_side_group(rank, world)
    _check_objects(rank, world)


def _check_gather(rank, world, whole, weights):
    mine = whole.chunk(world)[rank].clone().requires_grad_()
    [gathered] = dist.gather(mine)
    assert torch.equal(gathered, whole)  # rank order
    (gathered * weights[rank]).sum().backward()  # each rank derives something else
    torch.testing.assert_close(mine.grad, weights.sum(0).chunk(world)[rank], rtol=0, atol=0)

    turned = whole.chunk(world)[rank].T.contiguous().T  # not contiguous
    assert torch.equal(dist.gather(turned)[0], whole)


def _check_columns(rank, world):
    """Numbers of four types travel in one collective, and so do their gradients."""
    wide = torch.randn(world * 3, 2, 2, generator=torch.Generator().manual_seed(1))
    columns = (wide, wide[:, 0, 0].double(), wide[:, 0] > 0, wide[:, 0, 1].view(torch.int32).long())
    mine = [x.chunk(world)[rank].clone() for x in columns]
    mine[0].requires_grad_()
    mine[1].requires_grad_()
    with Collectives() as count:
        gathered = dist.gather(*mine)
    assert count.names == ["all_gather"]
    for found, expected in zip(gathered, columns, strict=True):
        assert torch.equal(found, expected)
        assert found.requires_grad == expected.is_floating_point()
    with Collectives() as count:
        ((gathered[0] * wide).sum() * (rank + 1) + gathered[1].square().sum()).backward()
    assert count.names == ["reduce_scatter"]
    share = world * (world + 1) / 2
    torch.testing.assert_close(mine[0].grad, share * wide.chunk(world)[rank])
    torch.testing.assert_close(mine[1].grad, 2 * world * mine[1].detach())
    [frozen, other] = dist.gather(mine[0].detach(), mine[1])  # a tower without gradient
    assert not frozen.requires_grad
    other.sum().backward()


def _check_total(rank, world, whole):
    mine = whole[rank].clone().requires_grad_()
    summed = dist.total(mine)
    torch.testing.assert_close(summed, whole[:world].sum(0))
    torch.testing.assert_close(mine, whole[rank])  # the input is left alone
    (summed * (rank + 1)).sum().backward()
    torch.testing.assert_close(mine.grad, torch.full_like(mine, world * (world + 1) / 2))


def _check_other_types(rank, world):
    [valid] = dist.gather(torch.tensor([rank == 0, True]))
    assert valid.tolist() == [True, True, *[False, True] * (world - 1)]
    assert dist.gather(torch.tensor([rank]))[0].tolist() == list(range(world))
    assert dist.total(torch.tensor(rank + 1)).item() == world * (world + 1) // 2


def _check_side_group(rank, world):
    group = dist.side_group()
    assert dist.side_group() is group
    mine = torch.tensor(rank)
    dist.wait(td.all_reduce(mine, td.ReduceOp.MAX, group=group, async_op=True))
    assert mine == world - 1
    dist.store().set(f"word-{rank}", "here")  # a connection of its own to the same store
    assert dist.store().get(f"word-{(rank + 1) % world}") == b"here"


def _check_objects(rank, world):
    """From host to host: nothing of it goes over the group of the training."""
    asked, own = [], td.all_gather_object

    def watched(values, value, group=None):
        asked.append(group)
        own(values, value, group=group)

    td.all_gather_object = watched
    try:
        assert dist.gather_objects(f"word {rank}") == [f"word {r}" for r in range(world)]
    finally:
        td.all_gather_object = own
    assert asked == [dist.side_group()]
    assert td.get_backend(dist.side_group()) == "gloo"


def test_objects_travel_by_gather_objects_alone():
    """The one way that is known to go over the side group; Lightning's is that of the training."""
    others = (
        "all_gather_object",
        "broadcast_object_list",
        "strategy.broadcast",
        "td.gather_object",
    )
    found = [
        f"{path}: {name}"
        for folder in ("cloc", "scripts", "data_prep")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for name in others
        if name in path.read_text()
    ]
    assert found == [f"{ROOT / 'cloc/dist.py'}: all_gather_object"]


@pytest.mark.dist
def test_gradients_are_the_sum_of_what_every_rank_derives():
    world = 2
    whole = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weights = torch.arange(world * 18, dtype=torch.float64).view(world, 6, 3)
    run_ranks(_check_collectives, world, whole, weights, world=world)
