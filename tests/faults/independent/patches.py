"""What a ViT of open_clip says of its patches, and of a box or a mask in them.

Two ways of pooling. That of upstream (CLIPSelf: unit patches; FG-CLIP: as they are): RoIAlign of
one bin with aligned corners and as many samples each way as it covers cells. And ours, which no
page tells of: patches as they are, six samples each way whatever the box. Where `values`, the last
block keeps its residual, feed-forward, norm and projection, and of its attention the value and
output projections alone.
"""

import numpy as np
import torch
import torch.nn.functional as F


@torch.no_grad()
def patch_map(clip, image, *, values):
    """float64 [rows, columns, d]: the patches of the encoder's frame in the joint space."""
    tower = clip.model.visual
    x = tower.conv1(clip.see(image)[None])
    rows, columns = x.shape[-2:]
    x = x.flatten(2).transpose(1, 2)
    first = tower.class_embedding.expand(1, 1, -1)
    x = tower.ln_pre(torch.cat([first, x], 1) + tower.positional_embedding)
    *blocks, last = tower.transformer.resblocks
    for block in blocks:
        x = block(x)
    x = _unmixed(last, x) if values else last(x)
    tokens = tower.ln_post(x)[0, 1:] @ tower.proj
    return tokens.view(rows, columns, -1).double().numpy()


def _unmixed(block, x):
    attention, width = block.attn, x.shape[-1]
    value = F.linear(
        block.ln_1(x), attention.in_proj_weight[-width:], attention.in_proj_bias[-width:]
    )
    x = x + block.ls_1(attention.out_proj(value))
    return x + block.ls_2(block.mlp(block.ln_2(x)))


def place(size, side, resize_mode="shortest"):
    """(scale, offset) of each axis of a picture in the frame of open_clip's transform."""
    short, long = min(size), max(size)
    if resize_mode == "squash":
        new = [side, side]
    elif resize_mode == "longest":
        new = [round(length * side / long) for length in size]
    else:
        new = [side if length == short else int(side * length / short) for length in size]
    rests = [side - length for length in new]
    offsets = [rest // 2 if rest >= 0 else -round(-rest / 2) for rest in rests]
    return [
        (made / length, offset) for length, made, offset in zip(size, new, offsets, strict=True)
    ]


def in_frame(box, size, side, resize_mode="shortest"):
    """A box in pixels of a picture of `size` as pixels of the frame. What is outside is cut off; of
    a box at least a pixel stays, or all of a thinner one, at the nearest edge."""
    found = [0.0] * 4
    for axis, (scale, offset) in enumerate(place(size, side, resize_mode)):
        low, high = (box[axis + k] * scale + offset for k in (0, 2))
        least = min(1.0, high - low)
        low = min(max(low, 0.0), side - least)
        found[axis], found[axis + 2] = low, min(max(high, low + least), side)
    return found


def adaptive(length):
    """Upstream's samples along a side of so many cells."""
    return max(1, int(np.ceil(length)))


def roi(patches, box, side, *, samples=lambda length: 6):
    """[d]: the mean of evenly spaced points of a box in frame pixels; a patch is its middle."""
    rows, columns = patches.shape[:2]
    x0, x1 = (value * columns / side - 0.5 for value in box[::2])
    y0, y1 = (value * rows / side - 0.5 for value in box[1::2])
    across, down = samples(x1 - x0), samples(y1 - y0)
    xs = x0 + (np.arange(across) + 0.5) * (x1 - x0) / across
    ys = y0 + (np.arange(down) + 0.5) * (y1 - y0) / down
    return np.mean([_bilinear(patches, y, x) for y in ys for x in xs], axis=0)


def _bilinear(patches, y, x):
    rows, columns = patches.shape[:2]
    y, x = (min(max(v, 0.0), n - 1.0) for v, n in ((y, rows), (x, columns)))
    top, left = min(int(y), max(rows - 2, 0)), min(int(x), max(columns - 2, 0))
    down, right = y - top, x - left
    below, beside = min(top + 1, rows - 1), min(left + 1, columns - 1)
    upper = (1 - right) * patches[top, left] + right * patches[top, beside]
    lower = (1 - right) * patches[below, left] + right * patches[below, beside]
    return (1 - down) * upper + down * lower
