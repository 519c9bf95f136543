"""Grounding is learned beside what the model could do, which stays to the last bit."""

import pytest
import torch

from cloc.decoder.prefix_lm import FeedForward
from cloc.decoder.twin import Twin, set_twins
from cloc.errors import UserError
from tests.decoder.test_vlm import TOKENS, VALID, vlm
from tests.helpers.models import random_pixels

ONE, NONE = torch.ones(3), torch.zeros(3)
SOME = torch.tensor([1.0, 0.0, 0.25])


def learned(model, steps=4, share=NONE):
    step = torch.optim.Adam((p for p in model.parameters() if p.requires_grad), lr=0.05)
    for _ in range(steps):
        step.zero_grad()
        model(random_pixels(0, 3), TOKENS, VALID, share=share)[VALID].square().mean().backward()
        step.step()


def with_twins(**more):
    model = vlm()
    model.tower.requires_grad_(False)
    model.connector.requires_grad_(False)
    return model, set_twins(model.language, **more)


def test_it_is_the_shares_of_both():
    torch.manual_seed(0)
    twin, x = Twin(FeedForward(8, 16), begin="random"), torch.randn(3, 5, 8)
    expected = SOME[:, None, None] * twin.old(x) + (1 - SOME)[:, None, None] * twin.new(x)
    torch.testing.assert_close(twin(x, SOME), expected)
    assert twin(x, ONE).equal(twin.old(x))
    assert twin(x).equal(twin.old(x))


@torch.no_grad()
def test_as_a_copy_it_begins_where_the_share_does_not_matter():
    model, pixels = vlm(), random_pixels(0, 3)
    base = model(pixels, TOKENS, VALID)
    set_twins(model.language)
    for share in (ONE, NONE, SOME):
        torch.testing.assert_close(model(pixels, TOKENS, VALID, share=share), base)
    assert model(pixels, TOKENS, VALID).equal(base)


@pytest.mark.parametrize("every", [1, 2])
def test_after_any_number_of_updates_the_old_answers_are_bit_equal(every):
    """Also where the new one has become no number at all."""
    model, twins = with_twins(every=every)
    assert len(twins) == 2 // every
    pixels = random_pixels(1, 3)
    base = model(pixels, TOKENS, VALID)
    kept = {n: v.clone() for n, v in model.state_dict().items() if ".new." not in n}
    learned(model)
    assert model(pixels, TOKENS, VALID, share=ONE).equal(base)
    assert all(model.state_dict()[name].equal(value) for name, value in kept.items())
    assert not model(pixels, TOKENS, VALID, share=NONE).allclose(base)
    mixed = model(pixels, TOKENS, VALID, share=SOME)
    assert mixed[0].allclose(base[0], atol=1e-5)
    for twin in twins:
        twin.new.down.weight.data.fill_(float("nan"))
    assert model(pixels, TOKENS, VALID, share=ONE).equal(base)


def test_only_the_new_ones_are_trained():
    model, _ = with_twins()
    names = {n for n, p in model.named_parameters() if p.requires_grad}
    assert names == {
        f"language.blocks.1.feed_forward.new.{n}.weight" for n in ("gate", "up", "down")
    }
    learned(model, steps=1)
    assert all(p.grad is None for n, p in model.named_parameters() if n not in names)


@torch.no_grad()
def test_answers_are_asked_with_a_share_too():
    model, twins = with_twins(begin="random", every=1)
    for twin in twins:
        torch.nn.init.normal_(twin.new.down.weight, std=3)
    pixels = random_pixels(0, 3)
    old, new, mixed = (
        model.answer(pixels, TOKENS, VALID, most=5, end=30, share=share)
        for share in (ONE, NONE, torch.tensor([1.0, 0.0, 0.0]))
    )
    assert not old.equal(new)
    assert mixed.equal(torch.cat([old[:1], new[1:]]))


@pytest.mark.parametrize(
    ("more", "says"), [({"every": 0}, "every=0; give 1 to 2"), ({"begin": "x"}, "begin=x; choose")]
)
def test_what_cannot_be_is_one_line(more, says):
    with pytest.raises(UserError, match=f"decoder.twin.{says}"):
        set_twins(vlm().language, **more)
