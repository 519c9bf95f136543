"""The region-text adapter: which fields it picks, phrases by index, ids by hash, lambda."""

import pytest
import torch
import torch.nn.functional as F

from cloc.losses.region_text import RegionText, hash_rows
from tests.helpers.rows import (
    assert_same,
    graded,
    make_batch,
    make_embeddings,
    num_waits,
    unit_rows,
)
from tests.losses.test_region_text import CONFLICTS, D, by_definition


def test_equal_rows_share_a_number_and_trailing_zeros_do_not_count():
    tokens = torch.randint(0, 49408, (2000, 16), generator=torch.Generator().manual_seed(0))
    ids = hash_rows(torch.cat([tokens, tokens[:1000]]))
    assert torch.equal(ids[2000:], ids[:1000])
    assert len(ids.unique()) == len(tokens.unique(dim=0)) == 2000
    assert torch.equal(hash_rows(F.pad(tokens, (0, 61))), ids[:2000])
    assert (hash_rows(tokens.flip(1)) != ids[:2000]).all()  # order counts
    assert hash_rows(tokens.int()).equal(ids[:2000])


# one region of the first image has two names
BOXES = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(1))
BOXES[0, 2] = BOXES[0, 0]


class Text(torch.nn.Module):
    """The smallest text tower: a bag of token vectors."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        self.words = torch.nn.Parameter(torch.randn(30, D, generator=generator).double())

    def forward(self, tokens):
        place = torch.arange(1, tokens.shape[1] + 1).double()[:, None]  # order matters
        return F.normalize((self.words[tokens] * place).sum(1), dim=-1)


def make_walk():
    """3 images, 4 regions: repeated phrases within and across images, explicit negatives, padding,
    and an image without regions."""
    generator = torch.Generator().manual_seed(3)
    phrases = torch.randint(1, 30, (6, 3), generator=generator)
    return make_batch(
        valid=torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0]]).bool(),
        phrases=phrases,
        phrase_index=torch.tensor([[0, 1, 0, 0], [1, 2, 0, 0], [0, 0, 0, 0]]),
        negative_index=torch.tensor(
            [
                [[3, -1], [4, 3], [-1, -1], [-1, -1]],
                [[2, 5], [-1, -1], [5, 5], [-1, -1]],
                [[-1, -1]] * 4,
            ]
        ),
        boxes=BOXES,
    )


def walk_loss(batch, text, **options):
    region = unit_rows(40, 3, 4, D).requires_grad_()
    scale = torch.tensor(6.0, dtype=torch.float64, requires_grad=True)
    out = make_embeddings(3, region=region, phrase=text(batch.phrases), region_scale=scale)
    term = RegionText(**options)(out, batch)
    term.value.backward()
    return term.value.detach(), {"r": region.grad, "t": text.words.grad, "s": scale.grad}, term.logs


@pytest.mark.parametrize("conflict", CONFLICTS)
def test_deduplicated_phrases_give_the_loss_and_gradients_of_the_full_list(conflict):
    batch = make_walk()
    regions_first = batch.phrases[batch.phrase_index].flatten(0, 1)  # one row per region ...
    negatives = batch.phrases[batch.negative_index.clamp(min=0)].flatten(0, 2)  # ... and negative
    full = batch._replace(
        phrases=torch.cat([regions_first, negatives]),
        phrase_index=torch.arange(12).view(3, 4),
        negative_index=torch.arange(12, 36).view(3, 4, 2).where(batch.negative_index >= 0, -1),
    )
    unique, listed = (walk_loss(x, Text(), conflict=conflict) for x in (batch, full))
    assert unique[0] > 0
    assert unique[1]["t"].abs().max() > 0
    assert_same(unique, listed)


@pytest.mark.parametrize("conflict", CONFLICTS)
def test_the_adapter_picks_the_fields_of_the_definition(conflict):
    batch, phrase = make_walk(), Text()(make_walk().phrases).detach()
    pairs = {
        "regions": unit_rows(40, 3, 4, D).flatten(0, 1),
        "phrases": phrase[batch.phrase_index].flatten(0, 1),
        "valid": batch.valid.flatten(),
        "scale": torch.tensor(6.0, dtype=torch.float64),
        "phrase_ids": batch.phrase_index.flatten(),
        "box_ids": torch.tensor([0, 1, 0, *range(3, 12)]),
        "negatives": phrase[batch.negative_index].flatten(0, 1),
        "negative_valid": (batch.negative_index != -1).flatten(0, 1),
    }
    expected, grads, logs = graded(by_definition, pairs, conflict=conflict)
    value, walk_grads, walk_logs = walk_loss(
        batch, Text(), conflict=conflict, weight_by_coverage=False
    )
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(walk_grads["r"].flatten(0, 1), grads["regions"])
    torch.testing.assert_close(walk_grads["s"], grads["scale"])
    torch.testing.assert_close(walk_logs["masked_fraction"], logs["masked_fraction"])


def test_the_adapter_multiplies_by_the_share_of_images_with_regions():
    batch = make_walk()
    value, _, logs = walk_loss(batch, Text())
    plain, _, same_logs = walk_loss(batch, Text(), weight_by_coverage=False)
    torch.testing.assert_close(value, plain * 2 / 3)
    torch.testing.assert_close(logs["coverage"], torch.tensor(2 / 3).double())
    assert set(logs) == set(same_logs) == {"masked_fraction", "accuracy", "coverage"}


def test_a_batch_without_a_region_or_a_negative_is_a_normal_batch():
    batch = make_walk()
    empty = batch._replace(
        valid=torch.zeros_like(batch.valid), negative_index=batch.negative_index[..., :0]
    )
    value, grads, logs = walk_loss(empty, Text())
    assert value == 0
    assert all((grad == 0).all() for grad in grads.values())
    assert logs["coverage"] == 0


def test_the_adapter_needs_what_it_reads():
    assert RegionText.needs == ("phrase", "region", "region_scale")


@pytest.mark.parametrize("conflict", CONFLICTS)
def test_the_host_never_waits(conflict):
    assert num_waits(lambda: walk_loss(make_walk(), Text(), conflict=conflict, chunk=5)) == 0
