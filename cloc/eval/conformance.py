"""Frame conformance: does a box point at what the encoder's pixels show there? On anybody's model.

    python -m cloc.eval.conformance my_module:factory

prints a table and exits 0, or 1 with one line that says which picture, which edge, how far, and the
most likely cause. No weights are needed. `factory` is called without arguments (it may be a class)
and gives an object with one method:

    prepare(images, boxes) -> (pixels, boxes, valid)

`images` are Pillow pictures as read from files, with EXIF orientation where a photograph has it;
`boxes` are arrays [n, 4], one per picture, in pixels of the picture as people see it, upright, as
(x0, y0, x1, y1), x0 = 0 being the left edge of the first pixel. What comes back, as a tuple or with
these names (`cloc.interfaces.Prepared`, where the first is called `images`):

    pixels  [b, 3, h, w], what the encoder sees; uint8, or normalised by any mean and std
    boxes   [b, r, 4], in the given order, as fractions of that frame; parts outside of it may be
            clipped or not; padded to the longest list
    valid   [b, r] of bool, False in padded rows; may be False where the frame cuts a box

An encoder whose pixels have another layout (patches, a frame per picture) has a second method,
`pixels(x)`, that gives [b, 3, h, w] of them or a sequence of [3, h, w].

The pictures (`cloc.eval.conformance_corpus`) show one marker each, painted exactly at a box, and
are compared with the same picture without it, so that means and bars cancel. Each edge must be
within half a pixel of the frame of where the marker is seen, and all boxes together within 0.4
along each axis in the median. A marker too small to have edges there is held by its middle and its
area.
"""

import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import PIL.Image
import torch

from cloc.errors import UserError, ends_with_its_reader, one_line
from cloc.eval.conformance_causes import UNKNOWN, likely_cause
from cloc.eval.conformance_corpus import CORPUS, Sheet
from cloc.eval.conformance_edges import Row, cover_of, seen

SHIFT = 0.4  # frame pixels that all boxes together may be off along an axis, in the median
TOGETHER = 2  # sheets in one call of `prepare`: pictures of different sizes and numbers of boxes


@runtime_checkable
class Prepares(Protocol):
    """All that is asked of an adapter; every `cloc.interfaces.Embedder` has it."""

    def prepare(self, images: Sequence[PIL.Image.Image], boxes: Sequence[np.ndarray]) -> Any: ...


class Report(NamedTuple):
    """What `check` found: every picture of the corpus."""

    rows: Sequence[Row]

    @property
    def failing(self) -> list[Row]:
        return [row for row in self.rows if row.problem()]

    @property
    def worst(self) -> tuple[Row, str, float]:
        """Row, edge and frame pixels of the largest error; no edge where none could be measured."""
        found = [(row, *item) for row in self.rows for item in row.errors().items()]
        return max(found, key=lambda item: abs(item[2]), default=(self.rows[0], "", 0.0))

    @property
    def shift(self) -> tuple[float, float]:
        """Frame pixels by which boxes are too far right and down, in the median."""
        whole = [row.errors() for row in self.rows if row.seen.sharp and not any(row.seen.cut)]
        both = [[(e["left"] + e["right"]) / 2, (e["top"] + e["bottom"]) / 2] for e in whole if e]
        x, y = np.median(both, axis=0) if both else (0.0, 0.0)
        return float(x), float(y)

    def refusal(self) -> str:
        """Why these boxes cannot be trusted, on one line; empty where they can."""
        failing = self.failing
        shifted = max(map(abs, self.shift)) > SHIFT
        if not failing and not shifted:
            return ""
        cause, told = likely_cause(self.rows, failing or self.rows)
        why = cause if cause == UNKNOWN else f"most likely {cause}"
        if not failing:
            x, y = self.shift
            return (
                f"boxes are {x:+.2f} px right and {y:+.2f} px down of what the frame shows; {why}"
            )
        row = max(told or failing, key=_how_far)
        width, height = row.frame
        named = f"{row.sheet.name}, box {row.shown}: it {row.problem()} in a {width}x{height} frame"
        return f"{len(failing)} of {len(self.rows)} pictures fail, such as {named}; {why}"

    def table(self) -> str:
        """A line per picture: frame pixels that each edge is off, right and down positive."""
        lines = [
            f"{'picture':18} box {'frame':>9}  {'left':>7} {'top':>7} {'right':>7} {'bottom':>7}"
        ]
        for row in self.rows:
            offs = " ".join(f"{off:+7.2f}" for off in row.errors().values())
            small = "" if row.seen.sharp or not offs else "  (its middle)"
            frame = f"{row.frame[0]}x{row.frame[1]}"
            named = f"{row.sheet.name:18} {row.shown:3} {frame:>9}"
            lines.append(f"{named}  {offs or 'not seen':31}{small}  {row.problem()}".rstrip())
        x, y = self.shift
        return "\n".join([*lines, f"median shift: {x:+.2f} px right, {y:+.2f} px down"])


def _how_far(row: Row) -> float:
    return max(map(abs, row.errors().values()), default=0.0)


def check(adapter: Prepares, *, sheets: Sequence[Sheet] = CORPUS) -> Report:
    """Every picture of `sheets` through the adapter; `UserError` where it keeps not to the protocol
    at all. Whatever `prepare` itself raises is passed on."""
    contrast = _contrast(adapter)
    rows = list[Row]()
    for start in range(0, len(sheets), TOGETHER):
        rows += _rows(adapter, sheets[start : start + TOGETHER], contrast)
    return Report(rows)


