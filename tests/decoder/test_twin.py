"""Grounding is learned beside what the model could do, which stays to the last bit."""

import hashlib

import pytest
import torch
from torch.nn.parallel import DistributedDataParallel

from cloc.data.samples.asked import Asked, columns
from cloc.decoder.prefix_lm import FeedForward
from cloc.decoder.twin import Twin, set_twins
from cloc.errors import UserError
from cloc.losses.next_token import NextToken
from cloc.losses.routing import Routing
from tests.decoder.test_decoder import TOKENS, VALID, logits, made, seen
from tests.helpers.answering import answering, repaired
from tests.helpers.models import model_batch
from tests.helpers.ranks import run_ranks

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
    assert not any(weight.requires_grad for weight in twin.old.parameters())


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


BEGIN, END = 49406, 49407
WHAT, WHERE, AT, IT = 700, 701, 702, 703
NEW = "decoder.language.blocks.1.feed_forward.new."


def questions(model, *, ground=2, other=2, turn=0):
    """Pictures with so many requests for boxes behind so many other questions, each with an answer
    of its own, or with a `turn` with that of another one."""
    rows = [Asked((BEGIN, WHAT, AT, 710 + i), (720 + i, END)) for i in range(other)]
    rows += [
        Asked((BEGIN, WHERE, IT, 710 + i), (730 + k, 740 + k, END), grounds=True)
        for i in range(ground)
        for k in [(i + turn) % ground]
    ]
    extra = columns([(row,) for row in rows], slots=1)
    return model_batch(model, valid=[[1]] * len(rows))._replace(extra=extra)


def train(model, batch, steps, lr=0.01):
    own = [p for p in model.parameters() if p.requires_grad]
    step = torch.optim.AdamW(own, lr=lr, weight_decay=0.1)
    model.train()
    for _ in range(steps):
        step.zero_grad()
        losses(model(batch), batch).backward()
        step.step()
    return model.eval()


def losses(out, batch):
    terms = [NextToken()(out, batch).value]
    if "route_nll" in out.extra:
        terms.append(Routing()(out, batch).value)
    return sum(terms)


def fingerprint(model):
    """Of all that the old one answers with."""
    found = hashlib.sha256()
    for name, weight in sorted(model.state_dict().items()):
        if ".new." not in name and ".router." not in name:
            found.update(name.replace(".old.", ".").encode() + weight.numpy().tobytes())
    return found.hexdigest()


def known_words():
    """A model with a decoder that has learned to answer, but all boxes it says are wrong."""
    model = answering()
    model.tower.requires_grad_(False)
    return train(model, questions(model, turn=1), 60)


def said(model, batch, **more):
    """Of each row; without the answers that the batch holds."""
    tokens, valid, at = (batch.extra[x][:, 0] for x in ("question", "question_valid", "answer_at"))
    counts = valid.sum(1) - (at >= 0).sum(1)
    width = int(counts.max())
    tokens, valid = tokens[:, :width], torch.arange(width) < counts[:, None]
    own = model.tower.images(batch.images)
    grid = model.tower.grid_at(batch.images)
    return model.decoder.answer(own.read, grid, tokens, valid, most=4, end=END, **more)


def right(model, batch, **more):
    """Which rows are answered word for word."""
    tokens, at = batch.extra["question"][:, 0], batch.extra["answer_at"][:, 0]
    expected = tokens.gather(1, at.clamp(min=0)).masked_fill(at < 0, END)
    found = said(model, batch, **more)
    return found.eq(expected[:, : found.shape[1]]).all(1)


def test_grounding_is_learned_and_all_other_answers_are_bit_equal():
    """With the route that is predicted from the question, and by all there was: not a bit of a
    weight, of a probability or of an answer is another."""
    old = known_words()
    batch = questions(old)
    with torch.no_grad():
        base, base_said = old(batch).extra["answer_nll"], said(old, batch)
    assert right(old, batch).tolist() == [True, True, False, False]
    model = repaired(old, twin={"every": 2}).eval()
    assert fingerprint(model) == fingerprint(old)
    for steps in (1, 2, 40):
        train(model, batch, steps)
        assert fingerprint(model) == fingerprint(old)
        with torch.no_grad():
            assert said(model, batch, share=torch.ones(4)).equal(base_said)
    with torch.no_grad():
        found = model(batch)
        accuracy = Routing()(found, batch).logs["accuracy"]
    assert accuracy == 1
    assert found.extra["answer_nll"][:2].equal(base[:2])
    assert said(model, batch)[:2, :2].equal(base_said[:2, :2])
    assert right(model, batch).tolist() == [True] * 4
    alone = questions(model, ground=0)
    assert model(alone).extra["answer_nll"].equal(old(alone).extra["answer_nll"])


@pytest.mark.parametrize(
    ("route", "given"), [("classifier", "ground"), ("soft", "ground"), ("classifier", "other")]
)
def test_requests_for_boxes_train_the_new_ones_and_all_rows_the_router(route, given):
    model = repaired(answering(), twin={"route": route}).train()
    batch = questions(model, **{"ground": 0, "other": 0} | {given: 2})
    NextToken()(model(batch), batch).value.backward()
    moved = {n for n, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    new = {f"{NEW}{name}.weight" for name in ("gate", "up", "down")}
    assert moved == (new if given == "ground" else set())
    Routing()(model(batch), batch).value.backward()
    moved = {n for n, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert moved - new == {f"decoder.router.score.{n}" for n in ("weight", "bias")}


def test_with_a_soft_route_answers_teach_the_router_too():
    """How good the new one is decides with it whose answer counts."""
    model = repaired(answering(), twin={"route": "soft", "begin": "random"}).train()
    batch = questions(model, other=0)
    NextToken()(model(batch), batch).value.backward()
    assert model.decoder.router.score.weight.grad.any()


def gradients(model):
    return {n: p.grad for n, p in model.named_parameters() if p.requires_grad}


def _check_rank(rank, seed, batch, value, expected):
    model = repaired(answering(seed), seed, twin={}).train()
    wrapped = DistributedDataParallel(model)
    count = len(batch.images) // 2
    rows = slice(rank * count, (rank + 1) * count)
    named = {f: getattr(batch, f)[rows] for f in ("images", "captions", "boxes", "phrase_index")}
    mine = batch._replace(**named, extra={k: x[rows] for k, x in batch.extra.items()})
    for _ in range(2):  # DDP looks for missing gradients at the second
        model.zero_grad()
        found = losses(wrapped(mine), mine)
        found.backward()
    torch.testing.assert_close(found, value)
    found = gradients(model)
    assert found.keys() == expected.keys()
    for name, grad in found.items():
        torch.testing.assert_close(grad, expected[name], rtol=1e-4, atol=1e-6)


@pytest.mark.dist
def test_two_ranks_of_which_one_has_no_request_for_boxes_equal_one_process():
    """On it every new weight has a gradient too, of 0, for DDP waits for it."""
    model = repaired(answering(0), twin={}).train()
    batch = questions(model, other=4)
    value = losses(model(batch), batch)
    value.backward()
    expected = gradients(model)
    assert all(grad.any() for grad in expected.values())
    run_ranks(_check_rank, 0, batch, value.detach(), expected)
