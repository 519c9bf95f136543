"""What an engine is asked, and how far its answers are off."""

import torch

from cloc.models.positions.conformance.causes import STEPS
from cloc.models.positions.conformance.engine import Engine, off
from tests.models.positions.conformance.engines import SMALL, WritesInPlace
from tests.models.positions.conformance.engines import Engine as Right


def test_queries_and_keys_are_of_length_1_and_the_same_whenever_asked():
    engine = Engine(Right(), SMALL["chunked"])
    q, k = engine.given(5, b=2)
    assert (q.shape, k.shape) == ((2, 4, 5, 32), (2, 2, 5, 32))
    assert torch.allclose(q.norm(dim=-1), torch.ones(2, 4, 5))
    assert torch.equal(engine.given(5, b=2)[1], k)


def test_a_function_may_write_into_what_it_gets():
    engine, positions = Engine(WritesInPlace(), SMALL["chunked"]), torch.ones(3, 1, 5).long()
    given = engine.given(5)
    before = [x.clone() for x in given]
    found = engine(given, positions)
    assert off(found, engine.truth(given, positions)).much < 1e-6
    assert torch.equal(positions, torch.ones(3, 1, 5).long())
    assert all(torch.equal(a, b) for a, b in zip(given, before, strict=True))


def test_the_token_that_is_farthest_off():
    wanted = [torch.zeros(2, 4, 5, 8), torch.zeros(2, 2, 5, 8)]
    found = [x.clone() for x in wanted]
    found[0][0, 1, 2, 3] = 0.5
    found[1][1, 0, 4, :2] = torch.tensor([3.0, 4.0])
    assert off(found, wanted) == (5.0, "keys", 1, 4)
    assert off(found[:1], wanted[:1]) == (0.5, "queries", 0, 2)


def test_maps_are_what_becomes_of_each_channel():
    engine = Engine(Right(), SMALL["adjacent"])
    still, _ = engine.maps(0, 0, 0)
    assert torch.equal(still, torch.eye(32).double().expand(4, 32, 32))
    queries, keys = engine.maps(1, 0, 0)
    assert (queries.shape, keys.shape) == ((4, 32, 32), (2, 32, 32))
    one = torch.tensor(1.0).double()
    assert torch.allclose(queries[0, 0, :2], torch.stack([one.cos(), one.sin()]))
    assert torch.allclose(queries[0, 1, :2], torch.stack([-one.sin(), one.cos()]))
    far = engine.far(0, 1, 0)
    assert [len(own) for own in far] == [len(STEPS)] * 2
    assert torch.equal(far[1][2], engine.maps(0, STEPS[2], 0)[1])