def refuse(adapter: Prepares, *, name: str = "this encoder") -> Report:
    """The report of an adapter that conforms; `UserError` for one that does not."""
    report = check(adapter)
    why = report.refusal()
    if why:
        raise UserError(f"frame conformance: {name} is not scored: {why}")
    return report


def _contrast(adapter: Prepares) -> np.ndarray:
    """[3]: the marker's colour less the ground's, as the tensor has them."""
    sheet = Sheet("solid", 64, 64, ((0, 0, 64, 64),))
    (marker, ground), _, _ = _prepared(adapter, [sheet] * 2, [0, None])
    off = (marker - ground).reshape(3, -1)
    strength = np.abs(off).sum(0)
    if not strength.max() > 0:
        raise UserError(
            "the pixels of a picture that is all marker are those of one that is all ground; "
            "prepare must not scale each picture by its own mean, and pixels must follow pictures"
        )
    return np.median(off[:, strength > strength.max() / 2], axis=1)


def _rows(adapter: Prepares, sheets: Sequence[Sheet], contrast: np.ndarray) -> Iterator[Row]:
    """Neighbours in the call are of different sheets: no answer passes for the next one's."""
    asked: list[tuple[Sheet, int | None]] = [(sheet, None) for sheet in sheets]
    most = max(len(sheet.boxes) for sheet in sheets)
    asked += [(sheet, i) for i in range(most) for sheet in sheets if i < len(sheet.boxes)]
    pixels, boxes, valid = _prepared(adapter, *zip(*asked, strict=True))
    grounds = dict(zip(sheets, pixels, strict=False))
    for (sheet, shown), shows, own, real in zip(asked, pixels, boxes, valid, strict=True):
        if shown is not None:
            frame = shows.shape[2], shows.shape[1]
            x0, y0, x1, y1 = sheet.boxes[shown]
            found = seen(cover_of(shows, grounds[sheet], contrast), (x1 - x0, y1 - y0))
            yield Row(sheet, shown, frame, own[shown] * (frame * 2), bool(real[shown]), found)


def _prepared(
    adapter: Prepares, sheets: Sequence[Sheet], shown: Sequence[int | None]
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """The adapter's answer: float64 [3, h, w] per picture, [b, r, 4], and bool [b, r]."""
    pictures = [sheet.picture(which) for sheet, which in zip(sheets, shown, strict=True)]
    answer = adapter.prepare(pictures, [sheet.given() for sheet in sheets])
    try:
        x, boxes, valid = answer
    except (TypeError, ValueError):
        kind = type(answer).__name__
        raise UserError(f"prepare gives {kind}, not (pixels, boxes, valid)") from None
    own, real = _array(boxes), _array(valid)
    count, most = len(sheets), max(len(sheet.boxes) for sheet in sheets)
    if own.ndim != 3 or own.shape[:1] + own.shape[2:] != (count, 4) or own.shape[1] < most:
        raise UserError(
            f"prepare gives boxes of shape {list(own.shape)}; {count} pictures of up to {most} "
            f"boxes make [{count}, {most}, 4]"
        )
    if real.shape != own.shape[:2]:
        raise UserError(
            f"prepare gives valid of shape {list(real.shape)} for boxes of {list(own.shape)}; one "
            "bool for each box"
        )
    return _pixels(adapter, x, count), own, real.astype(bool)


def _pixels(adapter: Prepares, x: Any, count: int) -> list[np.ndarray]:
    own = getattr(adapter, "pixels", None)
    found = x if own is None else own(x)
    shape = list(getattr(found, "shape", [])) or type(found).__name__
    cure = "give the adapter a method pixels(x) -> [b, 3, h, w]" if own is None else "one of each"
    try:
        arrays = [_array(picture) for picture in found]
    except (TypeError, ValueError, RuntimeError):
        arrays = []
    if len(arrays) != count or any(a.ndim != 3 or len(a) != 3 for a in arrays):
        raise UserError(
            f"the pixels of {count} pictures are {shape}, not [{count}, 3, h, w]; {cure}"
        )
    if not all(np.isfinite(a).all() for a in arrays):
        raise UserError("the pixels that prepare gives are not all finite")
    return arrays


def _array(value: Any) -> np.ndarray:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().double().numpy()
    return np.asarray(value, np.float64)


def _built(path: str) -> Prepares:
    """What `module:factory` of the command line makes."""
    module, colon, name = path.partition(":")
    if not (module and colon and name):
        raise UserError(f"{path!r} names no factory; write my_module:factory")
    try:
        adapter = getattr(import_module(module), name)()
    except Exception as error:  # of somebody's code: whatever it is, it ends the command
        raise UserError(f"{path}: {type(error).__name__}: {one_line(error)}") from error
    if not isinstance(adapter, Prepares):
        raise UserError(f"{path} gives {type(adapter).__name__}, without prepare(images, boxes)")
    return adapter


def main(arguments: Sequence[str]) -> int:
    """The command: 0 where `module:factory` conforms."""
    if len(arguments) != 1:
        print("error: python -m cloc.eval.conformance my_module:factory", file=sys.stderr)
        return 1
    try:
        report = check(_built(arguments[0]))
    except Exception as error:  # of somebody's code, too
        kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
        print(f"error: {kind}{one_line(error)}", file=sys.stderr)
        return 1
    print(report.table())
    why = report.refusal()
    if why:
        print(f"error: {arguments[0]}: {why}", file=sys.stderr)
    return int(bool(why))


if __name__ == "__main__":
    with ends_with_its_reader():
        code = main(sys.argv[1:])
    sys.exit(code)
