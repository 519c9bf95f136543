"""The region-text loss against its definition, one anchor at a time."""

import pytest
import torch
import torch.nn.functional as F

from cloc.errors import UserError
from cloc.losses.region_text import RegionText, first_of_box, region_text_loss
from tests.helpers.rows import (
    Largest,
    assert_same,
    graded,
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
        "box_ids": torch.tensor([0, 1, 0])[torch.arange(n) % 3] + torch.arange(n) // 3 * 10,
        "negatives": unit_rows(seed + 30, n, K, D),
        "negative_valid": negative_valid,
    }


def without_negatives(pairs):
    return {name: x for name, x in pairs.items() if not name.startswith("negative")}


def clash(i, j, phrases, phrase_ids, box_ids, conflict):
    if box_ids is not None and box_ids[i] == box_ids[j]:
        return True
    if conflict == "cosine":
        return bool(phrases[i].detach() @ phrases[j].detach() > 0.9)
    return conflict == "text" and bool(phrase_ids[i] == phrase_ids[j])


def by_definition(
    regions,
    phrases,
    valid,
    scale,
    phrase_ids,
    box_ids=None,
    negatives=None,
    negative_valid=None,
    *,
    conflict,
):
    """One anchor at a time."""
    rows = valid.nonzero().flatten().tolist()
    terms, num_masked, num_right = [], 0, 0
    for i in rows:
        kept = [
            j for j in rows if j == i or not clash(i, j, phrases, phrase_ids, box_ids, conflict)
        ]
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
        "coverage": valid.double().mean(),  # every row is of an image of its own
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
    del pairs["box_ids"]
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


@pytest.mark.parametrize("conflict", CONFLICTS)
def test_rows_may_stand_in_images_and_regions_and_coverage_is_the_share_of_such_images(conflict):
    pairs = make_pairs(hidden=(3, 8, *range(9, 12)))
    shaped = {k: x if x.ndim == 0 else x.unflatten(0, (4, 3)) for k, x in pairs.items()}
    flat = graded(region_text_loss, pairs, conflict=conflict, chunk=5)
    value, grads, logs = graded(region_text_loss, shaped, conflict=conflict, chunk=5)
    torch.testing.assert_close(value, flat[0], rtol=0, atol=0)
    for name, grad in grads.items():
        torch.testing.assert_close(grad.view_as(flat[1][name]), flat[1][name], rtol=0, atol=0)
    assert flat[2]["coverage"] == pytest.approx(7 / 12)
    assert logs["coverage"] == 3 / 4  # the last image has none


@pytest.mark.parametrize("conflict", ["cosine", "text"])
def test_two_equal_phrases_do_not_repel(conflict):
    pairs = without_negatives(make_pairs(n=2, hidden=()))
    pairs["phrases"] = pairs["phrases"][:1].repeat(2, 1)
    pairs["phrase_ids"], pairs["box_ids"] = torch.tensor([5, 5]), torch.tensor([0, 1])
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


@pytest.mark.parametrize("conflict", CONFLICTS)
def test_one_region_by_two_names_of_which_neither_is_wrong(conflict):
    pairs = without_negatives(make_pairs(n=4, hidden=()))
    pairs["regions"] = pairs["regions"][[0, 0, 2, 3]]
    pairs["phrases"] = unit_rows(7, 4, D)
    pairs["phrase_ids"], pairs["box_ids"] = torch.arange(4), torch.tensor([8, 8, 9, 10])
    value, _, logs = graded(region_text_loss, pairs, conflict=conflict)
    assert logs["masked_fraction"] >= 2 / 12
    assert_same(
        graded(region_text_loss, pairs, conflict=conflict),
        graded(by_definition, pairs, conflict=conflict),
    )
    apart = {**pairs, "box_ids": torch.arange(4)}
    assert value < graded(region_text_loss, apart, conflict=conflict)[0]


def test_equal_boxes_of_an_image_have_one_number_and_padded_rows_their_own():
    boxes = torch.rand(3, 4, 4)
    boxes[0, 2], boxes[1, 3], boxes[2, 1] = boxes[0, 0], boxes[1, 1], boxes[1, 0]
    boxes[2, 2:] = 0  # padded, and equal
    valid = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 0, 0]]).bool()
    assert first_of_box(boxes, valid).tolist() == [[0, 1, 0, 3], [4, 5, 6, 5], [8, 9, 10, 11]]


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


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"conflict": "sound"},
            "conflict of the region_text loss is 'sound'; choose one of cosine",
        ),
        ({"chunk": 0}, "chunk of the region_text loss is 0; it counts rows"),
        ({"threshold": 1.5}, r"threshold .* is 1.5; a cosine lies in \[-1, 1\], and conflict=none"),
        (
            {"conflict": "none", "threshold": 0.9},
            "but conflict=none has none; set losses.region_text.threshold=null",
        ),
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
