"""Pictures that stand for a box: its crop, what is around it, the blurred rest, the red circle.

From ReCLIP's executor (a box is cut with its corners rounded to whole pixels, the rest is blurred
by Pillow's Gaussian) and, of what no public code tells, from our own pages: the circle's line is
1 % of the shorter side, its inner edge on the box; context is half a side more on each side.
"""

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFilter


def whole_pixels(box, size):
    """Corners rounded, cut at the border, at least a pixel: (left, top, right, bottom)."""
    found = [0, 0, 0, 0]
    for axis, length in enumerate(size):
        low = sorted((0, round(float(box[axis])), length - 1))[1]
        high = min(round(float(box[axis + 2])), length)
        found[axis], found[axis + 2] = low, max(high, low + 1)
    return tuple(found)


def crop(image, box):
    return image.crop(whole_pixels(box, image.size))


def crop_context(image, box):
    # as shards' boxes are read and their sides told: halves may fall elsewhere
    x0, y0, x1, y1 = map(np.float32, box)
    w, h = float(x1 - x0), float(y1 - y0)
    x0, y0, x1, y1 = map(float, (x0, y0, x1, y1))
    return crop(image, (x0 - w / 2, y0 - h / 2, x1 + w / 2, y1 + h / 2))


def blurred(image):
    """Everything, by 100 pixels where the longer side has 640."""
    return image.filter(PIL.ImageFilter.GaussianBlur(100 * max(image.size) / 640))


def blur(image, box, rest=None):
    x0, y0, x1, y1 = whole_pixels(box, image.size)
    mask = PIL.Image.new("L", image.size, 0)
    PIL.ImageDraw.Draw(mask).rectangle((x0, y0, x1 - 1, y1 - 1), fill=255)
    return PIL.Image.composite(image, rest or blurred(image), mask)


def red_circle(image, box):
    x0, y0, x1, y1 = whole_pixels(box, image.size)
    line = max(1, round(min(image.size) / 100))
    shown = image.copy()
    outer = (x0 - line, y0 - line, x1 + line - 1, y1 + line - 1)
    PIL.ImageDraw.Draw(shown).ellipse(outer, outline=(255, 0, 0), width=line)
    return shown
