"""Two gloo ranks give the loss and the gradients of one process, in float64, for every loss.

One file for all: starting a process costs more than all these checks.
"""

import pytest
import torch
import torch.distributed as td

from cloc.losses.clipself import CLIPSelf, clipself_loss
from cloc.losses.distill_image import DistillImage, distill_image_loss
from cloc.losses.grounding import Grounding, grounding_loss
from cloc.losses.image_text import ImageText, image_text_loss
from cloc.losses.image_text_sigmoid import image_text_sigmoid_loss
from cloc.losses.next_token import next_token_loss
from cloc.losses.region_hard_negatives import RegionHardNegatives, region_hard_negatives_loss
from cloc.losses.region_text import RegionText, region_text_loss
from tests.helpers.ranks import run_ranks
from tests.helpers.rows import graded, make_batch, make_embeddings, random_boxes, unit_rows
from tests.losses import (
    test_distill_image,
    test_grounding,
    test_image_text_sigmoid,
    test_next_token,
    test_region_hard_negatives,
    test_region_text,
    test_routing,
    test_stepwise,
)

WORLD = 2
PARAMETERS = ("scale", "bias", "phrase_table")  # the same on every rank, as DDP keeps them
RAGGED, FIRST_RANK_ONLY = (1, 6, 7, 8), range(6, 12)  # padded rows of 12


def _walk(loss, region, phrase_table, scale, predicted, boxes, valid, index, negatives, **extra):
    """An adapter on a batch whose ranks hold different images and the same phrases."""
    batch = make_batch(
        valid=valid,
        phrases=torch.arange(len(phrase_table))[:, None],
        phrase_index=index,
        negative_index=negatives,
        boxes=boxes,
    )
    out = make_embeddings(
        len(valid),
        region=region,
        phrase=phrase_table,
        region_scale=scale,
        predicted_boxes=predicted,
        extra=extra,
    )
    return loss(out, batch)


def walk_region_text(**tensors):
    return _walk(RegionText(conflict="text", chunk=3), **tensors)


def walk_grounding(**tensors):
    return _walk(Grounding(kind="l1_giou", match="nearest"), **tensors)


def walk_hard_negatives(**tensors):
    return _walk(RegionHardNegatives(), **tensors)


def walk_clipself(**tensors):
    return _walk(CLIPSelf(), **tensors)


def _without_regions(n):
    return make_batch(
        valid=torch.zeros(n, 1, dtype=torch.bool),
        phrases=torch.ones(1, 2, dtype=torch.long),
        phrase_index=torch.zeros(n, 1, dtype=torch.long),
        negative_index=torch.zeros(n, 1, 0, dtype=torch.long),
        boxes=torch.zeros(n, 1, 4),
    )


def walk_image_text(images, captions, valid, scale):
    batch = _without_regions(len(valid))._replace(caption_valid=valid)
    out = make_embeddings(len(valid), image=images, caption=captions, scale=scale)
    return ImageText(chunk=4)(out, batch)


def walk_distill_image(images, teacher):
    out = make_embeddings(len(images), image=images, extra={"teacher_image": teacher})
    return DistillImage()(out, _without_regions(len(images)))


def make_walk():
    """4 images of 3, 1, 1 and 0 regions: lambda is 3/4, and no rank sees that share alone."""
    index = torch.tensor([[0, 1, 0], [0, 0, 0], [1, 0, 0], [0, 0, 0]])
    negatives = torch.full((4, 3, 2), -1)
    negatives[0, 1], negatives[2, 0, 0] = torch.tensor([2, 3]), 2
    return {
        "region": unit_rows(1, 4, 3, 5),
        "phrase_table": unit_rows(2, 4, 5),
        "scale": torch.tensor(5.0, dtype=torch.float64),
        "predicted": random_boxes(3, 4, 3),
        "boxes": random_boxes(4, 4, 3),
        "valid": torch.tensor([[1, 1, 1], [1, 0, 0], [1, 0, 0], [0, 0, 0]]).bool(),
        "index": index,
        "negatives": negatives,
    }


