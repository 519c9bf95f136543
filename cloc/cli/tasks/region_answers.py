"""What the region demo answers: a table of similarities, and a heatmap of every phrase."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch

from cloc.data.samples.decode import decode_image
from cloc.data.samples.orientation import orientation, turned
from cloc.errors import UserError
from cloc.eval.encode import same_texts
from cloc.interfaces import Embedder
from cloc.models.load import load
from cloc.models.show import draw, see


def answer(given: Any) -> None:
    """Prints every cosine similarity and writes the heatmap; without --box and --out a plain CLIP
    is enough. `given` is of region_demo's parser."""
    image = _read(given.image)
    boxes = [_box(text, image.size) for text in given.box]
    embedder = load(given.model)
    if (boxes or given.out) and embedder.model.region_head is None:
        raise UserError(
            f"{given.model} has no region head, which --box and --out need; leave them out for the "
            "similarity of the whole image with each phrase, or give a model that has one"
        )
    phrases = list(dict.fromkeys(given.phrases))
    print(f"{given.image}, {image.width} x {image.height} pixels; cosine similarities:")
    print(table(embedder, image, phrases, boxes))
    if given.out is not None:
        found, told = picture(embedder, image, phrases, boxes)
        try:
            found.save(given.out, "PNG")
        except OSError as error:
            raise UserError(f"--out {given.out} cannot be written: {error}") from None
        print("\n".join([*told, f"{given.out}: brightest where the phrase is most similar"]))


def table(
    embedder: Embedder,
    image: PIL.Image.Image,
    phrases: Sequence[str],
    boxes: Sequence[Sequence[float]],
) -> str:
    """One line per phrase: its similarity with the image and with each box (pixels)."""
    texts = embedder.texts(phrases)
    x, framed, valid = embedder.prepare([image], [np.array(boxes, np.float32).reshape(-1, 4)])
    rows = embedder.images(x)
    if boxes:
        rows = torch.cat([rows, embedder.regions(x, framed, valid)[0]])
    width = max(map(len, phrases))
    names = ["image", *(f"box {i + 1}" for i in range(len(boxes)))]
    lines = [" " * width + "".join(f"{name:>9}" for name in names)]
    for phrase, values in zip(phrases, (texts @ rows.T).tolist(), strict=True):
        lines.append(f"{phrase:{width}}" + "".join(f"{value:9.3f}" for value in values))
    return "\n".join(lines)


def picture(
    embedder: Embedder,
    image: PIL.Image.Image,
    phrases: Sequence[str],
    boxes: Sequence[Sequence[float]],
) -> tuple[PIL.Image.Image, list[str]]:
    """`cloc.models.show.draw`, and a line of text per phrase.

    Of phrases that the model reads as the same one the first has a panel.
    """
    seen = see(embedder, image, [phrases[i] for i in same_texts(embedder, phrases)[1]])
    told = []
    for i, (phrase, values) in enumerate(zip(seen.phrases, seen.heat, strict=True)):
        line = f"{phrase}: {values.min():.3f} to {values.max():.3f} over the image"
        if seen.boxes is None:
            told.append(f"{line}, no predicted box: this model has no box head")
        else:
            told.append(f"{line}, predicted at {','.join(f'{x:.0f}' for x in seen.boxes[i])}")
    return draw(image, seen, boxes), told


def _read(path: Path) -> PIL.Image.Image:
    if not path.is_file():
        raise UserError(f"{path}: there is no such image")
    data = path.read_bytes()
    image = decode_image(data, str(path))
    # upright, as whoever gives a --box sees it
    return PIL.Image.fromarray(turned(np.asarray(image), orientation(data)))


def _box(text: str, size: tuple[int, int]) -> list[float]:
    width, height = size
    try:
        x0, y0, x1, y1 = box = [float(x) for x in text.split(",")]
        is_inside = 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height
    except ValueError:
        is_inside = False
    if not is_inside:
        raise UserError(
            f"--box {text}: expected x0,y0,x1,y1 in pixels of the image, with "
            f"0 <= x0 < x1 <= {width} and 0 <= y0 < y1 <= {height}"
        )
    return box
