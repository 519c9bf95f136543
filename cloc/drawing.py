"""Boxes, heatmaps and contact sheets drawn on pictures: what people look at to trust a number."""

import base64
import io
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
from PIL.Image import Resampling

# Told apart on photographs and by people with the common colour blindnesses (after Okabe and Ito).
PALETTE = (
    "#00c2a8",
    "#ff7a1a",
    "#3f8cff",
    "#ffd21f",
    "#e45dbf",
    "#7ee02f",
    "#ff4d4d",
    "#a98bff",
)
_OVERSAMPLE = 3  # PIL's lines have hard steps; drawn larger and shrunk they are smooth
_HEAT_STOPS = (0.0, 0.25, 0.5, 0.75, 1.0)
_HEAT_COLOURS = ((13, 8, 60), (98, 20, 140), (203, 60, 90), (248, 150, 30), (252, 253, 170))


def colour(index: int) -> str:
    """The palette's colour of the index-th thing, starting again after the last."""
    return PALETTE[index % len(PALETTE)]


def enlarged(image: PIL.Image.Image, *, long_side: int) -> PIL.Image.Image:
    """`image` in RGB, scaled up until its long side is `long_side`; a larger one is left alone."""
    scale = long_side / max(image.size)
    if scale <= 1:
        return image.convert("RGB")
    size = (max(round(image.width * scale), 1), max(round(image.height * scale), 1))
    return image.convert("RGB").resize(size, Resampling.BICUBIC)


def draw_boxes(
    image: PIL.Image.Image,
    boxes_px: np.ndarray,
    labels: Sequence[str],
    colours: Sequence[str],
    *,
    dashed: Sequence[bool] = (),
    long_side: int = 512,
) -> PIL.Image.Image:
    """A copy of `image` with one labelled box per row of `boxes_px` [n 4], pixels of `image`.

    A small image is enlarged to `long_side`, so that labels can be read. Boxes are clipped to the
    image; one with a coordinate that is not finite is left out. An empty label draws no tag; an
    empty `dashed` means all lines are solid.
    """
    boxes_px = np.asarray(boxes_px, np.float64).reshape(-1, 4)
    dashed = dashed or [False] * len(boxes_px)
    if not len(boxes_px) == len(labels) == len(colours) == len(dashed):
        raise ValueError(
            f"{len(boxes_px)} boxes, {len(labels)} labels, {len(colours)} colours and "
            f"{len(dashed)} dashes: one of each per box is needed"
        )
    canvas = enlarged(image, long_side=long_side)
    boxes_px = boxes_px * ([canvas.width / image.width, canvas.height / image.height] * 2)
    shown = [i for i, box in enumerate(boxes_px) if np.isfinite(box).all()]
    rims = np.clip(boxes_px, 0, [canvas.width - 1, canvas.height - 1] * 2)
    lines = PIL.Image.new("RGBA", (canvas.width * _OVERSAMPLE, canvas.height * _OVERSAMPLE))
    for i in shown:
        _rectangle(PIL.ImageDraw.Draw(lines), rims[i], colours[i], dashed=dashed[i])
    canvas.paste(small := lines.resize(canvas.size, Resampling.BOX), mask=small.getchannel("A"))
    for i in shown:
        if labels[i]:
            _tag(canvas, rims[i], labels[i], colours[i])
    return canvas


def heatmap(
    image: PIL.Image.Image, values: np.ndarray, *, alpha: float = 0.7, long_side: int = 512
) -> PIL.Image.Image:
    """`image` under a colour map of `values` [h w], which cover the whole image.

    Values may have any range: the lowest is dark, the highest bright. `alpha` in [0, 1] is the
    opacity of the brightest place. A value that is not finite counts as the lowest; constant
    values show as dark all over.
    """
    canvas = enlarged(image, long_side=long_side)
    heat = PIL.Image.fromarray(_unit_range(values).astype(np.float32))
    heat_px = np.clip(np.asarray(heat.resize(canvas.size, Resampling.BICUBIC)), 0, 1)
    tint = np.stack(
        [np.interp(heat_px, _HEAT_STOPS, channel) for channel in zip(*_HEAT_COLOURS, strict=True)],
        axis=-1,
    )
    # The cold places keep more of the picture, so one still sees what lies there.
    opacity = (alpha * (0.5 + 0.5 * heat_px))[..., None]
    mixed = np.asarray(canvas, np.float64) * (1 - opacity) + tint * opacity
    return PIL.Image.fromarray(mixed.round().astype(np.uint8))