def make_cases():
    """(name, loss, inputs of one process, options)."""
    for hidden in (RAGGED, FIRST_RANK_ONLY, range(12)):
        sigmoid = test_image_text_sigmoid.make_pairs(n=12, hidden=hidden)
        softmax = {name: x for name, x in sigmoid.items() if name != "bias"}
        yield "image_text", image_text_loss, softmax, {}
        yield "image_text in chunks", image_text_loss, softmax, {"chunk": 4}
        yield "image_text adapter", walk_image_text, softmax, {}
        yield "sigmoid", image_text_sigmoid_loss, sigmoid, {"chunk": 4}
        regions = test_region_text.make_pairs(n=12, hidden=hidden)
        for conflict in test_region_text.CONFLICTS:
            options = {"conflict": conflict, "chunk": 4}
            yield f"region_text {conflict}", region_text_loss, regions, options
    for valid in ([[1, 0, 0, 1], [1, 1, 1, 1]], [[1, 1, 1, 1], [0, 0, 0, 0]]):
        boxes = test_grounding.make_regions(valid=[*valid, valid[1]])
        boxes = {name: x[:2] for name, x in boxes.items()}
        for kind, match in test_grounding.SETTINGS:
            options = {"kind": kind, "match": match}
            yield f"grounding {kind} {match}", grounding_loss, boxes, options
    yield from fine_tuning_cases()
    yield "region_text adapter", walk_region_text, make_walk(), {}
    yield "grounding adapter", walk_grounding, make_walk(), {}
    yield "hard negatives adapter", walk_hard_negatives, make_walk(), {}
    taught = {**make_walk(), "teacher_region": unit_rows(6, 4, 3, 5)}
    yield "clipself adapter", walk_clipself, taught, {}


def fine_tuning_cases():
    """Regions on both ranks, on the first alone, on none; every image has a teacher."""
    for valid in ([[1, 0, 1, 1], [1, 1, 0, 1]], [[1, 1, 1, 1], [0] * 4], [[0] * 4] * 2):
        found = test_region_hard_negatives.make_regions(valid=[*valid, valid[1]])
        found = {name: x if name == "scale" else x[:2] for name, x in found.items()}
        yield "hard negatives", region_hard_negatives_loss, found, {}
        region = {name: found[name] for name in ("regions", "valid")}
        region["teacher"] = found["texts"][:, :, 0]
        yield "clipself", clipself_loss, region, {}
    images = test_distill_image.make_images()
    yield "distill_image", distill_image_loss, images, {}
    yield "distill_image adapter", walk_distill_image, images, {}
    yield from answer_cases()


def answer_cases():
    """Of the second step on the first rank alone too."""
    yield "next_token", next_token_loss, test_next_token.make_answers(), {}
    answers = test_stepwise.make_answers()
    yield "stepwise", test_stepwise.loss, answers, {}
    answers = {**answers, "step": answers["step"].clone()}
    answers["step"][3:] = answers["step"][3:].clamp(max=0)
    yield "stepwise of one rank", test_stepwise.loss, answers, {}
    yield "routing", test_routing.loss, test_routing.make_routes(), {}


def _check_case(rank, loss, inputs, options, expected):
    mine = {k: x if k in PARAMETERS else x.chunk(WORLD)[rank] for k, x in inputs.items()}
    value, grads, logs = graded(loss, mine, **options)
    whole_value, whole_grads, whole_logs = expected
    torch.testing.assert_close(value, whole_value, rtol=0, atol=1e-12)  # global, on every rank
    torch.testing.assert_close(logs, whole_logs, rtol=0, atol=1e-12)
    assert set(grads) == set(whole_grads)
    for name, grad in grads.items():
        wanted = whole_grads[name]
        if name in PARAMETERS:
            td.all_reduce(grad)  # what DDP does
            torch.testing.assert_close(grad / WORLD, wanted, rtol=0, atol=1e-12)
        else:
            wanted = WORLD * wanted.chunk(WORLD)[rank]  # DDP's mean undoes the factor
            torch.testing.assert_close(grad, wanted, rtol=0, atol=1e-12)


def _check_rank(rank, cases, whole):
    for (name, *case), expected in zip(cases, whole, strict=True):
        try:
            _check_case(rank, *case, expected)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error


@pytest.mark.dist
def test_two_ranks_equal_one_process():
    cases = list(make_cases())
    whole = [graded(loss, inputs, **options) for _, loss, inputs, options in cases]
    assert any(value > 0 for value, _, _ in whole)
    run_ranks(_check_rank, cases, whole, world=WORLD)
