"""Every library's own preprocessing conforms, and with a fault in its boxes none is scored."""

import re

import pytest

from cloc.errors import UserError
from cloc.eval.conformance import check, refuse
from tests.eval.conformance import adapters as made
from tests.eval.conformance.adapters import LIBRARIES, Adapter, Patches

CROPPED, PADDED, PATCHES = "open_clip shortest", "open_clip longest", "hf naflex"
SWAPPED, WHOLE = "x and y are swapped", "fractions of the whole picture, but the frame pads or crops"
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


@pytest.fixture(scope="module", params=LIBRARIES)
def library(request):
    """All tests of one library together: what it makes of the pictures is kept so long."""

    def build(**keys):
        kind = Patches if request.param == PATCHES else Adapter
        return kind(request.param, **keys)

    build.name = request.param
    return build


def refused(adapter):
    with pytest.raises(UserError) as caught:
        refuse(adapter)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_library_with_the_right_boxes_conforms(library):
    report = refuse(library())
    assert report.failing == []
    whole = [row for row in report.rows if not any(row.seen.cut) and row.sheet.width > 60]
    assert max(abs(off) for row in whole for off in row.errors().values()) < 0.2
    assert max(map(abs, report.shift)) < 0.02


def test_a_planted_fault_is_refused_and_named(library):
    planted = {f: cause for f, (cause, names) in FAULTS.items() if library.name in names}
    assert len(planted) > 1
    for fault, cause in planted.items():
        assert re.search(f"; most likely .*{cause}", refused(library(fault=fault))), fault.__name__


def test_boxes_may_be_clipped_to_the_frame_or_not(library):
    refuse(library(clips=True))
    assert SWAPPED in refused(library(fault=made.swapped, clips=True))


def test_a_library_that_ignores_exif_is_refused(library):
    line = refused(library(turns=False))
    assert re.search("such as (exif|jpeg6).*; most likely EXIF's orientation is ignored", line)


def test_only_pictures_that_show_a_fault_fail():
    tall = check(Adapter(CROPPED, fault=made.no_top)).failing
    assert tall
    assert all(row.sheet.height > row.sheet.width for row in tall)
    assert refuse(Adapter("hf siglip", fault=made.whole_picture)).failing == []  # it is right there
