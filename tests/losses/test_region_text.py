"""The region-text loss against its definition, one anchor at a time."""

import pytest
import torch
import torch.nn.functional as F

from cloc.errors import UserError
from cloc.losses.region_text import RegionText, hash_rows, region_text_loss
from tests.helpers.rows import (
    Largest,
    assert_same,
    graded,
    make_batch,
    make_embeddings,
    num_waits,
    unit_rows,
)

N, K, D = 12, 2, 5
CONFLICTS = ("cosine", "text", "none")


def make_pairs(seed=0, n=N, hidden=(3, 8, 11)):
    """Every phrase has a near-copy, and every third id is the same."""
    valid = torch.ones(n, dtype=torch.bool)
    valid[list(hidden)] = False
    phrases = unit_rows(seed, n // 2, D).repeat_interleave(2, 0)
    negative_valid = torch.rand(n, K, generator=torch.Generator().manual_seed(seed)) < 0.6
    return {
        "regions": unit_rows(seed + 10, n, D),
        "phrases": F.normalize(phrases + 0.1 * unit_rows(seed + 20, n, D), dim=-1),
        "valid": valid,
        "scale": torch.tensor(6.0, dtype=torch.float64),
        "phrase_ids": torch.arange(n) % 3 * 1000,
        "negatives": unit_rows(seed + 30, n, K, D),
        "negative_valid": negative_valid,
    }


def without_negatives(pairs):
    return {name: x for name, x in pairs.items() if not name.startswith("negative")}


def clash(i, j, phrases, phrase_ids, conflict):
    if conflict == "cosine":
        return bool(phrases[i].detach() @ phrases[j].detach() > 0.9)
    return conflict == "text" and bool(phrase_ids[i] == phrase_ids[j])


def by_definition(
    regions, phrases, valid, scale, phrase_ids, negatives=None, negative_valid=None, *, conflict
):
    """One anchor at a time."""
    rows = valid.nonzero().flatten().tolist()
    terms, num_masked, num_right = [], 0, 0
    for i in rows:
        kept = [j for j in rows if j == i or not clash(i, j, phrases, phrase_ids, conflict)]
        own = scale * (regions[i] @ phrases[i])
        to_text = [scale * (regions[i] @ phrases[j]) for j in kept]
        to_region = [scale * (regions[j] @ phrases[i]) for j in kept]
        for k in range(0 if negatives is None else K):
            if negative_valid[i, k]:
                to_text.append(scale * (regions[i] @ negatives[i, k]))
        terms.append(torch.stack(to_text).logsumexp(0) + torch.stack(to_region).logsumexp(0))
        terms[-1] = (terms[-1] - 2 * own) / 2
        num_masked += len(rows) - len(kept)
        num_right += bool(own == max(to_text))
    logs = {
        "masked_fraction": torch.tensor(
            num_masked / (len(rows) * (len(rows) - 1)), dtype=torch.float64
        ),
        "accuracy": torch.tensor(num_right / len(rows), dtype=torch.float64),
    }
    return torch.stack(terms).mean(), logs


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("conflict", CONFLICTS)
@pytest.mark.parametrize("chunk", [1, 5, 100])
def test_matches_the_definition(seed, conflict, chunk):
    pairs = make_pairs(seed)
    actual = graded(region_text_loss, pairs, conflict=conflict, chunk=chunk)
    expected = graded(by_definition, pairs, conflict=conflict)
    assert set(actual[1]) == {"regions", "phrases", "scale", "negatives"}
    assert actual[2]["masked_fraction"] > 0 or conflict == "none"
    assert_same(actual, expected)


@pytest.mark.parametrize("conflict", CONFLICTS)
def test_matches_the_definition_without_negatives(conflict):
    pairs = without_negatives(make_pairs())
    actual = graded(region_text_loss, pairs, conflict=conflict)
    assert_same(actual, graded(by_definition, pairs, conflict=conflict))


def test_equals_open_clip_where_all_is_valid_and_nothing_conflicts():
    pairs = without_negatives(make_pairs(hidden=()))
    import open_clip.loss  # seconds, and the ranks of test_two_ranks import this file

    theirs = open_clip.loss.ClipLoss()

    def clip_loss(regions, phrases, valid, scale, phrase_ids):
        return theirs(regions, phrases, scale)

    actual = graded(region_text_loss, pairs, conflict="none")
    assert_same(actual[:2], graded(clip_loss, pairs)[:2])


@pytest.mark.parametrize("garbage", [1e30, torch.nan, -torch.inf])
@pytest.mark.parametrize("conflict", CONFLICTS)
def test_padding_changes_nothing(garbage, conflict):
    pairs = make_pairs()
    expected = graded(region_text_loss, pairs, conflict=conflict, chunk=5)
    padded = ~pairs["valid"][:, None]
    pairs["regions"] = pairs["regions"].masked_fill(padded, garbage)
    pairs["phrases"] = pairs["phrases"].masked_fill(padded, garbage)
    pairs["phrase_ids"] = pairs["phrase_ids"].masked_fill(padded[:, 0], 7)
    not_there = padded | ~pairs["negative_valid"]
    pairs["negatives"] = pairs["negatives"].masked_fill(not_there[..., None], garbage)
    assert_same(graded(region_text_loss, pairs, conflict=conflict, chunk=5), expected, atol=0)


@pytest.mark.parametrize("conflict", CONFLICTS)
def test_zero_with_zero_gradient_where_nothing_is_valid(conflict):
    pairs = make_pairs(hidden=range(N))
    value, grads, logs = graded(region_text_loss, pairs, conflict=conflict)
    assert value == 0
    assert set(grads) == {"regions", "phrases", "scale", "negatives"}
    assert all((grad == 0).all() for grad in grads.values())
    assert all(x == 0 for x in logs.values())


@pytest.mark.parametrize("conflict", ["cosine", "text"])
def test_two_equal_phrases_do_not_repel(conflict):
    pairs = without_negatives(make_pairs(n=2, hidden=()))
    pairs["phrases"] = pairs["phrases"][:1].repeat(2, 1)
    pairs["phrase_ids"] = torch.tensor([5, 5])
    value, grads, logs = graded(region_text_loss, pairs, conflict=conflict)
    assert abs(value) < 1e-12
    assert all(grad.abs().max() < 1e-12 for grad in grads.values())
    assert logs["masked_fraction"] == 1
    assert graded(region_text_loss, pairs, conflict="none")[0] > 0.5  # they do without the filter


def test_the_filter_spares_explicit_negatives():
    pairs = make_pairs(hidden=())
    pairs["negatives"] = pairs["phrases"][:, None].repeat(1, K, 1)  # as similar as can be
    pairs["negative_valid"][:] = True
    value, _, logs = graded(region_text_loss, pairs, conflict="cosine", threshold=-1.0)
    assert logs["masked_fraction"] == 1  # nothing but negatives is left against the own phrase
    torch.testing.assert_close(value, torch.tensor(1.0 + K).double().log() / 2)


def test_no_gradient_flows_through_the_filter_and_the_diagonal_stays():
    pairs = without_negatives(make_pairs(hidden=()))
    value, grads, logs = graded(region_text_loss, pairs, conflict="cosine", threshold=-1.0)
    assert logs["masked_fraction"] == 1
    assert logs["accuracy"] == 1
    assert abs(value) < 1e-12  # each row holds its own phrase alone
    assert all(grad.abs().max() < 1e-12 for grad in grads.values())


def test_a_tie_counts_as_wrong():
    pairs = without_negatives(make_pairs(n=4, hidden=()))
    pairs["phrases"] = pairs["phrases"][:1].repeat(4, 1)
    assert graded(region_text_loss, pairs, conflict="none")[2]["accuracy"] == 0


def test_the_chunk_changes_neither_value_nor_gradients():
    pairs = make_pairs()
    whole = graded(region_text_loss, pairs, chunk=N)
    for chunk in (1, 5, 7, 1000):
        assert_same(graded(region_text_loss, pairs, chunk=chunk), whole)


@pytest.mark.parametrize("conflict", CONFLICTS)
def test_the_square_never_exists(conflict):
    pairs = without_negatives(make_pairs(n=256))
    with Largest() as largest:
        graded(region_text_loss, pairs, conflict=conflict, chunk=8)
    assert largest.numel == 8 * 256


@pytest.mark.parametrize("conflict", CONFLICTS)
def test_the_host_never_waits(conflict):
    assert num_waits(lambda: walk_loss(make_walk(), Text(), conflict=conflict, chunk=5)) == 0


def test_nothing_of_the_square_is_saved_for_backward():
    pairs = without_negatives(make_pairs(n=256))
    inputs = [pairs[name].requires_grad_() for name in ("regions", "phrases", "scale")]
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: saved.append(x) or x, lambda x: x):
        region_text_loss(
            inputs[0], inputs[1], pairs["valid"], inputs[2], conflict="cosine", chunk=8
        )
    assert max(x.numel() for x in saved) <= 256 * D  # the features themselves at most
    assert sum(x.numel() for x in saved) <= 10 * 256 * D


