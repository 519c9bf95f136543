"""The hard-negative loss against its definition, one region at a time."""

import pytest
import torch
import torch.nn.functional as F

from cloc.errors import UserError
from cloc.losses.region_hard_negatives import RegionHardNegatives, region_hard_negatives_loss
from tests.helpers.rows import (
    assert_same,
    graded,
    make_batch,
    make_embeddings,
    num_waits,
    unit_rows,
)

K, D = 3, 5
VALID = [[1, 1, 1, 0], [1, 1, 0, 1], [0, 0, 0, 0]]


def make_regions(seed=0, valid=VALID):
    """The first region has no negative, the second has all; padded ones may claim some."""
    generator = torch.Generator().manual_seed(seed)
    text_valid = torch.rand(3, 4, 1 + K, generator=generator) < 0.5
    text_valid[0, 0], text_valid[0, 1], text_valid[..., 0] = False, True, True
    return {
        "regions": unit_rows(seed, 3, 4, D),
        "texts": unit_rows(seed + 10, 3, 4, 1 + K, D),
        "text_valid": text_valid,
        "valid": torch.tensor(valid).bool(),
        "scale": torch.tensor(6.0, dtype=torch.float64),
    }


def by_definition(regions, texts, text_valid, valid, scale):
    """One region at a time."""
    terms, num_right = [], 0
    for i, m in valid.nonzero().tolist():
        own = scale * (regions[i, m] @ texts[i, m, 0])
        there = text_valid[i, m, 1:]
        other = [scale * (regions[i, m] @ text) for text in texts[i, m, 1:][there]]
        if other:
            terms.append(torch.stack([own, *other]).logsumexp(0) - own)
            num_right += bool(own > max(other))
    shares = (
        torch.tensor([num_right, len(terms)]) / torch.tensor([len(terms), valid.sum()]).double()
    )
    logs = {"accuracy": shares[0], "with_negatives": shares[1]}
    return torch.stack(terms).mean(), logs


@pytest.mark.parametrize("seed", range(3))
def test_matches_the_definition(seed):
    regions = make_regions(seed)
    actual = graded(region_hard_negatives_loss, regions)
    assert set(actual[1]) == {"regions", "texts", "scale"}
    assert 0 < actual[2]["with_negatives"] < 1
    assert_same(actual, graded(by_definition, regions))


def test_no_other_region_of_the_batch_has_a_say():
    regions = make_regions(valid=[[0, 1, 0, 0], [0] * 4, [0] * 4])
    alone = graded(region_hard_negatives_loss, regions)
    rows = {k: x if k == "scale" else x[0, 1:2] for k, x in regions.items()}
    assert_same(graded(region_hard_negatives_loss, rows)[::2], alone[::2])


@pytest.mark.parametrize("garbage", [1e30, torch.nan, -torch.inf])
def test_padding_changes_nothing(garbage):
    """Padded regions, padded negatives, and regions without any."""
    regions = make_regions()
    expected = graded(region_hard_negatives_loss, regions)
    padded = ~regions["valid"]
    regions["text_valid"][padded] = True  # a claim that nobody believes
    there = regions["text_valid"] & ~padded[..., None]
    there[..., 0] = there[..., 1:].any(-1)
    regions["texts"] = regions["texts"].masked_fill(~there[..., None], garbage)
    regions["regions"] = regions["regions"].masked_fill(~there[..., :1], garbage)
    assert_same(graded(region_hard_negatives_loss, regions), expected, atol=0)


@pytest.mark.parametrize("missing", ["regions", "negatives"])
def test_zero_with_zero_gradient_where_nothing_is_valid(missing):
    regions = make_regions()
    regions["valid" if missing == "regions" else "text_valid"][:] = False
    value, grads, logs = graded(region_hard_negatives_loss, regions)
    assert str(value.item()) == "0.0"  # a curve of -0 would make one wonder
    assert set(grads) == {"regions", "texts", "scale"}
    assert all((grad == 0).all() for grad in grads.values())
    assert all(x == 0 for x in logs.values())


def test_a_tie_counts_as_wrong():
    regions = make_regions()
    regions["texts"] = regions["texts"][:, :, :1].repeat(1, 1, 1 + K, 1)
    assert graded(region_hard_negatives_loss, regions)[2]["accuracy"] == 0


def test_autocast_changes_nothing():
    regions = {k: x.float() if x.is_floating_point() else x for k, x in make_regions().items()}
    expected = graded(region_hard_negatives_loss, regions)
    assert_same(graded(region_hard_negatives_loss, regions, autocast=True), expected, atol=0)


def test_half_inputs_are_computed_in_float32():
    regions = {k: x.bfloat16() if x.is_floating_point() else x for k, x in make_regions().items()}
    exact = {k: x.double() if x.is_floating_point() else x for k, x in regions.items()}
    value, _, _ = graded(region_hard_negatives_loss, regions)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value.double(), graded(region_hard_negatives_loss, exact)[0])


def walk():
    """Two images, three regions, five phrases of which some are negatives."""
    index = torch.tensor([[0, 1, 2], [1, 0, 0]])
    negatives = torch.tensor([[[3, -1], [4, 3], [-1, -1]], [[2, 0], [-1, -1], [-1, -1]]])
    batch = make_batch(
        valid=torch.tensor([[1, 1, 1], [1, 0, 0]]).bool(),
        phrases=torch.ones(5, 2, dtype=torch.long),
        phrase_index=index,
        negative_index=negatives,
        boxes=torch.zeros(2, 3, 4),
    )
    out = make_embeddings(
        2,
        region=unit_rows(1, 2, 3, D),
        phrase=unit_rows(2, 5, D),
        region_scale=torch.tensor(6.0, dtype=torch.float64),
    )
    return out, batch


def test_the_adapter_picks_phrases_and_negatives_by_index_and_the_scale_of_the_regions():
    out, batch = walk()
    value, logs = RegionHardNegatives()(out, batch)
    nats = []
    for i, m in ((0, 0), (0, 1), (1, 0)):  # of the fourth valid region there are none
        texts = [batch.phrase_index[i, m], *(x for x in batch.negative_index[i, m] if x >= 0)]
        logits = 6 * out.phrase[torch.stack(texts)] @ out.region[i, m]
        nats.append(F.cross_entropy(logits, torch.tensor(0)))
    torch.testing.assert_close(value, torch.stack(nats).mean(), rtol=0, atol=1e-12)
    assert logs["with_negatives"] == 3 / 4
    assert all(getattr(out, name) is not None for name in RegionHardNegatives.needs)


def test_data_without_negatives_is_refused_with_the_key_to_change():
    out, batch = walk()
    with pytest.raises(
        UserError, match=r"set data\.view\.max_negatives to 1 or more, or remove losses"
    ):
        RegionHardNegatives()(out, batch._replace(negative_index=batch.negative_index[..., :0]))


def test_the_host_never_waits():
    assert num_waits(lambda: graded(region_hard_negatives_loss, make_regions())) == 0
    assert num_waits(lambda: RegionHardNegatives()(*walk())) == 0
