"""The language model: what sees what, whole or piece by piece."""

import pytest
import torch
import torch.nn.functional as F

from cloc.decoder.prefix_lm import PrefixLM, sight
from cloc.errors import UserError

PARTS = [2, (2, 2), 3]
KINDS = ["flat", "axial", "mrope"]


def model(kind="mrope", **more):
    torch.manual_seed(0)
    made = PrefixLM(20, width=32, layers=2, num_heads=2, rotary={"kind": kind}, **more)
    for weight in made.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return made.double().eval()


def run(lm, x, parts=PARTS, past=None, start=0.0):
    where, behind = lm.rotary.positions(parts, start=start)
    sees = sight(parts)[None, None]
    return (*lm(x, where[None].to(x), sees, past), behind)


def test_patches_see_each_other_and_words_see_what_stands_before_them():
    assert sight(PARTS).int().tolist() == [
        *[[1, 0, 0, 0, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0, 0, 0, 0]],
        *[[1, 1, 1, 1, 1, 1, 0, 0, 0]] * 4,
        [1, 1, 1, 1, 1, 1, 1, 0, 0],
        [1, 1, 1, 1, 1, 1, 1, 1, 0],
        [1] * 9,
    ]


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_a_change_reaches_those_that_see_it_and_no_other(kind):
    lm, x = model(kind), torch.randn(1, 9, 32).double()
    before = run(lm, x)[0]
    for token in range(9):
        other = x.clone()
        other[0, token] += 1
        moved = (run(lm, other)[0] - before).abs().amax(-1)[0] > 1e-9
        assert moved.equal(sight(PARTS)[:, token])


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cut", [[1, 1, (2, 2), 3], [2, (2, 2), 1, 1, 1], [2, (2, 2), 3]])
def test_pieces_equal_one_pass(kind, cut):
    """Keys and values that are kept: to 1e-5 in float32, here to 1e-10 in float64."""
    lm, x = model(kind), torch.randn(2, 9, 32).double()
    whole, _, _ = run(lm, x)
    found, past, start, done = [], None, 0.0, 0
    for part in cut:
        count = part if isinstance(part, int) else part[0] * part[1]
        where, start = lm.rotary.positions([part], start=start)
        sees = sight(PARTS)[done : done + count, : done + count][None, None]
        own, past = lm(x[:, done : done + count], where[None].double(), sees, past)
        found.append(own)
        done += count
    torch.testing.assert_close(torch.cat(found, 1), whole, rtol=0, atol=1e-10)


@torch.no_grad()
def test_text_alone_is_answered_bit_for_bit_alike_by_1_d_and_m_rope():
    flat, mrope = model("flat"), model("mrope")
    mrope.load_state_dict(flat.state_dict())
    x = torch.randn(1, 6, 32).double()
    assert run(flat, x, [6])[0].equal(run(mrope, x, [6])[0])
    assert not run(flat, x, [(2, 2), 2])[0].allclose(run(mrope, x, [(2, 2), 2])[0])


@torch.no_grad()
def test_the_order_of_patches_matters_by_their_positions_alone():
    lm, x = model(), torch.randn(1, 9, 32).double()
    order = torch.tensor([0, 1, 4, 2, 5, 3, 6, 7, 8])
    where, _ = lm.rotary.positions(PARTS)
    sees = sight(PARTS)[None, None]
    whole = lm(x, where[None].double(), sees)[0]
    assert not lm(x[:, order], where[None].double(), sees)[0][:, 6:].allclose(whole[:, 6:])
    moved = lm(x[:, order], where[order][None].double(), sees)[0]
    torch.testing.assert_close(moved[:, 6:], whole[:, 6:])


@torch.no_grad()
def test_the_longer_patches_are_the_less_positions_turn_them_and_words_as_much_as_before():
    """By one over their length (arXiv 2503.17349), since what attention adds is not longer."""
    torch.manual_seed(0)
    lm = PrefixLM(20, width=64, layers=1, num_heads=4)
    torch.nn.init.normal_(lm.blocks[0].attention.out.weight, std=0.3)
    lm = lm.double().eval()
    patches, words = torch.randn(2, 16, 64).double(), torch.randn(2, 4, 64).double()
    moved = {"patches": [], "words": []}
    where, _ = lm.rotary.positions([(4, 4), 4])
    other = where[torch.cat([torch.randperm(16), torch.arange(16, 20)])]
    for loud in (10, 100, 1000):
        x = torch.cat([F.normalize(patches, dim=-1) * loud, words], 1)
        first, second = (
            lm(x, at[None].double(), sight([(4, 4), 4])[None, None])[0] for at in (where, other)
        )
        change = (first - second).norm(dim=-1).mean(0)
        moved["patches"].append(change[:16].mean().log10())
        moved["words"].append(change[16:].mean().log10())
    assert torch.stack(moved["patches"]).diff().tolist() == pytest.approx([-1, -1], abs=0.1)
    assert torch.stack(moved["words"]).diff().tolist() == pytest.approx([0, 0], abs=0.02)


def test_the_table_that_reads_tokens_gives_their_logits():
    lm = model()
    x = torch.randn(3, 32).double()
    assert lm.logits(x).equal(x @ lm.token_embedding.weight.T)
    assert {name for name, p in lm.named_parameters() if 20 in p.shape} == {
        "token_embedding.weight"
    }


@pytest.mark.parametrize(
    "more", [{"width": 30}, {"num_heads": 5}, {"layers": 0}, {"width": 0}, {"hidden": -1}]
)
def test_sizes_that_do_not_fit_each_other_are_one_line(more):
    with pytest.raises(UserError, match=r"decoder.language.width=.* a multiple of the heads"):
        PrefixLM(20, **{"width": 32, "num_heads": 4, **more})
