"""A vision-language model of transformers, to be looked at."""

from collections.abc import Sequence

import numpy as np
import PIL.Image

from cloc.decoder.vlm.asked import ask
from cloc.decoder.vlm.gaze import first_token, gaze
from cloc.decoder.vlm.lengths import measuring, of_words
from cloc.decoder.vlm.looker import Looked, inside_of
from cloc.decoder.vlm.permute import SEED, permuted
from cloc.decoder.vlm.question import DEFAULT, Question
from cloc.decoder.vlm.vlm import VLM
from cloc.eval.diagnosis.norms import Norms
from cloc.frame import WHITE


class OfTransformers:
    """Two passes a picture. Of a model that keeps no aspect a picture becomes a square, of which a
    box is the same fraction."""

    def __init__(self, vlm: VLM) -> None:
        self.vlm, self.is_square = vlm, "image_grid_thw" not in vlm.processor.model_input_names
        self.name, self.layout = vlm.name, str(vlm.model.config.model_type)
        self.frame = "own, of squares" if self.is_square else "own"
        self.asks, self.background = DEFAULT, WHITE

    def look(self, questions: Sequence[Question], lengths: Norms) -> Looked:
        vlm = self.vlm
        pictures = [question.picture(square=self.is_square) for question in questions]
        asked = ask(vlm, pictures, [question.text for question in questions])
        with measuring(vlm, asked, lengths):
            look = gaze(vlm, asked)
        with permuted(vlm, asked, seed=SEED):
            moved = first_token(vlm, asked)
        inside = inside_of(asked.picture, asked.grids, [question.boxes for question in questions])
        return Looked(look, moved, *asked[1:4], inside, asked.grids)

    def words(self) -> Norms:
        return of_words(self.vlm.model.get_input_embeddings())

    def say(self, token: int) -> str:
        found: str = self.vlm.processor.tokenizer.decode([token])
        return found

    def shown(self, question: Question) -> tuple[PIL.Image.Image, np.ndarray]:
        """The picture itself."""
        return question.example.image, question.boxes
