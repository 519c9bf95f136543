"""Files of published suites in miniature, painted pictures for them, and encoders with known
answers.

A picture is a colour of its own on the left half and white on the right, so an encoder can tell
which it is, that it is mirrored, and that its patches are no longer where they were. What is true
of which picture is read from the files by the published protocols, not by our loaders.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL.Image
import torch
import torch.nn.functional as F
import yaml
from torch import Tensor

from cloc.cli.config.folders import CONFIGS
from cloc.interfaces import Prepared, Split

FILES = Path(__file__).parents[1] / "eval/suites"
SIDE, WIDTH = 16, 1024
EMPTY = Split("val", (), {})
SUITES = sorted(path.name for path in FILES.iterdir() if path.is_dir() and path.name[0] != "_")


class Truth(NamedTuple):
    """A picture by its path, the box of it that is looked at, what is true of it and mirrored."""

    path: str
    box: tuple[int, int, int, int] | None
    captions: tuple[str, ...]
    mirrored: tuple[str, ...]


def turned(text: str) -> str:
    return re.sub(r"\b(left|right)\b", lambda m: {"left": "right", "right": "left"}[m[0]], text)


def load(name: str) -> dict[str, list]:
    """The files of a suite: name without ending -> records."""
    found = {}
    for path in sorted((FILES / name).rglob("*.json*")):
        text = path.read_text()
        lines = path.suffix == ".jsonl"
        found[path.stem] = [json.loads(x) for x in text.splitlines()] if lines else json.loads(text)
    return found


def _whatsup(rows: Sequence[dict]) -> Iterator[Truth]:
    for row in rows:  # the first caption is the right one
        text = row["caption_options"][0]
        yield Truth(row["image_path"].removeprefix("data/"), None, (text,), (turned(text),))


def _spatial(folder: str, digits: int, rows: Sequence[list]) -> Iterator[Truth]:
    for number, right, _ in rows:
        yield Truth(f"{folder}/{str(number).zfill(digits)}.jpg", None, (right,), (turned(right),))


def _boxed(rows: Sequence[dict]) -> Iterator[Truth]:
    for row in rows:
        x, y, w, h = (row[f"bbox_{side}"] for side in "xywh")
        text, other = (row[f"{kind}_caption"] for kind in ("true", "false"))
        sided = row.get("relation_name", "") in ("to the left of", "to the right of")
        mirrored = other if sided else text
        yield Truth(f"images/{row['image_path']}", (x, y, x + w, y + h), (text,), (mirrored,))


def _order(rows: Sequence[dict]) -> Iterator[Truth]:
    for row in rows:
        yield Truth(row["image"], None, (row["caption_options"][0],), (row["caption_options"][0],))


def _sugarcrepe(rows: Mapping[str, dict]) -> Iterator[Truth]:
    for row in rows.values():
        yield Truth(f"val2017/{row['filename']}", None, (row["caption"],), (row["caption"],))


def _vsr(rows: Sequence[dict]) -> Iterator[Truth]:
    for row in rows:
        text = (row["caption"],) if row["label"] else ()
        yield Truth(f"images/{row['image']}", None, text, tuple(map(turned, text)))


READ: dict[str, Callable[..., Iterator[Truth]]] = {
    "whatsup": _whatsup,
    "coco_spatial": lambda rows: _spatial("val2017", 12, rows),
    "gqa_spatial": lambda rows: _spatial("vg_images", 0, rows),
    "aro_relation": _boxed,
    "aro_attribution": _boxed,
    "aro_coco_order": _order,
    "aro_flickr_order": _order,
    "sugarcrepe": _sugarcrepe,
    "vsr": _vsr,
}


def truths(name: str) -> list[Truth]:
    read = next(READ[start] for start in READ if name.startswith(start))
    return [truth for rows in load(name).values() for truth in read(rows)]


def lay_out(name: str, folder: Path) -> dict[int, tuple[tuple[str, ...], tuple[str, ...]]]:
    """The files of a suite with pictures painted beside them; what is true of each number."""
    shutil.copytree(FILES / name, folder, dirs_exist_ok=True)
    known: dict[str, Truth] = {}
    for truth in truths(name):
        old = known.get(truth.path, truth._replace(captions=(), mirrored=()))
        both = old.captions + truth.captions, old.mirrored + truth.mirrored
        known[truth.path] = truth._replace(captions=both[0], mirrored=both[1])
    for number, truth in enumerate(known.values()):
        paint(folder / truth.path, number, truth.box)
    return {i: (truth.captions, truth.mirrored) for i, truth in enumerate(known.values())}


def paint(path: Path, number: int, box: tuple[int, int, int, int] | None = None) -> None:
    """A PNG, whatever its name ends in: colours must survive. With a box, black around it."""
    x0, y0, x1, y1 = box or (0, 0, SIDE, SIDE)
    pixels = np.zeros((y1 + (box is not None), x1 + (box is not None), 3), np.uint8)
    pixels[y0:y1, x0:x1] = 255
    pixels[y0:y1, x0 : (x0 + x1) // 2] = (number // 64 + 1, number % 64 * 4, 7)
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(pixels).save(path, "PNG")


def benchmark(name: str, root: Path, **changed):
    """As its YAML file makes it."""
    from hydra.utils import instantiate

    [(key, given)] = yaml.safe_load((CONFIGS / f"benchmarks/{name}.yaml").read_text()).items()
    assert key == name
    return instantiate({**given, "root": str(root), **changed})


class Encoder:
    """Texts are unit vectors of their own; what a picture is, `image` says."""

    def __init__(self, known: Mapping[int, tuple[Sequence[str], Sequence[str]]]) -> None:
        self.known, self.row_of = known, {}

    def prepare(self, images: Sequence[PIL.Image.Image], boxes: Sequence[np.ndarray]) -> Prepared:
        nearest = PIL.Image.Resampling.NEAREST
        pixels = [np.asarray(image.resize((SIDE, SIDE), nearest)) for image in images]
        none = torch.zeros(len(images), 0)
        return Prepared(
            torch.from_numpy(np.stack(pixels)), none[..., None].expand(-1, 0, 4), none > 0
        )

    def images(self, x: Tensor) -> Tensor:
        return torch.stack([self.image(*seen(pixels)) for pixels in x])

    def texts(self, texts: Sequence[str]) -> Tensor:
        return torch.stack([self.text(text) for text in texts])

    def image(self, number: int | None, mirrored: bool) -> Tensor:
        said = () if number is None else self.known[number][mirrored]
        out = torch.zeros(WIDTH)
        out[-1] = 1e-2
        for text in said:
            out = out + self.text(text)
        return F.normalize(out, dim=0)

    def text(self, text: str) -> Tensor:
        row = self.row_of.setdefault(text, len(self.row_of))
        return F.one_hot(torch.tensor(row), WIDTH).float()

    def regions(self, x, boxes, valid):
        raise AssertionError("no suite of captions asks for regions")

    def ground(self, x, phrases):
        raise AssertionError("no suite of captions asks for boxes")


class AntiOracle(Encoder):
    def image(self, number, mirrored):
        return -super().image(number, mirrored)


class Same(Encoder):
    """One vector for everything."""

    def image(self, number, mirrored):
        return F.one_hot(torch.tensor(0), WIDTH).float()

    def text(self, text):
        return F.one_hot(torch.tensor(0), WIDTH).float()


class Chance(Encoder):
    """Vectors drawn by what is shown and said, the same at every call."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__({})
        self.seed = seed

    def image(self, number, mirrored):
        return self.draw(f"picture {number} {mirrored}")

    def text(self, text):
        return self.draw(text)

    def draw(self, told: str) -> Tensor:
        digest = hashlib.blake2b(f"{self.seed} {told}".encode(), digest_size=7).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest))
        return F.normalize(torch.randn(64, generator=generator), dim=0)


def seen(pixels: Tensor) -> tuple[int | None, bool]:
    """The number that is painted, and whether mirrored; None where its halves are not whole."""
    for mirrored in (False, True):
        own = pixels.flip(1) if mirrored else pixels
        colour, half = own[0, 0], SIDE // 2
        whole = (own[:, :half] == colour).all() and (own[:, half:] == 255).all()
        if whole and (colour != 255).any():
            return (int(colour[0]) - 1) * 64 + int(colour[1]) // 4, mirrored
    return None, False
