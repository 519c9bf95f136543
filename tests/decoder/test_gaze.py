"""Shares of attention at the word that answers."""

import pytest
import torch

from cloc.decoder.gaze import (
    among_all,
    best_heads,
    first_token,
    gaze,
    inside_boxes,
    of_picture,
    on_boxes,
    picture_of,
    spread,
)
from cloc.decoder.router import Router
from cloc.decoder.twin import set_twins
from cloc.errors import UserError
from cloc.models.positions.rotary.rotate import rotate
from tests.decoder.test_decoder import TOKENS, VALID, made, seen

SHARES = torch.tensor([[[[0.1, 0.2, 0.3, 0.4], [0.5, 0.5, 0.0, 0.0]]]])  # of 2 patches, 2 words
PICTURE = torch.tensor([[True, True, False, False]])


@torch.no_grad()
def of_first_block(decoder, patches, tokens, valid):
    """Shares of the last word, slowly: [b h m] of a grid of 4 x 4 and 2 heads of 16 channels."""
    block, language = decoder.language.blocks[0], decoder.language
    x = torch.cat([decoder.connector(patches, (4, 4)), language.token_embedding(tokens)], 1)
    query, key, _ = block.attention.qkv(block.norm_attention(x)).chunk(3, -1)
    where, _ = language.rotary.positions([(4, 4), tokens.shape[1]])
    angles = language.rotary(where[None])
    query, key = (rotate(p.unflatten(-1, (2, 16)).transpose(1, 2), angles) for p in (query, key))
    found = torch.zeros(len(x), 2, x.shape[1])
    for row, last in enumerate((15 + valid.sum(1)).tolist()):
        logits = (query[row, :, last, None] * key[row]).sum(-1) / 4
        found[row, :, : last + 1] = logits[:, : last + 1].softmax(-1)
    return found


@pytest.mark.parametrize("count", [1, 4])
def test_of_every_block_and_head_for_the_last_word_of_each_question(count):
    """Also where a question has as many words as the tower has class tokens."""
    decoder, (patches, grid) = made(), seen()
    tokens, valid = TOKENS[:, :count], VALID[:, :count]
    look = gaze(decoder, patches, grid, tokens, valid)
    found = look.shares
    assert look.layers == (0, 1)
    assert found.shape == (2, 3, 2, 16 + count)
    torch.testing.assert_close(found.sum(-1), torch.ones(2, 3, 2))
    hidden = torch.cat([torch.ones(3, 16).bool(), valid], 1)
    assert (found * ~hidden[:, None]).abs().max() == 0
    torch.testing.assert_close(found[0], of_first_block(decoder, patches, tokens, valid))


def test_patches_of_our_decoder_stand_before_its_words():
    found = picture_of(torch.zeros(1, 2, 8), torch.ones(1, 2).bool())
    assert found.equal(PICTURE)


def test_of_the_expert_that_would_answer():
    decoder, (patches, grid) = made(), seen()
    old = gaze(decoder, patches, grid, TOKENS, VALID)
    for twin in set_twins(decoder.language, every=1):
        torch.nn.init.normal_(twin.new.down.weight, std=3)
    decoder.router = Router(32)
    same = gaze(decoder, patches, grid, TOKENS, VALID)
    assert same.shares.equal(old.shares)
    assert same.first.equal(old.first)
    torch.nn.init.constant_(decoder.router.score.bias, -1)
    new = gaze(decoder, patches, grid, TOKENS, VALID)
    assert new.shares[0].equal(old.shares[0])
    assert not new.shares[1].allclose(old.shares[1])
    assert not new.first.allclose(old.first)


def test_logits_of_the_token_that_is_answered_first_in_one_pass():
    decoder, (patches, grid) = made(), seen()
    passes = []
    decoder.language.register_forward_hook(lambda *_: passes.append(1))
    found = gaze(decoder, patches, grid, TOKENS, VALID).first
    assert len(passes) == 2  # patches, and words behind them
    answers = decoder.answer(patches, grid, TOKENS, VALID, most=1, end=-1)
    assert found.argmax(-1).tolist() == answers[:, 0].tolist()
    torch.testing.assert_close(
        found.softmax(-1).amax(-1), decoder.confidence(patches, grid, TOKENS, VALID)
    )
    assert first_token(decoder, patches, grid, TOKENS, VALID).equal(found)


def test_the_part_of_the_picture_with_words_that_count_for_neither():
    torch.testing.assert_close(of_picture(SHARES, PICTURE), torch.tensor([[[0.3, 1.0]]]))
    first = torch.tensor([[False, False, True, False]])
    without = of_picture(SHARES, PICTURE, ignored=first)
    torch.testing.assert_close(without, torch.tensor([[[0.3 / 0.7, 1.0]]]))


def test_a_picture_that_stands_elsewhere_has_the_same_figures():
    order = torch.tensor([3, 0, 2, 1])
    shares, picture = SHARES[..., order], PICTURE[:, order]
    for figure in (of_picture, spread):
        assert figure(shares, picture).equal(figure(SHARES, PICTURE))
    first = among_all([torch.tensor([True, False])], picture)
    assert first.equal(torch.tensor([[True, False, False, False]])[:, order])
    torch.testing.assert_close(on_boxes(shares, picture, first), torch.tensor([[[1 / 3, 0.5]]]))


def test_0_is_one_patch_and_1_all_alike():
    one = torch.tensor([[[[0.5, 0.0, 0.0, 0.5], [0.2, 0.2, 0.2, 0.4], [0.0, 0.0, 0.0, 1.0]]]])
    three = torch.tensor([[True, True, True, False]])
    torch.testing.assert_close(spread(one, three), torch.tensor([[[0.0, 1.0, 0.0]]]))
    both = spread(one.expand(-1, 2, -1, -1), torch.cat([three, PICTURE]))
    torch.testing.assert_close(both[0, 1], torch.tensor([0.0, 1.0, 0.0]))  # of two, each its own
    with pytest.raises(UserError, match="1 patches have no spread"):
        spread(one, torch.tensor([[True, False, False, False]]))


def test_the_part_of_the_look_that_lies_inside():
    inside = torch.tensor([[True, False, False, False]])
    torch.testing.assert_close(on_boxes(SHARES, PICTURE, inside), torch.tensor([[[1 / 3, 0.5]]]))


def test_patches_whose_middle_lies_in_a_box():
    boxes = torch.tensor([[[0.0, 0.0, 0.5, 0.5], [0.9, 0.9, 1.0, 1.0], [0.0, 0.0, 1.0, 1.0]]])
    valid = torch.tensor([[True, True, False]])
    found = inside_boxes(boxes, valid, (2, 4)).view(2, 4)
    assert found.tolist() == [[True, True, False, False], [False] * 4]
    assert inside_boxes(boxes, ~valid, (2, 4)).all()


def test_the_heads_with_the_largest_mean_the_best_one_first():
    figure = torch.tensor([[[0.1, 0.5], [0.1, 0.7]], [[0.9, 0.0], [0.5, 0.0]]])
    assert best_heads(figure, 3) == [(1, 0), (0, 1), (0, 0)]
    with pytest.raises(UserError, match="count=5; give 1 to 4, the heads there are"):
        best_heads(figure, 5)
