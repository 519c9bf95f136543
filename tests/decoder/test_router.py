"""Which expert answers is decided by the question's own words."""

from itertools import islice

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch._subclasses.fake_tensor import FakeTensorMode

from cloc.data.samples.asked import Asked, columns
from cloc.data.samples.raster import from_pixels
from cloc.data.samples.transforms import Sample
from cloc.decoder.asking import CHOICE, Asking
from cloc.decoder.boxes_in_words import BoxWords
from cloc.decoder.gaze import gaze
from cloc.decoder.prefix_lm import STD, FeedForward
from cloc.decoder.router import Router, router_of
from cloc.decoder.twin import Twin, set_twins
from cloc.decoder.words import Words
from cloc.errors import UserError
from cloc.models.tokenizers import make_tokenizer
from cloc.scenes.depth.generate import scenes
from cloc.scenes.generate import with_both_names
from tests.decoder.test_decoder import TOKENS, VALID, made, seen
from tests.helpers.models import NATIVE

BOXES = BoxWords(Words(make_tokenizer(NATIVE)), 49408)
AT = torch.tensor([[2, 3], [1, -1], [-1, -1]])  # of the answers in TOKENS
GROUNDS = torch.tensor([True, False, False])


def routed(*, soft=False, seed=1):
    """Twins that differ, with a router of random weights."""
    decoder = made()
    torch.manual_seed(seed)
    for twin in set_twins(decoder.language, begin="random", every=1):
        torch.nn.init.normal_(twin.new.down.weight, std=3)
    decoder.router = Router(32, soft=soft)
    torch.nn.init.normal_(decoder.router.score.weight)
    return decoder.eval()


def one_each(*rows):
    """Of so many pictures a question each."""
    return [row[:, None] for row in rows]


def test_before_it_has_learned_all_questions_are_the_old_ones():
    router = Router(32)
    odds = router(torch.randn(3, 4, 32), VALID)
    assert router.share(odds).tolist() == [1, 1, 1]


def test_linear_in_the_mean_of_the_words_that_are_asked():
    router, words = Router(32), torch.randn(3, 4, 32)
    torch.nn.init.normal_(router.score.weight)
    for own, valid, found in zip(words, VALID, router(words, VALID), strict=True):
        mean = own[valid].mean(0)
        expected = router.score(mean / mean.square().mean().sqrt())
        torch.testing.assert_close(found, expected[0], rtol=1e-3, atol=1e-4)
    other = words.masked_fill(~VALID[..., None], torch.nan)
    assert router(other, VALID).equal(router(words, VALID))


def test_a_hard_route_is_0_or_1_and_a_soft_one_the_probability():
    odds = torch.tensor([-2.0, -0.1, 0.0, 3.0])
    assert router_of("classifier", 8).share(odds).tolist() == [0, 0, 1, 1]
    torch.testing.assert_close(router_of("soft", 8).share(odds), odds.sigmoid())
    assert router_of("flag", 8) is None
    with pytest.raises(UserError, match=r"decoder\.twin\.route=x; choose classifier, flag, soft"):
        router_of("x", 8)


@torch.no_grad()
def test_the_answer_is_not_read():
    decoder = routed()
    rest = one_each(VALID, AT, GROUNDS)
    found = decoder.route_nll(TOKENS[:, None], *rest)
    other = TOKENS.clone()
    other[0, 2:], other[1, 1] = 20, 21
    assert decoder.route_nll(other[:, None], *rest).equal(found)
    other[0, 1] = 20
    assert decoder.route_nll(other[:, None], *rest)[0] != found[0]
    asked = torch.tensor([[1, 1, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]]).bool()
    odds = decoder.router(decoder.language.token_embedding(TOKENS), asked)
    expected = F.binary_cross_entropy_with_logits(odds, (~GROUNDS).float(), reduction="none")
    torch.testing.assert_close(found[:, 0], expected)


@torch.no_grad()
def test_in_evaluation_nobody_looks_at_the_truth():
    decoder, (patches, grid) = routed(), seen()
    rows = one_each(TOKENS, VALID, AT, GROUNDS)
    found = decoder.answer_nll(patches, grid, *rows)
    assert decoder.answer_nll(patches, grid, *rows[:3], ~rows[3]).equal(found)
    for value in (0.0, 1.0):
        given = decoder.answer_nll(patches, grid, *rows, share=torch.full((3, 1), value))
        route = decoder.route(TOKENS, torch.arange(4) < torch.tensor([[2], [1], [1]]))
        assert (given[:2] == found[:2]).all(-1)[:, 0].equal(route[:2] == value)


@torch.no_grad()
def test_questions_about_one_picture_have_each_its_own_route():
    decoder, (patches, grid) = routed(), seen()
    rows = one_each(TOKENS, VALID, AT, GROUNDS)
    alone = decoder.answer_nll(patches[:1].expand(3, -1, -1), grid, *rows)
    together = decoder.answer_nll(patches[:1], grid, *(row.transpose(0, 1) for row in rows))
    torch.testing.assert_close(together[0], alone[:, 0])


