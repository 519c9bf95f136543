"""The grounding loss against its definition and torchvision."""

import pytest
import torch

from cloc.errors import UserError
from cloc.losses.grounding import Grounding, grounding_loss
from tests.helpers.rows import (
    assert_same,
    graded,
    make_batch,
    make_embeddings,
    num_waits,
    random_boxes,
)

SETTINGS = [(kind, match) for kind in ("mse", "l1_giou") for match in ("own", "nearest")]


def make_regions(seed=0, valid=((1, 1, 1, 1), (1, 1, 0, 1), (0, 0, 0, 0))):
    """In the first image phrase 3 stands at three boxes; in the second a padded box shares it."""
    return {
        "predicted": random_boxes(seed, 3, 4),
        "boxes": random_boxes(seed + 50, 3, 4),
        "valid": torch.tensor(valid).bool(),
        "phrase_index": torch.tensor([[3, 1, 3, 3], [0, 0, 0, 5], [0, 0, 0, 0]]),
    }


def cost_of(a, b, kind):
    import torchvision  # seconds, and the ranks of test_two_ranks import this file

    if kind == "mse":
        return ((a - b) ** 2).sum() / 4
    giou = torchvision.ops.generalized_box_iou(a[None], b[None])[0, 0]
    return 2.5 * (a - b).abs().sum() + (1 - giou)


def by_definition(predicted, boxes, valid, phrase_index, *, kind, match):
    """One region at a time."""
    import torchvision

    costs, ious = [], []
    for i, m in valid.nonzero().tolist():
        allowed = [m]
        if match == "nearest":
            same = (phrase_index[i] == phrase_index[i, m]) & valid[i]
            allowed = same.nonzero().flatten().tolist()
        some = boxes[i, allowed]
        costs.append(min(cost_of(predicted[i, m], box, kind) for box in some))
        ious.append(torchvision.ops.box_iou(predicted[i, m].detach()[None], some.detach()).max())
    coverage = valid.any(1).double().mean()
    return torch.stack(costs).mean(), {"iou": torch.stack(ious).mean(), "coverage": coverage}


@pytest.mark.parametrize(("kind", "match"), SETTINGS)
@pytest.mark.parametrize("seed", range(3))
def test_matches_the_definition(seed, kind, match):
    regions = make_regions(seed)
    actual = graded(grounding_loss, regions, kind=kind, match=match)
    assert_same(actual, graded(by_definition, regions, kind=kind, match=match))


@pytest.mark.parametrize("kind", ["mse", "l1_giou"])
def test_nearest_takes_the_cheapest_box_of_the_same_phrase_in_the_same_image(kind):
    regions = make_regions()
    regions["predicted"][0, 0] = regions["boxes"][0, 2]  # another box of phrase 3
    regions["valid"] = torch.zeros(3, 4).bool()
    regions["valid"][0, [0, 2]] = True
    regions["predicted"][0, 2] = regions["boxes"][0, 2]
    assert graded(grounding_loss, regions, kind=kind, match="own")[0] > 0
    value, _, logs = graded(grounding_loss, regions, kind=kind, match="nearest")
    assert abs(value) < 1e-12
    torch.testing.assert_close(logs["iou"], torch.ones((), dtype=torch.float64))
    regions["phrase_index"][0] = torch.arange(4)  # each has its own phrase: nothing to choose
    nearest, own = (
        graded(grounding_loss, regions, kind=kind, match=match) for match in ("nearest", "own")
    )
    assert_same(nearest, own)


@pytest.mark.parametrize("kind", ["mse", "l1_giou"])
def test_a_padded_box_is_nobodys_nearest(kind):
    regions = make_regions(valid=((1, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0)))
    regions["predicted"][0] = 0  # padded slots hold zeros, and phrase 3 stands in two of them
    nearest, own = (
        graded(grounding_loss, regions, kind=kind, match=match) for match in ("nearest", "own")
    )
    assert nearest[0] > 0
    assert_same(nearest, own)


@pytest.mark.parametrize(("kind", "match"), SETTINGS)
@pytest.mark.parametrize("garbage", [1e30, torch.nan, -torch.inf])
def test_padding_changes_nothing(kind, match, garbage):
    regions = make_regions()
    expected = graded(grounding_loss, regions, kind=kind, match=match)
    for name in ("predicted", "boxes"):
        padded = ~regions["valid"][..., None]
        regions[name] = regions[name].masked_fill(padded, garbage)
    assert_same(graded(grounding_loss, regions, kind=kind, match=match), expected, atol=0)


@pytest.mark.parametrize(("kind", "match"), SETTINGS)
def test_zero_with_zero_gradient_where_nothing_is_valid(kind, match):
    regions = make_regions(valid=torch.zeros(3, 4).tolist())
    value, grads, logs = graded(grounding_loss, regions, kind=kind, match=match)
    assert value == 0
    assert (grads["predicted"] == 0).all()
    assert logs["iou"] == 0


@pytest.mark.parametrize(("kind", "match"), SETTINGS)
def test_autocast_changes_nothing(kind, match):
    regions = {k: x.float() if x.is_floating_point() else x for k, x in make_regions().items()}
    expected = graded(grounding_loss, regions, kind=kind, match=match)
    actual = graded(grounding_loss, regions, autocast=True, kind=kind, match=match)
    assert_same(actual, expected, atol=0)


@pytest.mark.parametrize(("kind", "match"), SETTINGS)
def test_the_host_never_waits(kind, match):
    assert num_waits(lambda: graded(grounding_loss, make_regions(), kind=kind, match=match)) == 0


@pytest.mark.parametrize("weight_by_coverage", [True, False])
def test_the_adapter_multiplies_by_the_share_of_images_with_regions(weight_by_coverage):
    regions = make_regions()
    batch = make_batch(
        valid=regions["valid"],
        phrases=torch.ones(6, 2, dtype=torch.long),
        phrase_index=regions["phrase_index"],
        negative_index=torch.zeros(3, 4, 0, dtype=torch.long),
        boxes=regions["boxes"],
    )
    out = make_embeddings(3, predicted_boxes=regions["predicted"])
    options = {"kind": "l1_giou", "match": "nearest"}
    loss = Grounding(**options, weight_by_coverage=weight_by_coverage)
    value, logs = loss(out, batch)
    plain, _, expected_logs = graded(grounding_loss, regions, **options)
    torch.testing.assert_close(
        value, plain * (2 / 3 if weight_by_coverage else 1), rtol=1e-6, atol=0
    )
    assert logs == expected_logs
    assert all(getattr(out, name) is not None for name in loss.needs)


def test_a_wrong_setting_is_refused_with_its_cure():
    with pytest.raises(UserError, match="kind of the grounding loss is 'huber'; choose one of mse"):
        Grounding(kind="huber")
    with pytest.raises(UserError, match=r"match .* is 'any'; choose one of own, nearest"):
        grounding_loss(*list(make_regions().values())[:3], match="any")
    with pytest.raises(UserError, match="match 'nearest' compares phrase_index, and none was"):
        grounding_loss(*list(make_regions().values())[:3], match="nearest")
