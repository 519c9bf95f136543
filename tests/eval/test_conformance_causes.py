"""The cause that is named: of what is measured, or none. Planted faults: conformance/."""

import numpy as np
import pytest

from cloc.eval.conformance import check
from cloc.eval.conformance_causes import EXIF, FAULTS, UNKNOWN, _line, _mapping, likely_cause
from cloc.eval.conformance_corpus import CORPUS
from tests.eval.conformance.adapters import Adapter, right, shortest


def noise(boxes, size, place):
    rng = np.random.default_rng(int(boxes.sum()))
    return right(boxes, size, place) + rng.uniform(-0.3, 0.3, boxes.shape)


@pytest.fixture(scope="module")
def report():
    return check(Adapter("open_clip shortest", fault=noise))


def test_a_fault_that_nobody_knows_is_called_so(report):
    assert len(report.failing) > 60
    assert likely_cause(report.rows, report.failing) == (UNKNOWN, [])
    assert report.refusal().endswith(f"; {UNKNOWN}")


def test_where_only_turned_pictures_fail_it_is_exif():
    turned = [*CORPUS[:2], *(sheet for sheet in CORPUS if sheet.orientation != 1)]
    rows = check(Adapter("open_clip squash", turns=False), sheets=turned)
    cause, told = likely_cause(rows.rows, rows.failing)
    assert cause == EXIF
    assert {row.sheet.orientation for row in told} == {*range(2, 9)}


def test_a_mapping_is_measured_of_the_pixels_and_not_of_the_boxes(report):
    rows = report.rows
    for row in rows:
        if min(row.sheet.width, row.sheet.height) > 100:
            sx, sy, left, top, *_ = shortest(row.sheet.width, row.sheet.height)
            scale, shift = _mapping([other for other in rows if other.sheet == row.sheet])
            assert scale == pytest.approx([sx, sy], rel=0.01)
            assert shift == pytest.approx([left, top], abs=1 + abs(left + top) * 0.01)


def test_a_line_needs_two_places_and_that_they_lie_on_it():
    assert _line([0.0, 10.0], [5.0, 25.0]) == pytest.approx((2, 5))
    assert _line([3.0, 3.0], [5.0, 5.0]) is None
    assert _line([0.0, 10.0], [25.0, 5.0]) is None
    assert _line([0.0, 10.0, 20.0], [5.0, 25.0, 35.0]) is None


def test_every_fault_says_what_to_do_on_one_line():
    assert all("\n" not in words and len(words) < 150 for words in FAULTS)
