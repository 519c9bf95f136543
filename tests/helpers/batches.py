"""What every `RegionBatch` must hold; jaxtyping does not look inside a NamedTuple."""

import torch

from cloc.interfaces import RegionBatch


def validate(batch: RegionBatch) -> None:
    """Shapes and types, ranges, index bounds, and nothing but padding in padded slots."""
    _check_shapes(batch)
    assert ((batch.boxes >= 0) & (batch.boxes <= 1)).all()
    assert (batch.boxes[batch.valid][:, 2:] > batch.boxes[batch.valid][:, :2]).all()
    assert (batch.boxes[~batch.valid] == 0).all()
    assert (batch.captions[~batch.caption_valid] == 0).all()
    assert (batch.captions[batch.caption_valid] != 0).any(-1).all()
    _check_indices(batch)


def _check_shapes(batch: RegionBatch) -> None:
    b, r = batch.valid.shape
    assert batch.images.dtype == torch.uint8
    assert batch.images.shape[:2] == (b, 3)
    assert batch.images.is_contiguous()
    for tensor, shape, kind in (
        (batch.captions, (b, batch.captions.shape[1]), torch.int64),
        (batch.caption_valid, (b,), torch.bool),
        (batch.boxes, (b, r, 4), torch.float32),
        (batch.valid, (b, r), torch.bool),
        (batch.phrases, (len(batch.phrases), batch.phrases.shape[1]), torch.int64),
        (batch.phrase_index, (b, r), torch.int64),
        (batch.negative_index, (b, r, batch.negative_index.shape[2]), torch.int64),
    ):
        assert tensor.shape == shape
        assert tensor.dtype == kind
    assert len(batch.keys) == b
    assert len(batch.phrases) > 0


def _check_indices(batch: RegionBatch) -> None:
    phrases = batch.phrases
    assert ((batch.phrase_index >= 0) & (batch.phrase_index < len(phrases))).all()
    assert ((batch.negative_index >= -1) & (batch.negative_index < len(phrases))).all()
    assert (batch.phrase_index[~batch.valid] == 0).all()
    assert (batch.negative_index[~batch.valid] == -1).all()
    assert (batch.negative_index != batch.phrase_index[..., None])[batch.valid].all()
    used = (phrases != 0).any(-1)
    named = torch.cat([batch.phrase_index[batch.valid], batch.negative_index.flatten()])
    assert set(named[named >= 0].tolist()) == set(used.nonzero().flatten().tolist())
    assert len(phrases[used].unique(dim=0)) == used.sum()
    assert not used.int().diff().gt(0).any()  # padding stands at the end
