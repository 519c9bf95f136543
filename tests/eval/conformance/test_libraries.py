"""Every library's own preprocessing conforms, and with a fault in its boxes none is scored."""

import re

import pytest

from cloc.errors import UserError
from cloc.eval.conformance import Report, check, refuse
from cloc.eval.conformance_corpus import CORPUS
from tests.eval.conformance import adapters as made
from tests.eval.conformance.adapters import LIBRARIES, Adapter, Patches

CROPPED, PADDED, PATCHES = "open_clip shortest", "open_clip longest", "hf naflex"
SWAPPED, WHOLE = (
    "x and y are swapped",
    "fractions of the whole picture, but the frame pads or crops",
)
OFFSET, HALF = "the offset of the bars or of the crop is left out", "shifted by half a pixel"


FAULTS = {
    made.swapped: (SWAPPED, [*LIBRARIES]),
    made.swapped_before: (SWAPPED, [CROPPED, PADDED, PATCHES]),
    made.whole_picture: (WHOLE, [CROPPED, PADDED, "timm border", "timm center", "hf clip"]),
    made.half_of_the_frame: (HALF, [*LIBRARIES]),
    made.half_of_the_picture: (HALF, [CROPPED, PADDED, "hf siglip", PATCHES]),
    made.last_index: ("off by one pixel", [CROPPED, PADDED, "hf siglip"]),
    made.no_top: (f"{OFFSET} along y", [CROPPED, PADDED, "hf clip", "timm center"]),
    made.no_left: (f"{OFFSET} along x", [CROPPED, PADDED]),
    made.no_offset: (f"{OFFSET}$", [CROPPED, PADDED]),
    made.sides_swapped: ("divided by another size", ["hf siglip", PATCHES]),
    made.in_pixels: (r"not in \[0, 1\]", [CROPPED, "hf siglip"]),
    made.in_thousandths: (r"not in \[0, 1\]", [PADDED]),
}


EXIF = [sheet for sheet in CORPUS if sheet.orientation != 1] + [*CORPUS[:2]]


def adapter(name, **keys):
    return Patches(name, **keys) if name == PATCHES else Adapter(name, **keys)


def pointed(report, own, *, clips=False):
    """The report of an adapter with the same pixels and the boxes of its `fault`."""
    rows = []
    for row in report.rows:
        size = row.sheet.width, row.sheet.height
        boxes = own.fault(row.sheet.given().astype(float), size, own.place)[row.shown]
        rows.append(row._replace(given=(boxes.clip(0, 1) if clips else boxes) * (row.frame * 2)))
    return Report(rows)


SOON = ("open_clip shortest", "timm center", "hf clip")  # the others with `make faults`


@pytest.mark.parametrize(
    "name",
    [pytest.param(x, marks=[] if x in SOON else pytest.mark.rare) for x in LIBRARIES],
)
def test_a_library_conforms_and_with_a_fault_in_its_boxes_is_refused(name):
    report = refuse(adapter(name))
    assert report.failing == []
    whole = [row for row in report.rows if not any(row.seen.cut) and row.sheet.width > 100]
    assert max(abs(off) for row in whole for off in row.errors().values()) < 0.2
    assert max(map(abs, report.shift)) < 0.02
    assert pointed(report, adapter(name), clips=True).refusal() == ""

    planted = {fault: cause for fault, (cause, names) in FAULTS.items() if name in names}
    assert len(planted) > 1
    for number, (fault, cause) in enumerate(planted.items()):
        own = adapter(name, fault=fault)
        line = pointed(report, own, clips=number % 2 == 0).refusal()
        assert re.search(f"; most likely .*{cause}", line), fault.__name__
        assert "\n" not in line

    line = check(adapter(name, turns=False), sheets=EXIF).refusal()
    assert re.search("such as (exif|jpeg6).*; most likely EXIF's orientation is ignored", line)


@pytest.mark.parametrize("fault", [made.swapped, made.whole_picture, made.half_of_the_picture])
def test_the_three_faults_people_make_are_refused_from_end_to_end(fault):
    with pytest.raises(UserError, match=FAULTS[fault][0]):
        refuse(Adapter(PADDED, fault=fault))


def test_only_pictures_that_show_a_fault_fail():
    tall = check(Adapter(CROPPED, fault=made.no_top), sheets=CORPUS[:8]).failing
    assert tall
    assert all(row.sheet.height > row.sheet.width for row in tall)
    right = Adapter("open_clip squash", fault=made.whole_picture)  # where it is none
    assert check(right, sheets=CORPUS[:8]).refusal() == ""
