"""Boxes as a language model says them: words of digits, or tokens of their own."""

import re
from collections.abc import Sequence

import numpy as np

from cloc.decoder.words import Words
from cloc.errors import UserError

FORMS = ("text", "tokens")
KEY = "decoder.boxes"
Box = tuple[float, float, float, float]  # (x0, y0, x1, y1), fractions of the frame


def own_tokens(*, form: str = "text", cells: int = 16) -> int:
    """How many a box needs beside those of words; `UserError` for what is no form or no grid."""
    if form not in FORMS:
        raise UserError(f"{KEY}.form={form}; choose {', '.join(FORMS)}")
    if cells < 1:
        raise UserError(f"{KEY}.cells={cells}; give a whole number, 1 or more")
    return cells + 1 if form == "tokens" else 0


class BoxWords:
    """A box by the lines of a grid of `cells` x `cells` (16 in PIN, arXiv 2402.08657).

    `text` writes each line as a number of as many digits as the last one has, "03 05 12 16", so
    that it can be read whatever blanks a vocabulary makes of it; `tokens` has one for each line,
    behind the `vocabulary` tokens of the words.
    """

    def __init__(self, words: Words, vocabulary: int, *, form: str = "text", cells: int = 16):
        own_tokens(form=form, cells=cells)  # refuses what cannot be
        self.words, self.form, self.cells, self.first = words, form, cells, vocabulary

    def encode(self, box: Box) -> list[int]:
        """The lines that are nearest, one cell apart at least."""
        lines = self.lines(box)
        if self.form == "tokens":
            return [self.first + line for line in lines]
        digits = len(str(self.cells))
        return self.words.encode(" ".join(f"{line:0{digits}d}" for line in lines))

    def lines(self, box: Box) -> list[int]:
        """Of the left, upper, right and lower side, 0 to `cells`."""
        near = np.clip(np.rint(np.asarray(box) * self.cells), 0, self.cells).astype(int).tolist()
        for low, high in ((0, 2), (1, 3)):
            if near[high] <= near[low]:
                near[low] = min(near[low], self.cells - 1)
                near[high] = near[low] + 1
        return near

    def decode(self, tokens: Sequence[int]) -> Box | None:
        """None where they say no box: other words, too few or too many lines, one beyond the grid,
        a right side left of the left one."""
        lines = self._read([token for token in tokens if token != self.words.end])
        if lines is None or len(lines) != 4 or max(lines) > self.cells:
            return None
        x0, y0, x1, y1 = lines
        if x1 <= x0 or y1 <= y0:
            return None
        return x0 / self.cells, y0 / self.cells, x1 / self.cells, y1 / self.cells

    def behind_steps(self, tokens: Sequence[int]) -> list[int]:
        """What is said behind the last full stop, which ends a step (`cloc.decoder.reasons`)."""
        stop = self.words.encode(".")[-1]
        last = max((i for i, token in enumerate(tokens) if token == stop), default=-1)
        return list(tokens[last + 1 :])

    def _read(self, tokens: Sequence[int]) -> list[int] | None:
        if self.form == "tokens":
            own = [token - self.first for token in tokens]
            return own if own and min(own) >= 0 else None
        if any(token >= self.first for token in tokens):
            return None
        digits = len(str(self.cells))
        said = "".join(self.words.decode(list(tokens)).split())
        if not re.fullmatch(rf"(?:[0-9]{{{digits}}})+", said):
            return None
        return [int(said[i : i + digits]) for i in range(0, len(said), digits)]
