"""The answering token's look at the picture, sharpened or smoothed."""

from itertools import pairwise

import pytest
import torch

from cloc.decoder.attention import Attention
from cloc.decoder.steer import AdaptVis, Steer, applied, choose
from cloc.errors import UserError
from cloc.models.positions.rotary.rotate import rotate, tables
from tests.decoder.test_decoder import TOKENS, VALID, made, seen

ANGLES = torch.rand(1, 1, 6, 4, generator=torch.Generator().manual_seed(0))
SEES = torch.ones(6, 6).tril().bool()[None, None].expand(2, 1, 6, 6)
PICTURE = torch.tensor([[1, 1, 1, 0, 0, 0]] * 2).bool()
LAST = torch.tensor([5, 4])


def attention():
    torch.manual_seed(0)
    made = Attention(16, 2)
    torch.nn.init.normal_(made.qkv.weight, std=0.5)
    return made.eval(), torch.randn(2, 6, 16)


def steer(*factor, **more):
    return Steer(torch.tensor(factor), LAST, PICTURE, **more)


def shares_of(own, x, factor):
    """Slowly: of the last row of the first sequence, logits of patches times the factor."""
    query, key, _ = (p.unflatten(-1, (2, 8)).transpose(1, 2) for p in own.qkv(x).chunk(3, -1))
    query, key = rotate(query, ANGLES), rotate(key, ANGLES)
    logits = (query[0, :, 5, None] * key[0]).sum(-1) / 8**0.5
    logits[:, :3] *= factor
    return logits.softmax(-1)


@torch.no_grad()
@pytest.mark.parametrize("factor", [0.0, 0.5, 2.0])
def test_logits_of_the_last_row_are_multiplied_before_the_softmax(factor):
    own, x = attention()
    found, _ = own(x, tables(ANGLES), SEES, None, steer(factor, 1.0))
    value = own.qkv(x).chunk(3, -1)[2].unflatten(-1, (2, 8)).transpose(1, 2)
    expected = (shares_of(own, x, factor)[..., None] * value[0]).sum(1).flatten()
    torch.testing.assert_close(found[0, 5], own.out(expected))
    plain, _ = own(x, tables(ANGLES), SEES)
    assert found[0, :5].equal(plain[0, :5])  # every other row, bit for bit
    torch.testing.assert_close(found[1], plain[1])


@torch.no_grad()
def test_a_larger_factor_makes_the_look_sharper_among_patches_and_0_makes_it_even():
    own, x = attention()
    among = [shares_of(own, x, factor)[:, :3] for factor in (0.0, 0.5, 1.0, 2.0, 4.0)]
    among = [one / one.sum(-1, keepdim=True) for one in among]
    torch.testing.assert_close(among[0], torch.full((2, 3), 1 / 3))
    entropy = [-(one * one.log()).sum(-1).mean() for one in among]
    assert all(a > b for a, b in pairwise(entropy))


@torch.no_grad()
@pytest.mark.parametrize("seed", range(5))
def test_a_factor_of_any_size_gives_numbers_of_which_no_two_become_alike(seed):
    own, x = attention()
    angles = torch.rand(1, 1, 6, 4, generator=torch.Generator().manual_seed(seed))
    factors = [AdaptVis(unsure=f, sure=f).factors(torch.ones(2)) for f in (1e300, 3e38, 1e30)]
    larger, huge, large = (
        own(x, tables(angles), SEES, None, Steer(factor, LAST, PICTURE))[0] for factor in factors
    )
    assert huge.isfinite().all()
    torch.testing.assert_close(huge, large)
    torch.testing.assert_close(larger, large)


@torch.no_grad()
def test_what_is_not_seen_stays_unseen():
    own, x = attention()
    hidden = SEES.clone()
    hidden[:, :, :, 1] = False
    other = x.clone()
    other[:, 1] += 5
    for one in (steer(0.0, 3.0), steer(2.0, 0.5)):
        found, moved = (own(y, tables(ANGLES), hidden, None, one)[0] for y in (x, other))
        assert found[:, 2:].equal(moved[:, 2:])


