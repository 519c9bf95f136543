"""Adapters of each library's own preprocessing, boxes mapped by hand, and the faults to plant.

Nothing here knows `cloc.frame`: where a picture lies in its frame is written down a second time.
"""

import math
from functools import partial

import numpy as np
import open_clip
import PIL.ImageOps
import torch
from timm.data import create_transform
from transformers import CLIPImageProcessor, Siglip2ImageProcessor, SiglipImageProcessor

N = 128  # pixels of a side of every frame that is a square


def squash(width, height, n=N):
    """Scale of x and of y, left, top, width and height of the frame; so do all of these."""
    return n / width, n / height, 0, 0, n, n


def longest(width, height, n=N):
    """The bars as open_clip has them: half of the rest before, rounded down."""
    ratio = max(width, height) / n
    w, h = round(width / ratio), round(height / ratio)
    return w / width, h / height, (n - w) // 2, (n - h) // 2, n, n


def shortest(width, height, n=N, resized=None, half=round):
    """The crop as torchvision has it; of `resized` pixels `n` are left."""
    side = resized or n
    w, h = (side, int(side * height / width)) if width <= height else (0, side)
    w = w or int(side * width / height)
    return w / width, h / height, -half((w - n) / 2), -half((h - n) / 2), n, n


def timm_squash(width, height):
    n, side = N, math.floor(N / 0.875)
    return side / width, side / height, -(side - n) // 2, -(side - n) // 2, n, n


def naflex(width, height, patch=16, most=64):
    """No side is cut: both are whole patches, each scaled by itself."""
    from transformers.models.siglip2.image_processing_siglip2 import (
        get_image_size_for_max_num_patches as fitted,
    )

    h, w = fitted(height, width, patch, most)
    return w / width, h / height, 0, 0, w, h


# what may be done wrong, as fractions of the frame for pixel boxes of a picture
def right(boxes, size, place):
    sx, sy, left, top, w, h = place(*size)
    return (boxes * [sx, sy, sx, sy] + [left, top] * 2) / [w, h, w, h]


def swapped(boxes, size, place):
    return right(boxes, size, place)[:, [1, 0, 3, 2]]


def swapped_before(boxes, size, place):
    return right(boxes[:, [1, 0, 3, 2]], size, place)


def whole_picture(boxes, size, place):
    return boxes / [*size, *size]


def half_of_the_frame(boxes, size, place):
    return right(boxes, size, place) + np.array([0.5 / place(*size)[4], 0.5 / place(*size)[5]] * 2)


def half_of_the_picture(boxes, size, place):
    return right(boxes + 0.5, size, place)


def last_index(boxes, size, place):
    return right(boxes - [0, 0, 1, 1], size, place)


def no_top(boxes, size, place):
    return right(boxes, size, lambda w, h: [*place(w, h)[:3], 0, *place(w, h)[4:]])


def no_left(boxes, size, place):
    return right(boxes, size, lambda w, h: [*place(w, h)[:2], 0, *place(w, h)[3:]])


def no_offset(boxes, size, place):
    return right(boxes, size, lambda w, h: [*place(w, h)[:2], 0, 0, *place(w, h)[4:]])


def sides_swapped(boxes, size, place):
    return boxes / [*size[::-1], *size[::-1]]


def in_pixels(boxes, size, place):
    return right(boxes, size, place) * ([*place(*size)[4:]] * 2)


def in_thousandths(boxes, size, place):
    return right(boxes, size, place) * 1000


class Adapter:
    """`turns`: turn pictures upright; `clips`: cut boxes at the frame."""

    def __init__(self, name, *, fault=right, turns=True, clips=False):
        self.name, self.fault, self.turns, self.clips = name, fault, turns, clips
        self.transform, self.place = LIBRARIES[name]

    def prepare(self, images, boxes):
        most = max(map(len, boxes))
        framed, valid = torch.zeros(len(images), most, 4), torch.zeros(len(images), most).bool()
        pixels = []
        for i, (image, own) in enumerate(zip(images, boxes, strict=True)):
            if self.turns:
                image = PIL.ImageOps.exif_transpose(image)
            pixels.append(self.see(image.convert("RGB")))
            found = self.fault(own.astype(np.float64), image.size, self.place)
            framed[i, : len(own)] = torch.from_numpy(found.clip(0, 1) if self.clips else found)
            valid[i, : len(own)] = True
        return self.stacked(pixels), framed, valid

    def see(self, image):
        return self.transform(image)

    def stacked(self, pixels):
        return torch.stack(pixels)


class Patches(Adapter):
    """Of NaFlex: its tensor is a row of patches, and `pixels` puts the picture together again."""

    def stacked(self, pixels):
        return {key: torch.cat([own[key] for own in pixels]) for key in pixels[0]}

    def pixels(self, x):
        for patches, (rows, columns) in zip(x["pixel_values"], x["spatial_shapes"], strict=True):
            grid = patches[: rows * columns].view(rows, columns, 16, 16, 3)
            yield grid.permute(4, 0, 2, 1, 3).reshape(3, rows * 16, columns * 16)


def by_hf(processor):
    return lambda image: processor(images=image, return_tensors="pt")["pixel_values"][0]


def by_timm(mode):
    return create_transform((3, N, N), crop_pct=1.0 if mode == "border" else 0.875, crop_mode=mode)


CLIP = {"size": {"shortest_edge": N}, "crop_size": {"height": N, "width": N}}
NAFLEX = Siglip2ImageProcessor(patch_size=16, max_num_patches=64)
LIBRARIES = {
    "open_clip shortest": (open_clip.image_transform(N, is_train=False), shortest),
    "open_clip squash": (
        open_clip.image_transform(N, is_train=False, resize_mode="squash"),
        squash,
    ),
    "open_clip longest": (
        open_clip.image_transform(N, is_train=False, resize_mode="longest", fill_color=114),
        longest,
    ),
    "timm center": (by_timm("center"), lambda w, h: shortest(w, h, resized=146)),
    "timm squash": (by_timm("squash"), timm_squash),
    "timm border": (by_timm("border"), longest),
    "hf clip": (by_hf(CLIPImageProcessor(**CLIP)), lambda w, h: shortest(w, h, half=int)),
    "hf siglip": (by_hf(SiglipImageProcessor(size={"height": N, "width": N})), squash),
    "hf naflex": (partial(NAFLEX, return_tensors="pt"), naflex),
}


def ones_own():
    """An encoder of pictures and texts that squashes, for `model=module:`."""
    own = Adapter("open_clip squash")
    own.images = lambda x: torch.ones(len(x), 4) / 2
    own.texts = lambda texts: torch.ones(len(texts), 4) / 2
    return own
