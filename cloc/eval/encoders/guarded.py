"""An encoder that a person wrote, with every answer looked at: what is wrong with one is a line."""

import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from cloc.errors import UserError, one_line
from cloc.interfaces import Prepared

UNIT = 0.01  # that a length may be off 1: half precision is off by a thousandth or two
HALF = (torch.float16, torch.bfloat16)
OURS = Path(__file__).parent
NO_REGIONS = "this encoder has no regions of its own; measure it with extractors=[crop]"


class Guarded:
    """`inner` as an `Embedder`: `regions`, `ground`, `patches`, `tokens` and `pixels` may be
    missing, arrays may be NumPy's in what `prepare` gives, and vectors may be of any float type:
    they come back in float32 and without gradient, those of half precision of unit length again.

    Whatever `inner` raises is a `UserError` with its place, and so is an answer of another shape,
    of a width that an earlier one had not, of the meta device, with a number that is not finite, or
    with a vector that is not of unit length; a region may be zero, which ties with every text.
    """

    def __init__(self, inner: Any, name: str) -> None:
        self.inner, self.name = inner, name
        self._width: tuple[str, int] | None = None  # the first method that told it
        for method, guard in (("patches", self._patches), ("tokens", self._tokens)):
            if _has(inner, method):
                setattr(self, method, guard)
        for method in ("pixels", "prepare_masked"):
            if _has(inner, method):
                setattr(self, method, getattr(inner, method))

    def look(self) -> None:
        """Asks for one picture and one text, so that what is wrong is told before data are read."""
        picture, no_boxes = PIL.Image.new("RGB", (64, 48), (90, 120, 60)), np.zeros((0, 4))
        self.images(self.prepare([picture], [no_boxes]).images)
        self.texts(["a photo"])

    def prepare(self, images: Sequence[PIL.Image.Image], boxes: Sequence[np.ndarray]) -> Prepared:
        answer = self._asked("prepare", images, boxes)
        try:
            x, fractions, valid = map(torch.as_tensor, answer)
        except (TypeError, ValueError, RuntimeError):
            raise self._wrong("prepare", f"{_kind(answer)}, not (pixels, boxes, valid)") from None
        return Prepared(x, fractions.float(), valid.bool())

    def images(self, x: Tensor) -> Float[Tensor, "b d"]:
        return self._vectors("images", self._asked("images", x), (len(x),))

    def texts(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        return self._vectors("texts", self._asked("texts", texts), (len(texts),))

    def regions(
        self, x: Tensor, boxes: Float[Tensor, "b r 4"], valid: Bool[Tensor, "b r"]
    ) -> Float[Tensor, "b r d"]:
        if not _has(self.inner, "regions"):
            raise UserError(NO_REGIONS)
        answer = self._asked("regions", x, boxes, valid)
        return self._vectors("regions", answer, tuple(valid.shape), valid)

    def ground(
        self, x: Tensor, phrases: Sequence[Sequence[str]]
    ) -> list[Float[Tensor, "n 4"]] | None:
        answer = self._asked("ground", x, phrases) if _has(self.inner, "ground") else None
        if answer is None:
            return None
        found = list(answer) if isinstance(answer, Sequence | Tensor) else [answer]
        if len(found) != len(phrases):
            raise self._wrong("ground", f"{_kind(answer)}, not boxes of {len(phrases)} pictures")
        for own, asked in zip(found, phrases, strict=True):
            if not isinstance(own, Tensor) or own.shape != (len(asked), 4):
                raise self._wrong("ground", f"{_kind(own)}, not a box for each of {len(asked)}")
            if not own.isfinite().all():
                raise self._wrong("ground", "numbers that are not finite")
        return [own.float() for own in found]

    def _patches(self, x: Tensor, *, values: bool = False) -> tuple[Tensor, tuple[int, int]]:
        answer = self._asked("patches", x, **({"values": True} if values else {}))
        try:
            tokens, (rows, columns) = answer
            right = tokens.ndim == 3 and tokens.shape[:2] == (len(x), rows * columns)
        except (TypeError, ValueError, AttributeError):
            right = False
        if not right:
            told = f"{_kind(answer)}, not ([{len(x)}, rows * columns, d], (rows, columns))"
            raise self._wrong("patches", told)
        return tokens.float(), (rows, columns)

    def _tokens(self, texts: Sequence[str]) -> list[bytes]:
        answer = self._asked("tokens", texts)
        right = isinstance(answer, list) and all(isinstance(own, bytes) for own in answer)
        if not right or len(answer) != len(texts):
            raise self._wrong("tokens", f"{_kind(answer)}, not the bytes of {len(texts)} texts")
        return list(answer)

    def _asked(self, method: str, *arguments: Any, **more: Any) -> Any:
        try:
            with torch.no_grad():
                answer = getattr(self.inner, method)(*arguments, **more)
        except UserError:
            raise
        except (Exception, SystemExit) as error:
            raise UserError(f"{self.name}: {method} raises {told(error)}; correct it") from error
        parts = answer if isinstance(answer, tuple | list) else [answer]
        if any(isinstance(part, Tensor) and part.is_meta for part in parts):
            raise self._wrong(method, "a tensor of the meta device, which holds no numbers")
        return answer

    def _vectors(
        self,
        method: str,
        answer: Any,
        shape: tuple[int, ...],
        valid: Bool[Tensor, "b r"] | None = None,
    ) -> Tensor:
        wanted = f"vectors of shape [{', '.join(map(str, shape))}, d]"
        if not isinstance(answer, Tensor) or not answer.is_floating_point():
            raise self._wrong(method, f"{_kind(answer)}, not a float tensor, {wanted}")
        if answer.ndim != len(shape) + 1 or answer.shape[:-1] != shape:
            raise self._wrong(method, f"{_kind(answer)}, not {wanted}")
        first, width = self._width = self._width or (method, answer.shape[-1])
        if answer.shape[-1] != width:
            told = f"vectors of {answer.shape[-1]} numbers, but {first} of {width}"
            raise self._wrong(method, f"{told}; they must share a space")
        rows = answer.float().flatten(0, -2)
        seen = rows if valid is None else rows[valid.flatten().to(rows.device)]
        if not seen.isfinite().all():
            raise self._wrong(method, "numbers that are not finite")
        lengths = seen.norm(dim=-1)
        off = (lengths - 1).abs() * (lengths > 0 if method == "regions" else 1)
        if len(off) and off.max() > UNIT:
            length = float(lengths[off.argmax()])
            raise self._wrong(
                method, f"a vector of length {length:.3g}, not 1; make them unit vectors"
            )
        return F.normalize(answer.float(), dim=-1) if answer.dtype in HALF else answer.float()

    def _wrong(self, method: str, what: str) -> UserError:
        return UserError(f"{self.name}: {method} gives {what}")


def told(error: BaseException) -> str:
    """Its kind, the beginning of what it says, and where in that person's code it came up."""
    frames = [
        f"{Path(frame.filename).name}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if "site-packages" not in frame.filename and OURS not in Path(frame.filename).parents
    ]
    place = f" ({frames[-1]})" if frames else ""
    said = one_line(error).removeprefix(f"{type(error).__name__}: ")
    return f"{type(error).__name__}: {said}{place}"


def _has(inner: Any, method: str) -> bool:
    return callable(getattr(inner, method, None))


def _kind(value: Any) -> str:
    if hasattr(value, "shape"):
        dtype = str(getattr(value, "dtype", "")).removeprefix("torch.")
        return f"{type(value).__name__} {dtype}{list(value.shape)}"
    length = f" of {len(value)}" if isinstance(value, list | tuple) else ""
    return f"{type(value).__name__}{length}"