def test_autocast_does_not_touch_the_similarities():
    pairs = {k: x.float() if x.is_floating_point() else x for k, x in make_pairs().items()}
    expected = graded(region_text_loss, pairs, chunk=5)
    assert_same(graded(region_text_loss, pairs, autocast=True, chunk=5), expected, atol=0)


def test_half_inputs_are_computed_in_float32():
    pairs = {k: x.bfloat16() if x.is_floating_point() else x for k, x in make_pairs().items()}
    exact = {k: x.double() if x.is_floating_point() else x for k, x in pairs.items()}
    value, _, _ = graded(region_text_loss, pairs)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value.double(), graded(region_text_loss, exact)[0])


def test_equal_rows_share_a_number_and_trailing_zeros_do_not_count():
    tokens = torch.randint(0, 49408, (2000, 16), generator=torch.Generator().manual_seed(0))
    ids = hash_rows(torch.cat([tokens, tokens[:1000]]))
    assert torch.equal(ids[2000:], ids[:1000])
    assert len(ids.unique()) == len(tokens.unique(dim=0)) == 2000
    assert torch.equal(hash_rows(F.pad(tokens, (0, 61))), ids[:2000])
    assert (hash_rows(tokens.flip(1)) != ids[:2000]).all()  # order counts
    assert hash_rows(tokens.int()).equal(ids[:2000])


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
        boxes=torch.zeros(3, 4, 4),
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
    torch.testing.assert_close(logs["coverage"], torch.tensor(2 / 3))
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


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"conflict": "sound"},
            "conflict of the region_text loss is 'sound'; choose one of cosine",
        ),
        ({"chunk": 0}, "chunk of the region_text loss is 0; it counts rows"),
        ({"threshold": 1.5}, r"threshold .* is 1.5; a cosine lies in \[-1, 1\], and conflict=none"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_cure(options, words):
    with pytest.raises(UserError, match=words):
        RegionText(**options)
    with pytest.raises(UserError, match=words):
        region_text_loss(*list(make_pairs().values())[:4], **options)


def test_equal_text_needs_ids():
    with pytest.raises(UserError, match="conflict 'text' compares phrase_ids, and none were given"):
        region_text_loss(*list(make_pairs().values())[:4], conflict="text")