@torch.no_grad()
def test_chosen_heads_alone():
    own, x = attention()
    own.out.weight.copy_(torch.eye(16))
    plain, _ = own(x, tables(ANGLES), SEES)
    found, _ = own(x, tables(ANGLES), SEES, None, steer(0.1, 0.1, heads=frozenset([1])))
    assert found[0, 5, :8].equal(plain[0, 5, :8])  # of the other head, bit for bit
    assert not found[0, 5, 8:].allclose(plain[0, 5, 8:])


@torch.no_grad()
def test_in_half_precision_a_row_is_steered_in_float32():
    torch.manual_seed(0)
    parts = [torch.randn(2, 2, 6, 8).bfloat16() for _ in range(3)]
    found = torch.randn(2, 6, 2, 8).bfloat16()
    expected = applied(steer(0.5, 3.0), found.float(), *(x.float() for x in parts), SEES)
    assert applied(steer(0.5, 3.0), found, *parts, SEES).equal(expected.bfloat16())


@torch.no_grad()
def test_a_factor_of_1_is_the_model_as_it_was_bit_for_bit():
    """Also where another question of the batch has another one."""
    decoder, (patches, grid) = made(), seen()
    found, past = decoder.steered(patches, grid, TOKENS, VALID, steer=None)
    for same in (AdaptVis(unsure=1, sure=1), AdaptVis(unsure=1, sure=1.0, threshold=0.2)):
        again, kept = decoder.steered(patches, grid, TOKENS, VALID, steer=same)
        assert again.equal(found)
        assert all(a.keys.equal(b.keys) for a, b in zip(kept, past, strict=True))
    middle = float(decoder.confidence(patches, grid, TOKENS, VALID).median())
    one = AdaptVis(unsure=0.1, sure=1, threshold=middle)
    mixed, _ = decoder.steered(patches, grid, TOKENS, VALID, steer=one)
    assert sorted((mixed == found).flatten(1).all(1).tolist()) == [False, True, True]
    before = list(decoder.state_dict())
    changed, _ = decoder.steered(patches, grid, TOKENS, VALID, steer=AdaptVis(unsure=0.1, sure=0.1))
    assert not changed.equal(found)
    assert list(decoder.state_dict()) == before


@torch.no_grad()
def test_chosen_layers_alone_and_all_other_rows_stay():
    decoder, (patches, grid) = made(), seen()
    found, past = decoder.steered(patches, grid, TOKENS, VALID, steer=None)
    none = AdaptVis(unsure=0.1, sure=0.1, layers=[])
    assert decoder.steered(patches, grid, TOKENS, VALID, steer=none)[0].equal(found)
    last = AdaptVis(unsure=0.1, sure=0.1, layers=[1])
    again, kept = decoder.steered(patches, grid, TOKENS, VALID, steer=last)
    assert all(a.keys.equal(b.keys) for a, b in zip(kept, past, strict=True))
    moved = (again != found).any(-1)
    assert moved.sum(1).tolist() == [1, 1, 1]
    assert moved.int().argmax(1).tolist() == (VALID.sum(1) - 1).tolist()


@torch.no_grad()
def test_below_the_threshold_it_smooths_else_it_sharpens_in_two_passes():
    decoder, (patches, grid) = made(), seen()
    found, _ = decoder.steered(patches, grid, TOKENS, VALID, steer=None)
    last = found[torch.arange(3), VALID.sum(1) - 1]
    sure = decoder.language.logits(last).softmax(-1).amax(-1)
    middle = float(sure.sort().values[1])  # at the threshold is sure
    own = AdaptVis(unsure=0.25, sure=3.0, threshold=middle)
    assert own.factors(sure).tolist() == [0.25 if x < middle else 3.0 for x in sure.tolist()]
    passes = []
    decoder.language.register_forward_hook(lambda *_: passes.append(1))
    mixed, _ = decoder.steered(patches, grid, TOKENS, VALID, steer=own)
    assert len(passes) == 3  # patches once, words twice
    for row, factor in enumerate(own.factors(sure).tolist()):
        fixed = AdaptVis(unsure=factor, sure=factor)
        alone, _ = decoder.steered(patches, grid, TOKENS, VALID, steer=fixed)
        torch.testing.assert_close(mixed[row], alone[row])
    assert len(passes) == 9  # equal factors take one pass of words


