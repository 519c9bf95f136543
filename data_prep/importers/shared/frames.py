"""In which frame the boxes of a set are: of the pixels as stored, or of the picture as shown.

Software differs in whether it heeds a file's EXIF orientation, and so do the sets that were drawn
with it. Shards hold boxes of the stored pixels.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cloc.data.samples import validate
from cloc.data.samples.orientation import orientation, to_stored, upright_size
from cloc.errors import BadSample, UserError
from data_prep.importing import Picture

STORED, UPRIGHT, UNKNOWN = "stored", "upright", "unknown"
CURE = "set boxes_in=stored or boxes_in=upright, or let budget= allow for some"


class Frame(NamedTuple):
    """A picture and how its boxes lie in it."""

    picture: Picture
    code: int = 1  # by which pixels are turned into the frame of the boxes, and shown

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of what the boxes were drawn on."""
        return upright_size(self.picture.width, self.picture.height, self.code)

    def stored(self, box: Sequence[float]) -> list[float]:
        """Corners in pixels of the frame, as corners in pixels of the picture; what are no four
        numbers is left as it is, to be counted."""
        if self.code == 1 or len(box) != 4 or not all(map(validate.is_finite, box)):
            return list(box)
        width, height = self.picture.width, self.picture.height
        found: list[float] = to_stored(np.array(box, float), width, height, self.code).tolist()
        return found


def check_frame(boxes_in: str) -> str:
    """The setting of that name."""
    if boxes_in not in (STORED, UPRIGHT, UNKNOWN):
        known = f"{STORED}, {UPRIGHT} or {UNKNOWN}"
        raise UserError(f"boxes_in={boxes_in} is not known; give boxes_in={known}")
    return boxes_in


def frame_of(
    picture: Picture,
    boxes_in: str,
    where: str,
    *,
    size: tuple[int, int] | None = None,
    has_boxes: bool = True,
    cure: str = "use the files the boxes were drawn on",
) -> Frame:
    """The frame of one picture's boxes, which were drawn on `size` pixels, where that is known. A
    picture without boxes is shown upright, as people see it.

    Another size than the frame has is `BadSample("size")`, for every box would be misplaced. With
    "unknown" the size decides where the sides are swapped; where it cannot, `BadSample("turned")`.
    """
    code = orientation(picture.content)
    stored, upright = Frame(picture), Frame(picture, code)
    fits = [frame for frame in (stored, upright) if size in (None, frame.size)]
    if boxes_in == UNKNOWN and has_boxes and code != 1 and len(fits) > 1:
        raise BadSample(
            "turned",
            f"{where}: its EXIF orientation is {code}, and nothing says whether its boxes are of "
            f"the picture as stored or as shown upright; {CURE}",
        )
    wanted = {STORED: [stored], UPRIGHT: [upright]}.get(boxes_in, [stored, upright])
    found = next((frame for frame in (wanted if has_boxes else fits) if frame in fits), None)
    if found is None:
        annotated = f"it is annotated as {size[0]}x{size[1]}" if size else ""
        if fits:
            cure = f"this is not what boxes_in={boxes_in} says; change that, or {cure}"
            annotated = f"its EXIF orientation is {code}, {annotated}"
        shown = f"the picture is {picture.width}x{picture.height} pixels"
        raise BadSample("size", f"{where}: {shown}, {annotated}; {cure}")
    return found if has_boxes else upright
