"""The sigmoid loss against its definition and against open_clip."""

import pytest
import torch

from cloc.errors import UserError
from cloc.losses.image_text_sigmoid import ImageTextSigmoid, image_text_sigmoid_loss
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
        "bias": torch.tensor(-3.0, dtype=torch.float64),
    }


def by_definition(images, captions, valid, scale, bias):
    """One pair at a time."""
    rows = valid.nonzero().flatten().tolist()
    nats = torch.zeros((), dtype=torch.float64)
    for i in rows:
        for j in rows:
            logit = scale * images[i] @ captions[j] + bias
            nats = nats + (1 + (-logit if i == j else logit).exp()).log()
    return nats / len(rows)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("chunk", [None, 4, 100])
def test_matches_the_definition(seed, chunk):
    pairs = make_pairs(seed)
    assert_same(graded(image_text_sigmoid_loss, pairs, chunk=chunk), graded(by_definition, pairs))


def test_equals_open_clip_where_every_image_has_a_caption():
    pairs = make_pairs(hidden=())
    import open_clip.loss  # seconds, and the ranks of test_two_ranks import this file

    theirs = open_clip.loss.SigLipLoss()

    def siglip_loss(images, captions, valid, scale, bias):
        return theirs(images, captions, scale, bias)

    assert_same(graded(image_text_sigmoid_loss, pairs), graded(siglip_loss, pairs))


@pytest.mark.parametrize("garbage", [1e30, torch.nan, -torch.inf])
def test_padding_changes_nothing(garbage):
    pairs = make_pairs()
    expected = graded(image_text_sigmoid_loss, pairs)
    for name in ("images", "captions"):
        pairs[name] = pairs[name].masked_fill(~pairs["valid"][:, None], garbage)
    assert_same(graded(image_text_sigmoid_loss, pairs), expected, atol=0)


def test_zero_with_zero_gradient_where_no_image_has_a_caption():
    value, grads, _ = graded(image_text_sigmoid_loss, make_pairs(hidden=range(9)))
    assert value == 0
    assert set(grads) == {"images", "captions", "scale", "bias"}
    assert all((grad == 0).all() for grad in grads.values())


def test_autocast_does_not_touch_the_similarities():
    pairs = {k: x.float() if x.is_floating_point() else x for k, x in make_pairs().items()}
    expected = graded(image_text_sigmoid_loss, pairs)
    actual = graded(image_text_sigmoid_loss, pairs, autocast=True)
    assert_same(actual, expected, atol=0)


def test_in_chunks_the_square_never_exists():
    with Largest() as largest:
        graded(image_text_sigmoid_loss, make_pairs(n=128), chunk=8)
    assert largest.numel == 8 * 128


@pytest.mark.parametrize("chunk", [None, 4])
def test_the_host_never_waits(chunk):
    assert num_waits(lambda: graded(image_text_sigmoid_loss, make_pairs(), chunk=chunk)) == 0


def test_the_adapter_leaves_out_images_without_a_caption():
    batch = make_batch(
        valid=torch.ones(4, 1, dtype=torch.bool),
        phrases=torch.ones(1, 2, dtype=torch.long),
        phrase_index=torch.zeros(4, 1, dtype=torch.long),
        negative_index=torch.zeros(4, 1, 0, dtype=torch.long),
        boxes=torch.zeros(4, 1, 4),
    )
    batch = batch._replace(caption_valid=torch.tensor([True, False, True, True]))
    out = make_embeddings(4, bias=torch.tensor(-2.0, dtype=torch.float64))
    loss = ImageTextSigmoid()
    value, logs = loss(out, batch)
    expected = by_definition(out.image, out.caption, batch.caption_valid, out.scale, out.bias)
    torch.testing.assert_close(value, expected)
    assert logs == {}
    assert all(getattr(out, name) is not None for name in loss.needs)


def test_a_chunk_without_rows_is_refused():
    with pytest.raises(UserError, match="chunk of the image_text_sigmoid loss is -1"):
        ImageTextSigmoid(chunk=-1)
