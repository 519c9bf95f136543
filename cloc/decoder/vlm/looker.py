"""What a model that answers questions about pictures must show of itself to be looked at."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import PIL.Image
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cloc.decoder.gaze import Look, among_all, inside_boxes
from cloc.decoder.vlm.grid import Grid
from cloc.decoder.vlm.question import Question
from cloc.eval.diagnosis.norms import Norms
from cloc.frame import Colour


class Looked(NamedTuple):
    """Rows of one picture and one question each, and how the token that answers looked at all
    tokens of its row: some of the `picture`, some of them `inside` the boxes of the answer, some
    `before` the picture; what is not `valid` is padding."""

    look: Look
    moved: Float[Tensor, "b v"]  # `look.first` where the picture's tokens come in another order
    valid: Bool[Tensor, "b m"]
    picture: Bool[Tensor, "b m"]
    before: Bool[Tensor, "b m"]
    inside: Bool[Tensor, "b m"]
    grids: list[Grid] | None  # of each picture; None where its tokens lie nowhere


@runtime_checkable
class Looker(Protocol):
    """A model in which pictures and words are one sequence."""

    name: str  # as it was given on the command line
    layout: str  # what kind of model it is
    frame: str  # how it sees a picture, in words
    asks: str  # what it is asked where nobody gives a question
    background: Colour  # what transparent pixels show

    def look(self, questions: Sequence[Question], lengths: Norms) -> Looked:
        """`lengths` is given the pictures' tokens as they go in among words."""

    def words(self) -> Norms:
        """Of all words of the vocabulary as they go in."""

    def say(self, token: int) -> str:
        """The text of a token."""

    def shown(self, question: Question) -> tuple[PIL.Image.Image, np.ndarray]:
        """A picture that its tokens cover, and the boxes as fractions of that, [n 4]."""


def inside_of(
    picture: Bool[Tensor, "b m"], grids: Sequence[Grid] | None, boxes: Sequence[np.ndarray]
) -> Bool[Tensor, "b m"]:
    """Which tokens lie in the boxes of their row, [n 4] each, fractions of what the grid covers;
    none where they lie nowhere."""
    if grids is None:
        return torch.zeros_like(picture)
    parts = []
    for grid, own in zip(grids, boxes, strict=True):
        given = torch.from_numpy(own).float()[None]
        parts.append(inside_boxes(given, torch.ones(given.shape[:2], dtype=torch.bool), grid)[0])
    return among_all(parts, picture)
