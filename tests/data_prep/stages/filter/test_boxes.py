"""Which regions a filter leaves, why the others went, and suppression against torchvision's."""

import json
from typing import Any

import numpy as np
import pytest
import torch
import torchvision

from cloc.data.samples.record import Record, Region
from cloc.errors import UserError
from data_prep.stage import Notes
from data_prep.stages.filter.boxes import BoxFilter, keep_by_nms

OFF: dict[str, Any] = {
    "score_at_least": 0.0,
    "side_px_at_least": 0.0,
    "duplicate_iou": None,
    "nms_iou": None,
    "regions_at_most": None,
}


def region(*box: float, text: str = "a cat", score: float = 0.5) -> Region:
    x0, y0, x1, y1 = map(float, box)
    return Region((x0, y0, x1, y1), text, score=score)


def left(regions: list[Region], **settings: Any) -> tuple[list[int], dict[tuple[str, str], int]]:
    """The places of those that remain, and what was told; tests not named are off."""
    notes = Notes()
    record = Record("k", b"", "jpg", 100, 50, regions=tuple(regions))
    [found] = BoxFilter(**{**OFF, **settings})([record], notes)
    places = {id(given): place for place, given in enumerate(regions)}
    return [places[id(kept)] for kept in found.regions], dict(notes.counts)


SQUARE = (10.0, 10.0, 30.0, 30.0)
NEARLY = (10.0, 10.0, 30.0, 29.0)  # IoU 0.95 with it
HALF = (10.0, 10.0, 30.0, 20.0)  # IoU 0.5
CASES = {
    "score": (
        [region(*SQUARE, score=0.1), region(*SQUARE, score=0.09)],
        {"score_at_least": 0.1},
        [0],
    ),
    "side": ([region(0, 0, 3.9, 40), region(0, 0, 4, 40)], {"side_px_at_least": 4.0}, [1]),
    "small": ([region(0, 0, 9, 5), region(0, 0, 10, 5)], {"area_at_least": 0.01}, [1]),
    "large": ([region(0, 0, 100, 50), region(0, 0, 50, 50)], {"area_at_most": 0.5}, [1]),
    "aspect": (
        [region(0, 0, 5, 41), region(0, 0, 41, 5), region(0, 0, 40, 5)],
        {"aspect_at_most": 8.0},
        [2],
    ),
    "duplicate": (
        [region(*SQUARE, text="The  cat"), region(*NEARLY, text="a cat", score=0.6)],
        {"duplicate_iou": 0.9},
        [1],
    ),
    "nms": (
        [region(*SQUARE), region(*NEARLY, score=0.6), region(*NEARLY, text="a dog")],
        {"nms_iou": 0.9},
        [1, 2],
    ),
    "nms_across": (
        [region(*SQUARE), region(*NEARLY, text="a dog", score=0.6)],
        {"nms_iou_across": 0.9},
        [1],
    ),
    "cap": (
        [region(*SQUARE, score=s) for s in (0.2, 0.9, 0.3, 0.9)],
        {"regions_at_most": 2},
        [1, 3],
    ),
}


@pytest.mark.parametrize("reason", CASES)
def test_one_test_at_a_time(reason: str):
    regions, settings, expected = CASES[reason]
    kept, counts = left(regions, **settings)
    assert kept == expected
    assert counts == {("regions", reason): len(regions) - len(expected)}


def test_regions_of_other_texts_do_not_suppress_each_other():
    regions = [region(*SQUARE), region(*SQUARE, text="a dog", score=0.9)]
    assert left(regions, nms_iou=0.5, duplicate_iou=0.9) == ([0, 1], {})


def test_an_overlap_of_just_the_threshold_stays():
    regions = [region(*SQUARE), region(*HALF)]
    assert left(regions, nms_iou=0.5)[0] == [0, 1]
    assert left(regions, nms_iou=0.49)[0] == [0]


def test_of_equal_scores_the_first_stays():
    assert left([region(*SQUARE), region(*SQUARE)], nms_iou=0.5)[0] == [0]


def test_each_test_sees_what_the_ones_before_have_left():
    """A box that its score removes suppresses none, and the cap counts those that remain."""
    regions = [region(*SQUARE, score=0.05), region(*HALF, score=0.04), region(*SQUARE, score=0.3)]
    kept, counts = left(regions, score_at_least=0.1, nms_iou=0.4, regions_at_most=1)
    assert kept == [2]
    assert counts == {("regions", "score"): 2}


def test_a_record_without_regions_stays():
    record = Record("k", b"", "jpg", 9, 9, regions=(region(0, 0, 9, 9, score=0.0),))
    [found] = BoxFilter()([record], Notes())
    assert found.regions == ()


@pytest.mark.parametrize("seed", range(20))
def test_suppression_is_that_of_torchvision(seed: int):
    """Over random boxes, many of them equal, with scores of few values and so many ties."""
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 12, (80, 2)).astype(float)
    corners = np.concatenate([corners, corners + rng.integers(1, 8, (80, 2))], 1)
    scores = rng.integers(0, 6, 80) / 5
    groups = rng.integers(0, 3, 80)
    keep = keep_by_nms(corners, scores, groups, 0.3)
    expected = torchvision.ops.batched_nms(
        torch.from_numpy(corners), torch.from_numpy(scores), torch.from_numpy(groups), 0.3
    )
    assert np.flatnonzero(keep).tolist() == sorted(expected.tolist())
    assert 0 < keep.sum() < 80


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"nms_iou": 1.0}, "nms_iou=1.0"),
        ({"area_at_least": 0.6, "area_at_most": 0.5}, "area_at_least=0.6"),
        ({"aspect_at_most": 0.5}, "aspect_at_most=0.5"),
        ({"regions_at_most": 0}, "regions_at_most=0"),
    ],
)
def test_settings_that_leave_nothing_are_refused(settings: dict[str, Any], message: str):
    with pytest.raises(UserError, match=message):
        BoxFilter(**settings)


def test_it_depends_on_its_settings():
    described = BoxFilter().describe()
    assert json.loads(json.dumps(described)) == described
    assert BoxFilter(nms_iou=0.4).describe() != described


def test_masks_and_twins_go_with_the_regions_that_stay():
    regions = (region(*SQUARE, score=0.05), region(*SQUARE), region(40, 0, 60, 20, text="a dog"))
    masks = [{"size": [50, 100], "counts": text} for text in "abc"]
    twins = [{"region": i, "other": j, "phrase": "x", "flipped": "y"} for i, j in ((1, 2), (0, 1))]
    record = Record(
        "k", b"", "jpg", 100, 50, regions=regions, meta={"masks": masks, "twins": twins}
    )
    [found] = BoxFilter()([record], Notes())
    assert found.regions == regions[1:]
    assert found.meta == {"masks": masks[1:], "twins": [{**twins[0], "region": 0, "other": 1}]}
