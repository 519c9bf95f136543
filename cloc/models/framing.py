"""Pictures and boxes as a person gives them, in the frame of an encoder."""

from typing import Any

import numpy as np
import torch

from cloc.frame import Colour, Framing, framed, height_and_width, into_frame, visible
from cloc.interfaces import Prepared
from cloc.models.inputs import check_pictures, check_pixel_boxes


def in_frame(images: Any, boxes: Any, *, framing: Framing, background: Colour) -> Prepared:
    """uint8 [b, 3, h, w] pixels of the frames, and boxes padded to the longest list of the batch.

    `images` is a list of Pillow's, `boxes` a list of arrays; what is neither is a `UserError`.
    Boxes are pixels of each image as people see it, upright, [n, 4]; None: none. What is
    transparent shows `background`. Of a box that the frame cuts, what is inside is the box; one
    that lies outside is a sliver at the edge.
    """
    seen = check_pictures(images, background)
    given = check_pixel_boxes(boxes, seen)
    pixels = np.zeros((len(seen), *height_and_width(framing.size), 3), np.uint8)
    most = max((len(b) for b in given), default=0)
    fractions, valid = np.zeros((len(seen), most, 4), np.float32), np.zeros((len(seen), most))
    for i, (image, pixel_boxes) in enumerate(zip(seen, given, strict=True)):
        pixels[i], frame = framed(image, framing)
        inside = into_frame(pixel_boxes, image.size, frame)
        if framing.geometry == "crop":
            inside = visible(inside, frame)
        fractions[i, : len(pixel_boxes)] = inside
        valid[i, : len(pixel_boxes)] = 1
    stacked = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
    return Prepared(stacked, torch.from_numpy(fractions), torch.from_numpy(valid).bool())