@torch.no_grad()
@pytest.mark.parametrize("soft", [False, True])
def test_answers_are_those_of_the_predicted_route_where_no_share_is_given(soft):
    decoder, (patches, grid) = routed(soft=soft), seen()
    route = decoder.route(TOKENS, VALID)
    assert len(set(route.tolist())) > 1
    found = decoder.answer(patches, grid, TOKENS, VALID, most=5, end=30)
    given = decoder.answer(patches, grid, TOKENS, VALID, most=5, end=30, share=route)
    old = decoder.answer(patches, grid, TOKENS, VALID, most=5, end=30, share=torch.ones(3))
    assert found.equal(given)
    assert not found.equal(old)
    sure = decoder.confidence(patches, grid, TOKENS, VALID)
    assert sure.equal(decoder.confidence(patches, grid, TOKENS, VALID, share=route))
    assert not sure.allclose(decoder.confidence(patches, grid, TOKENS, VALID, share=torch.ones(3)))


@torch.no_grad()
def test_twins_without_a_router_are_asked_with_a_share():
    """Else the new ones would not be asked, and nobody would see it."""
    decoder, (patches, grid) = routed(), seen()
    given = decoder.answer(patches, grid, TOKENS, VALID, most=5, end=30, share=torch.zeros(3))
    decoder.router = None
    rows = (patches, grid, TOKENS, VALID)
    assert decoder.answer(*rows, most=5, end=30, share=torch.zeros(3)).equal(given)
    for ask in (
        lambda: decoder.answer(*rows, most=5, end=30),
        lambda: decoder.confidence(*rows),
        lambda: decoder.answer_nll(patches, grid, *one_each(TOKENS, VALID, AT, GROUNDS)),
        lambda: gaze(decoder, *rows),
    ):
        with pytest.raises(UserError, match=r"decoder\.twin\.route=flag, and nobody says which"):
            ask()
    assert made().route(TOKENS, VALID) is None  # without twins there is nothing to say


def test_a_share_may_be_given_on_the_cpu_of_a_model_on_a_gpu():
    twin = Twin(FeedForward(8, 16))
    with FakeTensorMode():
        with torch.device("cuda"):
            x, twin.old, twin.new = torch.empty(3, 5, 8), FeedForward(8, 16), FeedForward(8, 16)
        assert twin(x, torch.ones(3)).device.type == "cuda"


def prompts(split, count):
    """Questions about scenes, all kinds alike: columns."""
    asked = []
    kinds = [Asking(BOXES, kinds=[kind]) for kind in CHOICE]
    rng = np.random.default_rng(0)
    for record in islice(map(with_both_names, scenes(split, count, relational=1.0)), count):
        regions = record.regions
        sample = Sample(
            key="",
            image=from_pixels(np.zeros((64, 64, 3), np.uint8)),
            caption=None,
            boxes=np.array([r.box for r in regions], np.float32),
            phrases=tuple(r.text for r in regions),
            negatives=tuple(r.negatives for r in regions),
        )
        asked += [(one,) for asking in kinds for one in asking(sample, rng)]
    return {name: column[:, 0] for name, column in columns(asked, slots=1).items()}


OTHER_WORDS = {  # none of them in the forms that are taught
    True: [
        "where are the cups?",
        "find a ball in this image",
        "locate a green duck",
        "show the place of the chair",
        "give me its box",
        "give the coordinates of a red car",
        "draw a rectangle around the ball",
        "where would i find a bottle?",
    ],
    False: [
        "how many balls are there?",
        "is there a ball in the image?",
        "are there red things?",
        "what colour does the car have?",
        "describe what you see",
        "what does this show?",
        "tell me a story about the picture",
        "does it look like a cup?",
    ],
}


def learned_router():
    """By a table that never learned, of a thousand steps on sixty scenes."""
    torch.manual_seed(0)
    table = torch.nn.Embedding(49408, 128)
    torch.nn.init.normal_(table.weight, std=STD)
    router = Router(128)
    step = torch.optim.AdamW(router.parameters(), lr=0.02)
    words, asked, truth = read(table, prompts("train", 60))
    assert 0.3 < truth.float().mean() < 0.7
    for _ in range(1000):
        step.zero_grad()
        F.binary_cross_entropy_with_logits(router(words, asked), truth.float()).backward()
        step.step()
    return router, table


def read(table, columns):
    """Vectors of words, which are of the question, and whether the old expert is right."""
    counts = columns["question_valid"].sum(1) - (columns["answer_at"] >= 0).sum(1)
    asked = torch.arange(columns["question"].shape[1]) < counts[:, None]
    return table(columns["question"]).detach(), asked, ~columns["grounds"]


@torch.no_grad()
def share_right(router, words, asked, truth):
    return ((router.share(router(words, asked)) == 1) == truth).float().mean().item()


def test_it_tells_held_out_prompts_apart():
    """Of pictures with colours of shapes that it never read of, and in words that nobody taught."""
    router, table = learned_router()
    for split, count in (("train", 60), ("novel", 30)):
        assert share_right(router, *read(table, prompts(split, count))) >= 0.98
    words = BOXES.words
    asked = [
        Asked((words.begin, *words.encode(text)), (), grounds=grounds)
        for grounds, texts in OTHER_WORDS.items()
        for text in texts
    ]
    found = {name: x[:, 0] for name, x in columns([(x,) for x in asked], slots=1).items()}
    assert share_right(router, *read(table, found)) >= 0.85
