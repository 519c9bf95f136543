"""Grounding is learned beside what the model could do, which stays to the last bit."""

import pytest
import torch

from cloc.decoder.prefix_lm import FeedForward
from cloc.decoder.twin import Twin, set_twins
from cloc.errors import UserError
from tests.decoder.test_decoder import TOKENS, VALID, logits, made, seen

ONE, NONE = torch.ones(3), torch.zeros(3)
SOME = torch.tensor([1.0, 0.0, 0.25])


def learned(decoder, steps=4, share=NONE):
    step = torch.optim.Adam((p for p in decoder.parameters() if p.requires_grad), lr=0.05)
    for _ in range(steps):
        step.zero_grad()
        logits(decoder, *seen(), TOKENS, VALID, share=share)[VALID].square().mean().backward()
        step.step()


def with_twins(**more):
    decoder = made()
    decoder.connector.requires_grad_(False)
    return decoder, set_twins(decoder.language, **more)


def test_it_is_the_shares_of_both():
    torch.manual_seed(0)
    twin, x = Twin(FeedForward(8, 16), begin="random"), torch.randn(3, 5, 8)
    expected = SOME[:, None, None] * twin.old(x) + (1 - SOME)[:, None, None] * twin.new(x)
    torch.testing.assert_close(twin(x, SOME), expected)
    assert twin(x, ONE).equal(twin.old(x))
    assert twin(x).equal(twin.old(x))


@torch.no_grad()
def test_as_a_copy_it_begins_where_the_share_does_not_matter():
    decoder, (patches, grid) = made(), seen()
    base = logits(decoder, patches, grid, TOKENS, VALID)
    set_twins(decoder.language)
    for share in (ONE, NONE, SOME):
        torch.testing.assert_close(logits(decoder, patches, grid, TOKENS, VALID, share=share), base)
    assert logits(decoder, patches, grid, TOKENS, VALID).equal(base)


@pytest.mark.parametrize("every", [1, 2])
def test_after_any_number_of_updates_the_old_answers_are_bit_equal(every):
    """Also where the new one has become no number at all."""
    decoder, twins = with_twins(every=every)
    assert len(twins) == 2 // every
    patches, grid = seen(seed=1)
    base = logits(decoder, patches, grid, TOKENS, VALID)
    kept = {n: v.clone() for n, v in decoder.state_dict().items() if ".new." not in n}
    learned(decoder)
    assert logits(decoder, patches, grid, TOKENS, VALID, share=ONE).equal(base)
    assert all(decoder.state_dict()[name].equal(value) for name, value in kept.items())
    assert not logits(decoder, patches, grid, TOKENS, VALID, share=NONE).allclose(base)
    mixed = logits(decoder, patches, grid, TOKENS, VALID, share=SOME)
    assert mixed[0].allclose(base[0], atol=1e-5)
    for twin in twins:
        twin.new.down.weight.data.fill_(float("nan"))
    assert logits(decoder, patches, grid, TOKENS, VALID, share=ONE).equal(base)


def test_only_the_new_ones_are_trained():
    decoder, _ = with_twins()
    names = {n for n, p in decoder.named_parameters() if p.requires_grad}
    assert names == {
        f"language.blocks.1.feed_forward.new.{n}.weight" for n in ("gate", "up", "down")
    }
    learned(decoder, steps=1)
    assert all(p.grad is None for n, p in decoder.named_parameters() if n not in names)


@torch.no_grad()
def test_answers_are_asked_with_a_share_too():
    decoder, twins = with_twins(begin="random", every=1)
    for twin in twins:
        torch.nn.init.normal_(twin.new.down.weight, std=3)
    patches, grid = seen()
    old, new, mixed = (
        decoder.answer(patches, grid, TOKENS, VALID, most=5, end=30, share=share)
        for share in (ONE, NONE, torch.tensor([1.0, 0.0, 0.0]))
    )
    assert not old.equal(new)
    assert mixed.equal(torch.cat([old[:1], new[1:]]))


@pytest.mark.parametrize(
    ("more", "says"), [({"every": 0}, "every=0; give 1 to 2"), ({"begin": "x"}, "begin=x; choose")]
)
def test_what_cannot_be_is_one_line(more, says):
    with pytest.raises(UserError, match=f"decoder.twin.{says}"):
        set_twins(made().language, **more)
