"""A decoder and its encoder as people use them: pictures and questions in, words and boxes out."""

from collections.abc import Sequence

import numpy as np
import PIL.Image
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cloc.decoder.boxes_in_words import Box
from cloc.decoder.build import box_words
from cloc.decoder.steer import AdaptVis
from cloc.errors import UserError
from cloc.models.cloc import CLOC
from cloc.models.embedder import ModelEmbedder
from cloc.models.patch_order import shuffle_patches

Asked = str | Sequence[str | Box]  # words, or words and boxes in turn
AT_ONCE = 256  # questions


class Seen:
    """Pictures that were looked at once: patches [n p e] and their grid."""

    def __init__(self, patches: Float[Tensor, "n p e"], grid: tuple[int, int]) -> None:
        self.patches, self.grid = patches, grid


class Answerer:
    """`model` has a decoder (`cloc.decoder.load.load_answering`). An answer is a box, fractions of
    the frame, where what is said behind its steps is one, else words; it has at most `most`
    tokens."""

    def __init__(self, model: CLOC, *, most: int = 64) -> None:
        if model.decoder is None:
            raise UserError("this model has no decoder; give a run of experiment=scenes_vqa")
        self.model, self.most = model.eval(), most
        self.embedder, self.boxes = ModelEmbedder(model), box_words(model)

    def answer(
        self, images: Sequence[PIL.Image.Image], questions: Sequence[Sequence[Asked]]
    ) -> list[list[str | Box]]:
        """Of each picture its questions, such as "where is a red cup?" or ("what is at", box, "?").
        Boxes are fractions of the frame in which the model sees the picture. `UserError` for a
        question without words, and for a box with nothing of the frame in it."""
        if len(questions) != len(images):
            raise UserError(
                f"questions of {len(questions)} pictures, but there are {len(images)}; give a list "
                "of them for each picture"
            )
        for own in questions:
            if isinstance(own, str):
                raise UserError(f"questions={own}; give a list of them for each picture")
            for question in own:
                _check(question)
        if not any(questions):
            return [[] for _ in images]
        seen = self.look(self.embedder.prepare(images, [np.zeros((0, 4))] * len(images)).images)
        rows = [i for i, own in enumerate(questions) for _ in own]
        said = self.ask(seen, rows, [one for own in questions for one in own])
        answers = iter(said)
        return [[next(answers) for _ in own] for own in questions]

    @torch.no_grad()
    def look(self, x: Tensor, *, order: Tensor | None = None) -> Seen:
        """Prepared pictures; with an `order` their patches stand there before the encoder sees
        them, so that it says nothing of where they were."""
        tower = self.model.tower
        grid = tower.grid_at(x)
        x = x if order is None else shuffle_patches(x, grid, order)
        parts = [tower.images(part.to(self.embedder.device)).read for part in x.split(AT_ONCE)]
        return Seen(torch.cat(parts), grid)

    def ask(
        self,
        seen: Seen,
        rows: Sequence[int],
        questions: Sequence[Asked],
        *,
        steer: AdaptVis | None = None,
        share: Float[Tensor, " n"] | None = None,
    ) -> list[str | Box]:
        """Of the picture of each row; longer and shorter questions side by side change nothing."""
        said: list[str | Box] = []
        for tokens, valid, part in self._batches(questions):
            patches = seen.patches[torch.tensor(rows[part])]
            found = self.model.decoder.answer(
                *(patches, seen.grid, tokens, valid),
                most=self.most,
                end=self.boxes.words.end,
                steer=steer,
                share=None if share is None else share[part],
            )
            said += [self._read(row) for row in found.tolist()]
        return said

    def confidence(
        self, seen: Seen, rows: Sequence[int], questions: Sequence[Asked]
    ) -> Float[Tensor, " n"]:
        """How sure the model is of the first token of each answer, 0 to 1; of twins the one that
        answers."""
        found = [torch.zeros(0, device=self.embedder.device)]
        for tokens, valid, part in self._batches(questions):
            patches = seen.patches[torch.tensor(rows[part])]
            found.append(self.model.decoder.confidence(patches, seen.grid, tokens, valid))
        return torch.cat(found)

    def _batches(self, questions: Sequence[Asked]) -> list[tuple[Tensor, Tensor, slice]]:
        """Tokens and which of them count, of so many questions at a time."""
        found = []
        for start in range(0, len(questions), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            found.append((*self.tokens(questions[part]), part))
        return found

    def tokens(self, questions: Sequence[Asked]) -> tuple[Int[Tensor, "n t"], Bool[Tensor, "n t"]]:
        """What the decoder reads of each question, and which of them are no padding."""
        rows = [self._tokens(question) for question in questions]
        tokens = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
        for row, own in zip(tokens, rows, strict=True):
            row[: len(own)] = torch.tensor(own)
        counts = torch.tensor([len(own) for own in rows])
        valid = torch.arange(tokens.shape[1]) < counts[:, None]
        return tokens.to(self.embedder.device), valid.to(self.embedder.device)

    def _tokens(self, question: Asked) -> list[int]:
        words = self.boxes.words
        parts = [question] if isinstance(question, str) else question
        asked = [self.boxes.encode(p) if not isinstance(p, str) else words.encode(p) for p in parts]
        begin = [] if words.begin is None else [words.begin]
        return [*begin, *(token for part in asked for token in part)]

    def _read(self, tokens: list[int]) -> str | Box:
        box = self.boxes.decode(self.boxes.behind_steps(tokens))
        return self.boxes.words.decode(self._words(tokens)) if box is None else box

    def _words(self, tokens: list[int]) -> list[int]:
        """Lines of boxes between words have no text."""
        return [token for token in tokens if token < self.boxes.first]


def _check(question: Asked) -> None:
    parts = [question] if isinstance(question, str) else list(question)
    if not any(isinstance(part, str) and part.strip() for part in parts):
        raise UserError(f"question={question}; give words, such as where is a red cup?")
    for part in parts:
        if isinstance(part, str):
            continue
        x0, y0, x1, y1 = part
        if not (max(x0, 0) < min(x1, 1) and max(y0, 0) < min(y1, 1)):
            raise UserError(
                f"question={question}: {part} is no box of the picture; give x0, y0, x1, y1 as "
                "fractions of it, x0 < x1 and y0 < y1"
            )