@torch.no_grad()
def test_a_batch_answers_as_each_alone():
    decoder, (patches, grid) = made(), seen()
    own = AdaptVis(unsure=0.1, sure=4.0, threshold=0.5)
    found = decoder.answer(patches, grid, TOKENS, VALID, most=4, end=30, steer=own)
    for row, count in enumerate(VALID.sum(1).tolist()):
        one = slice(row, row + 1)
        told = decoder.answer(
            patches[one], grid, TOKENS[one, :count], VALID[one, :count], most=4, end=30, steer=own
        )
        assert told[0].equal(found[row])


@torch.no_grad()
def test_answers_are_those_of_whole_passes_of_which_the_same_row_is_steered():
    decoder, (patches, grid) = made(), seen()
    own = AdaptVis(unsure=0.1, sure=0.1)
    found = decoder.answer(patches, grid, TOKENS, VALID, most=5, end=30, steer=own)
    assert not found.equal(decoder.answer(patches, grid, TOKENS, VALID, most=5, end=30))
    for i, count in enumerate(VALID.sum(1).tolist()):
        said, past = [], decoder._look(patches[i : i + 1], grid, None)
        for _ in range(5):
            row = torch.cat([TOKENS[i, :count], torch.tensor(said, dtype=torch.long)])[None]
            picture = torch.arange(16 + row.shape[1])[None] < 16
            one = Steer(torch.tensor([0.1]), torch.tensor([count - 1]), picture)
            there = torch.ones_like(row).bool()
            told, _ = decoder._ask(past, grid, row, there, steer=one)
            said.append(int(decoder.language.logits(told[0, -1]).argmax()))
        assert said == found[i].tolist()


def test_factors_and_threshold_are_those_that_answer_most():
    confidence = torch.tensor([0.1, 0.2, 0.3, 0.8, 0.9])
    right = {
        1.0: torch.tensor([0, 0, 1, 1, 0]).bool(),
        0.5: torch.tensor([1, 1, 0, 0, 0]).bool(),
        2.0: torch.tensor([0, 0, 0, 1, 1]).bool(),
    }
    found = choose(confidence, right, [0.1, 0.25, 0.5])
    assert (found.unsure, found.sure, found.threshold) == (0.5, 1.0, 0.25)
    same = {factor: right[1.0] for factor in (0.5, 1.0, 2.0)}
    found = choose(confidence, same, [0.5])
    assert (found.unsure, found.sure) == (1.0, 1.0)  # the model as it is before all others
    with pytest.raises(UserError, match="no factor or no question"):
        choose(confidence, {}, [0.5])
    with pytest.raises(UserError, match="no threshold to choose from"):
        choose(confidence, right, [])


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"unsure": -1, "sure": 1}, "steer.unsure=-1; give a factor of 0 or more"),
        ({"unsure": 1, "sure": float("inf")}, "steer.sure=inf; give"),
        ({"unsure": 1, "sure": 1, "threshold": 1.5}, "steer.threshold=1.5; give a probability"),
    ],
)
def test_what_cannot_be_is_one_line(more, says):
    with pytest.raises(UserError, match=says):
        AdaptVis(**more)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"layers": [0, 2]}, r"steer\.layers=2; give 0 to 1, those of the model"),
        ({"layers": [-1]}, r"steer\.layers=-1; give"),
        ({"heads": [2]}, r"steer\.heads=2; give 0 to 1, those of the model"),
    ],
)
def test_layers_and_heads_that_are_not_there_are_one_line(more, says):
    decoder, (patches, grid) = made(), seen()
    own = AdaptVis(unsure=0.5, sure=0.5, **more)
    with pytest.raises(UserError, match=says):
        decoder.answer(patches, grid, TOKENS, VALID, most=1, end=30, steer=own)
