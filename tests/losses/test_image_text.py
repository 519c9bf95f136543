"""The image-text loss against its definition and against open_clip."""

import pytest
import torch

from cloc.errors import UserError
from cloc.losses.image_text import ImageText, image_text_loss
from tests.helpers.rows import (
    Largest,
    assert_same,
    graded,
    make_batch,
    make_embeddings,
    num_waits,
    unit_rows,
)


def make_pairs(seed=0, n=9, hidden=(2, 7)):
    valid = torch.ones(n, dtype=torch.bool)
    valid[list(hidden)] = False
    return {
        "images": unit_rows(seed, n, 5),
        "captions": unit_rows(seed + 100, n, 5),
        "valid": valid,
        "scale": torch.tensor(8.0, dtype=torch.float64),
    }


def by_definition(images, captions, valid, scale):
    """One anchor at a time."""
    rows = valid.nonzero().flatten()
    sim = scale * images[rows] @ captions[rows].T
    terms = [sim[i].logsumexp(0) + sim[:, i].logsumexp(0) - 2 * sim[i, i] for i in range(len(rows))]
    return torch.stack(terms).mean() / 2


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("chunk", [None, 1, 4, 100])
def test_matches_the_definition(seed, chunk):
    pairs = make_pairs(seed)
    assert_same(graded(image_text_loss, pairs, chunk=chunk), graded(by_definition, pairs))


def test_equals_open_clip_where_every_image_has_a_caption():
    pairs = make_pairs(hidden=())
    import open_clip.loss  # seconds, and the ranks of test_two_ranks import this file

    theirs = open_clip.loss.ClipLoss()

    def clip_loss(images, captions, valid, scale):
        return theirs(images, captions, scale)

    assert_same(graded(image_text_loss, pairs), graded(clip_loss, pairs))


@pytest.mark.parametrize("garbage", [1e30, torch.nan, -torch.inf])
@pytest.mark.parametrize("chunk", [None, 4])
def test_padding_changes_nothing(garbage, chunk):
    pairs = make_pairs()
    expected = graded(image_text_loss, pairs, chunk=chunk)
    for name in ("images", "captions"):
        pairs[name] = pairs[name].masked_fill(~pairs["valid"][:, None], garbage)
    assert_same(graded(image_text_loss, pairs, chunk=chunk), expected, atol=0)


def test_zero_with_zero_gradient_where_no_image_has_a_caption():
    value, grads, _ = graded(image_text_loss, make_pairs(hidden=range(9)))
    assert value == 0
    assert set(grads) == {"images", "captions", "scale"}
    assert all((grad == 0).all() for grad in grads.values())


@pytest.mark.parametrize("chunk", [None, 4])
def test_autocast_does_not_touch_the_similarities(chunk):
    pairs = {k: x.float() if x.is_floating_point() else x for k, x in make_pairs().items()}
    expected = graded(image_text_loss, pairs, chunk=chunk)
    actual = graded(image_text_loss, pairs, autocast=True, chunk=chunk)
    assert_same(actual, expected, atol=0)


def test_half_inputs_are_computed_in_float32():
    pairs = {k: x.bfloat16() if x.is_floating_point() else x for k, x in make_pairs().items()}
    exact = {k: x.double() if x.is_floating_point() else x for k, x in pairs.items()}
    value, _, _ = graded(image_text_loss, pairs)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value.double(), graded(image_text_loss, exact)[0])


def test_in_chunks_the_square_never_exists():
    with Largest() as largest:
        graded(image_text_loss, make_pairs(n=128), chunk=8)
    assert largest.numel == 8 * 128


@pytest.mark.parametrize("chunk", [None, 4])
def test_the_host_never_waits(chunk):
    assert num_waits(lambda: graded(image_text_loss, make_pairs(), chunk=chunk)) == 0


def test_the_adapter_leaves_out_images_without_a_caption():
    batch = make_batch(
        valid=torch.ones(4, 1, dtype=torch.bool),
        phrases=torch.ones(1, 2, dtype=torch.long),
        phrase_index=torch.zeros(4, 1, dtype=torch.long),
        negative_index=torch.zeros(4, 1, 0, dtype=torch.long),
        boxes=torch.zeros(4, 1, 4),
    )
    batch = batch._replace(caption_valid=torch.tensor([True, False, True, True]))
    out = make_embeddings(4)
    loss = ImageText(chunk=2)
    value, logs = loss(out, batch)
    expected = by_definition(out.image, out.caption, batch.caption_valid, out.scale)
    torch.testing.assert_close(value, expected)
    assert logs == {}
    assert all(getattr(out, name) is not None for name in loss.needs)


def test_a_chunk_without_rows_is_refused():
    with pytest.raises(UserError, match="chunk of the image_text loss is 0"):
        ImageText(chunk=0)
