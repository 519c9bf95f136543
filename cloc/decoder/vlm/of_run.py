"""The decoder of a run of ours, to be looked at like anybody's vision-language model."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL.Image
import torch
from torch import Tensor

from cloc.decoder.answerer import Answerer
from cloc.decoder.gaze import first_token, gaze, picture_of
from cloc.decoder.load import load_answering
from cloc.decoder.questions import WHERE
from cloc.decoder.vlm.lengths import of_words
from cloc.decoder.vlm.looker import Looked, inside_of
from cloc.decoder.vlm.permute import SEED, order_of
from cloc.decoder.vlm.question import Question
from cloc.errors import UserError
from cloc.eval.diagnosis.norms import Norms
from cloc.frame import fitted, height_and_width
from cloc.models.framing import in_frame


class OfRun:
    """Patches stand first, before the begin of the text. They cover the frame in which the encoder
    sees a picture, bars too, so boxes are brought into it. Of twins the expert answers that the
    router chooses. `UserError` for a run without a decoder."""

    def __init__(self, run: Path, *, device: torch.device) -> None:
        model = load_answering(run).to(device)
        self.answerer = Answerer(model)
        self.framing = self.answerer.embedder.framing
        self.name, self.layout, self.frame = f"run:{run}", "prefix-LM", str(self.framing)
        self.asks, self.background = WHERE, model.tower.background

    @torch.no_grad()
    def look(self, questions: Sequence[Question], lengths: Norms) -> Looked:
        """The encoder looks once, the decoder twice: the second time at its patches in one random
        order, behind the encoder and before the connector, each place with its own position.
        `UserError` for a word that the decoder does not know."""
        decoder = self.answerer.model.decoder
        tokens, valid = self._tokens([question.text for question in questions])
        images, boxes = _in_pixels(questions)
        shown = self.answerer.embedder.prepare(images, boxes)
        seen = self.answerer.look(shown.images)
        patches, grid = seen.patches, seen.grid
        hook = decoder.connector.register_forward_hook(lambda _, given, found: lengths.add(found))
        try:
            look = gaze(decoder, patches, grid, tokens, valid)
        finally:
            hook.remove()
        order = order_of(patches.shape[1], seed=SEED)
        moved = first_token(decoder, patches[:, order], grid, tokens, valid)
        picture, grids = picture_of(patches, valid), [grid] * len(questions)
        there = torch.cat([picture[:, : patches.shape[1]], valid], 1)
        inside = inside_of(picture, grids, [x[v].numpy() for x, v in zip(*shown[1:], strict=True)])
        return Looked(look, moved, there, picture, torch.zeros_like(picture), inside, grids)

    def words(self) -> Norms:
        return of_words(self.answerer.model.decoder.language.token_embedding)

    def say(self, token: int) -> str:
        """Of a line of a box its number."""
        boxes = self.answerer.boxes
        if token < boxes.first:
            return boxes.words.decode([token])
        return f"line {token - boxes.first} of {boxes.cells}"

    def shown(self, question: Question) -> tuple[PIL.Image.Image, np.ndarray]:
        """The frame, as large as the picture fits into it unshrunk."""
        images, boxes = _in_pixels([question])
        sides = height_and_width(self.framing.size)
        larger = max(1.0, max(images[0].size) / max(sides))
        framing = fitted(self.framing, [round(side * larger) for side in sides])
        assert framing is not None
        found = in_frame(images, boxes, framing=framing, background=self.background)
        pixels = found.images[0].permute(1, 2, 0).numpy()
        return PIL.Image.fromarray(pixels), found.boxes[0][found.valid[0]].numpy()

    def _tokens(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        try:
            return self.answerer.tokens(texts)
        except UserError as error:
            raise UserError(f"{error}; give question= and data= of words it has") from None


def _in_pixels(questions: Sequence[Question]) -> tuple[list[PIL.Image.Image], list[np.ndarray]]:
    """Pictures and their boxes, as an embedder takes them."""
    images = [question.example.image for question in questions]
    pairs = zip(images, questions, strict=True)
    return images, [question.boxes * ([*image.size] * 2) for image, question in pairs]
