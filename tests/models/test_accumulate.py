"""A batch in pieces: the gradients of the whole, less memory, random numbers drawn once."""

import pytest
import torch
from open_clip.transformer import PatchDropout
from torch import nn

from cloc.errors import UserError
from cloc.losses.grounding import Grounding
from cloc.losses.image_text import ImageText
from cloc.losses.region_text import RegionText
from cloc.models import accumulate as module
from cloc.models.accumulate import check_pieces, in_pieces
from cloc.models.compiling import compile_parts
from cloc.models.per_row_random import draws_can_be_cut
from tests.helpers.memory import peak_bytes, saved_bytes
from tests.helpers.models import make_model, model_batch

# ragged, and one piece of two or of four has no region at all
VALID = ((1, 1, 1), (1, 1, 0), (0, 0, 0), (1, 0, 0), (0, 0, 0), (0, 0, 0), (1, 1, 1), (0, 0, 0))
PIECES = (1, 2, 4)


def losses(model):
    regions = [RegionText(conflict="text"), Grounding(kind="l1_giou", match="nearest")]
    return [ImageText(), *(regions if model.region_head else [])]


def graded(model, batch, pieces):
    model.zero_grad()
    out = model(batch, accumulate=pieces)
    value = sum(loss(out, batch).value for loss in losses(model))
    value.backward()
    return value.detach(), {k: p.grad.clone() for k, p in model.named_parameters()}


def assert_equal(actual, expected):
    torch.testing.assert_close(actual[0], expected[0], rtol=1e-12, atol=1e-12)
    assert actual[1].keys() == expected[1].keys()
    for name, grad in actual[1].items():
        error = (grad - expected[1][name]).norm()
        # the bias of keys has no gradient but rounding
        assert error <= 1e-12 * expected[1][name].norm() + 1e-14, name


@pytest.mark.parametrize("pieces", PIECES)
def test_pieces_give_the_gradients_of_the_batch(pieces):
    """Of the logit scales too: a peer's accumulation gives them `pieces` times."""
    model = make_model().double()
    batch = model_batch(model, valid=VALID)
    batch = batch._replace(caption_valid=torch.arange(8) != 5)
    expected = graded(model, batch, 1)
    assert expected[1]["tower.clip.logit_scale"].abs() > 1e-4
    assert expected[1]["region_scale.log_scale"].abs() > 1e-4
    assert_equal(graded(model, batch, pieces), expected)


def test_a_plain_clip_runs_in_pieces():
    model = make_model(region_head=None).double()
    batch = model_batch(model, valid=VALID)
    assert_equal(graded(model, batch, 4), graded(model, batch, 1))


def test_fewer_phrases_than_pieces_and_no_region_are_a_normal_batch():
    model = make_model().double()
    batch = model_batch(model, valid=((0, 0, 0),) * 4)
    batch = batch._replace(phrases=batch.phrases[:3], negative_index=batch.negative_index[..., :0])
    assert_equal(graded(model, batch, 4), graded(model, batch, 1))


def with_dropout(**parts):
    """In every tower and in the Prompter; the image tower of a plain CLIP drops patches as well."""
    model = make_model(**parts).double().train()
    clip = model.tower.clip
    for block in (*clip.visual.transformer.resblocks, *clip.transformer.resblocks):
        block.mlp.append(nn.Dropout(0.3))
    if model.region_head is None:
        clip.visual.patch_dropout = PatchDropout(0.5)
    else:
        model.region_head.mlp.append(nn.Dropout(0.3))
    return model


def seeded(model, batch, pieces, seed=0):
    torch.manual_seed(seed)
    return graded(model, batch, pieces)


@pytest.mark.parametrize("pieces", PIECES)
@pytest.mark.parametrize("parts", [{}, {"region_head": None}], ids=["dropout", "patch dropout"])
def test_with_dropout_on_the_draws_are_those_of_a_single_pass(pieces, parts):
    """And the generator ends where the single pass would leave it."""
    model = with_dropout(**parts)
    batch = model_batch(model, valid=VALID)
    expected = seeded(model, batch, 1)
    ends = torch.get_rng_state()
    assert (expected[0] - seeded(model, batch, 1, seed=1)[0]).abs() > 1e-3  # it is on
    assert_equal(seeded(model, batch, pieces), expected)
    assert torch.get_rng_state().equal(ends)


def test_recomputed_blocks_see_the_draws_of_their_first_pass(monkeypatch):
    """They are those of the pieces: a block that runs again does so out of our sight."""
    model = with_dropout()
    assert draws_can_be_cut(model)
    model.tower.recompute_blocks()
    assert not draws_can_be_cut(model)
    batch = model_batch(model, valid=VALID)
    found = seeded(model, batch, 2)
    # the same pieces in the same order, and everything kept: nothing is drawn twice
    monkeypatch.setattr(module, "checkpoint", lambda run, *piece, **options: run(*piece))
    assert_equal(found, seeded(model, batch, 2))


def test_compiled_blocks_draw_for_themselves():
    model = make_model()
    compile_parts(model)
    assert not draws_can_be_cut(model)


def test_what_stays_for_backward_and_the_peak_fall_with_the_pieces():
    model = make_model()
    model.tower.clip.token_embedding.requires_grad_(False)  # its gradient is larger than a piece
    batch, fourth = (model_batch(model, valid=VALID * n) for n in (8, 2))
    own = tuple(model.parameters())
    saved = {k: saved_bytes(lambda k=k: model(batch, accumulate=k), but=own) for k in PIECES}
    assert saved[2] < saved[1] / 10  # what goes into the towers
    peak = {k: peak_bytes(lambda k=k: backward(model, batch, k)) for k in PIECES}
    assert peak[2] < 0.6 * peak[1]
    assert peak[4] < 0.35 * peak[1]
    assert peak[4] < 1.25 * peak_bytes(lambda: backward(model, fourth, 1))


def backward(model, batch, pieces):
    out = model(batch, accumulate=pieces)
    sum(loss(out, batch).value for loss in losses(model)).backward()


def test_none_stays_none_and_rows_keep_their_order():
    rows = torch.arange(7.0)
    seen = []

    def run(x, nothing):
        seen.append(len(x))
        return x + 1, nothing

    found, nothing = in_pieces(run, rows, None, pieces=3)
    assert found.equal(rows + 1)
    assert nothing is None
    assert seen == [3, 3, 1]


@pytest.mark.parametrize("pieces", [0, -1, 3, 8])
def test_pieces_that_do_not_divide_a_batch_are_refused_with_the_key(pieces):
    model = make_model()
    batch = model_batch(model, valid=VALID[:4])
    says = f"accumulate={pieces} does not divide the 4 images of a rank's batch; set accumulate to"
    with pytest.raises(UserError, match=says):
        model(batch, accumulate=pieces)
    check_pieces(torch.nn.Linear(1, 1), 4, 4)


def test_pieces_of_a_batch_norm_would_have_other_statistics():
    norm = torch.nn.BatchNorm1d(3)
    check_pieces(norm, 4, 1)
    check_pieces(norm.eval(), 4, 2)
    with pytest.raises(UserError, match=r"accumulate=2: this tower has batch norms, .*=1"):
        check_pieces(norm.train(), 4, 2)