def contact_sheet(
    images: Sequence[PIL.Image.Image], columns: int, *, gap: int = 8, background: str = "#20242b"
) -> PIL.Image.Image:
    """All images in rows of `columns`, each centred in a cell as large as the largest of them."""
    if not images or columns < 1:
        raise ValueError(f"{len(images)} images in {columns} columns: at least one of each")
    columns = min(columns, len(images))
    cell_width, cell_height = (max(image.size[axis] for image in images) for axis in (0, 1))
    num_rows = -(-len(images) // columns)
    sheet = PIL.Image.new(
        "RGB",
        (columns * (cell_width + gap) + gap, num_rows * (cell_height + gap) + gap),
        background,
    )
    for i, image in enumerate(images):
        row, column = divmod(i, columns)
        left = gap + column * (cell_width + gap) + (cell_width - image.width) // 2
        top = gap + row * (cell_height + gap) + (cell_height - image.height) // 2
        sheet.paste(image.convert("RGB"), (left, top))
    return sheet


def to_data_uri(image: PIL.Image.Image, *, lossless: bool = False) -> str:
    """The picture as text that an HTML `src` takes: PNG if `lossless`, else JPEG."""
    buffer = io.BytesIO()
    if lossless:
        image.save(buffer, "PNG", optimize=True)
    else:
        image.convert("RGB").save(buffer, "JPEG", quality=88, subsampling=0)
    kind = "png" if lossless else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def _unit_range(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or not values.size:
        raise ValueError(f"heatmap values have shape {list(values.shape)}, expected [h w]")
    finite = values[np.isfinite(values)]
    if not finite.size or finite.max() == finite.min():
        return np.zeros_like(values)
    unit = (values - finite.min()) / (finite.max() - finite.min())
    return np.where(np.isfinite(values), unit, 0.0)


def _rectangle(draw: PIL.ImageDraw.ImageDraw, box: np.ndarray, fill: str, *, dashed: bool) -> None:
    """On the oversampled canvas; a dark rim below keeps a line visible on its own colour."""
    x0, x1 = sorted((box[0] * _OVERSAMPLE, box[2] * _OVERSAMPLE))
    y0, y1 = sorted((box[1] * _OVERSAMPLE, box[3] * _OVERSAMPLE))
    corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]
    for stroke, width in (((10, 12, 16, 170), 4 * _OVERSAMPLE), (fill, 2 * _OVERSAMPLE)):
        for start, end in pairwise(corners):
            for a, b in _dashes(start, end) if dashed else [(start, end)]:
                draw.line([a, b], fill=stroke, width=width)


def _dashes(
    start: tuple[float, float], end: tuple[float, float]
) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    a, b = np.array(start), np.array(end)
    length = float(np.abs(b - a).sum())  # the edges run along the axes
    if length == 0:
        return []
    on, period = 9 * _OVERSAMPLE, 16 * _OVERSAMPLE
    return [
        (tuple(a + (b - a) * at / length), tuple(a + (b - a) * min(at + on, length) / length))
        for at in np.arange(0, length, period)
    ]


def _tag(canvas: PIL.Image.Image, box: np.ndarray, text: str, fill: str) -> None:
    """The label on a plate of the box's colour: above the box, or inside it at the upper rim."""
    font = PIL.ImageFont.load_default(size=max(13.0, max(canvas.size) / 36))
    draw = PIL.ImageDraw.Draw(canvas)
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    width, height = right - left + 8, bottom - top + 6
    x = max(min(box[0] - 1, canvas.width - width), 0)
    y = box[1] - height if box[1] >= height else box[1] + 1
    draw.rectangle([x, y, x + width, y + height], fill=fill)
    draw.text((x + 4 - left, y + 3 - top), text, fill="#0b0d10", font=font)
