"""Questions of a batch, word for word."""

from random import Random

import pytest
import torch

from cloc.decoder.asking import KINDS, Asking
from cloc.decoder.boxes_in_words import BoxWords
from cloc.decoder.words import Words
from cloc.errors import UserError
from cloc.interfaces import RegionBatch
from cloc.models.tokenizers import make_tokenizer
from tests.helpers.models import NATIVE

TOKENIZE = make_tokenizer(NATIVE)
WORDS = Words(TOKENIZE)
PHRASES = ["a red ball", "a cup left of it", "a cup right of it"]


def batch(index, negatives, valid):
    boxes = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.5, 0.25, 1.0, 1.0]]).expand(len(index), 2, 4)
    return RegionBatch(
        images=torch.zeros(len(index), 3, 8, 8, dtype=torch.uint8),
        captions=torch.zeros(len(index), 4, dtype=torch.long),
        caption_valid=torch.zeros(len(index), dtype=torch.bool),
        boxes=boxes,
        valid=torch.tensor(valid),
        phrases=TOKENIZE(PHRASES, 8),
        phrase_index=torch.tensor(index),
        negative_index=torch.tensor(negatives),
        keys=("a",) * len(index),
        extra={},
    )


ONE = batch([[0, 1]], [[[-1], [2]]], [[True, True]])


def said(asked, boxes):
    """(kind, question, answer) in words."""
    found = []
    for row, valid, answer, kind in zip(*asked, strict=True):
        told = boxes.words.decode(row[valid & ~answer].tolist())
        box = boxes.decode(row[answer].tolist())
        found.append((int(kind), told, box or boxes.words.decode(row[answer].tolist())))
    return found


def test_all_three_kinds_each_as_often_as_the_others():
    boxes = BoxWords(WORDS, 49408, cells=8)
    asking = Asking(boxes)
    found = [said(asking(ONE, Random(seed)), boxes)[0] for seed in range(600)]
    kinds = [kind for kind, _, _ in found]
    assert all(160 < kinds.count(i) < 240 for i in range(3))
    first, second = "0 0 4 4", "4 2 8 8"
    expected = {
        (0, "where is a red ball ?", (0.0, 0.0, 0.5, 0.5)),
        (0, "where is a cup left of it ?", (0.5, 0.25, 1.0, 1.0)),
        (1, f"what is at {first} ?", "a red ball"),
        (1, f"what is at {second} ?", "a cup left of it"),
        (2, f"at {second} : a cup left of it or a cup right of it ?", "a cup left of it"),
        (2, f"at {second} : a cup right of it or a cup left of it ?", "a cup left of it"),
    }
    assert set(found) == expected
    orders = [told.index("left") < told.index("right") for k, told, _ in found if k == 2]
    assert 70 < sum(orders) < 130


def test_boxes_that_have_tokens_of_their_own():
    boxes = BoxWords(WORDS, 49408, form="tokens", cells=8)
    asked = Asking(boxes, kinds=["what"])(
        batch([[1, 0]], [[[-1], [-1]]], [[True, False]]), Random(0)
    )
    lines = [49408 + line for line in (0, 0, 4, 4)]
    told = [*WORDS.encode("what is at"), *lines, *WORDS.encode("?")]
    row = asked.tokens[0][asked.valid[0]].tolist()
    assert row == [WORDS.begin, *told, *WORDS.encode("a cup left of it"), WORDS.end]


def test_not_where_a_phrase_is_that_two_regions_have():
    boxes = BoxWords(WORDS, 49408)
    same = batch([[0, 0]], [[[-1], [-1]]], [[True, True]])
    assert {said(Asking(boxes)(same, Random(s)), boxes)[0][0] for s in range(50)} == {1}
    alone = batch([[0, 0]], [[[-1], [-1]]], [[True, False]])
    assert {said(Asking(boxes)(alone, Random(s)), boxes)[0][0] for s in range(50)} == {0, 1}


def test_a_picture_without_regions_is_asked_nothing_and_rows_are_padded_on_the_right():
    boxes = BoxWords(WORDS, 49408)
    both = batch([[0, 1], [0, 0]], [[[-1], [2]], [[-1], [-1]]], [[True, True], [False, False]])
    asked = Asking(boxes, kinds=["which"])(both, Random(0))
    assert asked.kinds.tolist() == [KINDS.index("which"), -1]
    assert not asked.answer[1].any()
    assert asked.valid[1].tolist()[:3] == [True, True, False]
    assert asked.tokens.shape[1] % 8 == 0
    counts = asked.valid.sum(1)
    assert all(
        row[:n].all() and not row[n:].any() for row, n in zip(asked.valid, counts, strict=True)
    )
    last = asked.tokens[0][asked.answer[0]].tolist()
    assert last[-1] == WORDS.end
    assert asked.tokens[0, 0] == WORDS.begin


def test_the_same_chance_gives_the_same_questions():
    asking = Asking(BoxWords(WORDS, 49408))
    first, again = (asking(ONE, Random(3)) for _ in range(2))
    assert all(a.equal(b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("kinds", [[], ["why"]])
def test_other_kinds_are_told(kinds):
    with pytest.raises(UserError, match=r"decoder.kinds=\[.*\]; choose from where, what, which"):
        Asking(BoxWords(WORDS, 49408), kinds=kinds)
