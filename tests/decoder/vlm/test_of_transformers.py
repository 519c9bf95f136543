"""A VLM of transformers says of itself what a diagnosis asks."""

import numpy as np
import torch

from cloc.decoder.vlm.asked import ask
from cloc.decoder.vlm.gaze import first_token, gaze
from cloc.decoder.vlm.looker import Looker
from cloc.decoder.vlm.of_transformers import OfTransformers
from cloc.decoder.vlm.permute import permuted
from cloc.decoder.vlm.question import Question
from cloc.eval.diagnosis.norms import Norms
from cloc.interfaces import Example
from tests.decoder.vlm.conftest import QUESTIONS, photos

BOX = np.array([[0.0, 0.0, 0.5, 0.5]])


def put():
    nothing = ((), np.zeros((0, 4)), (), (), {})
    both = zip(photos(), QUESTIONS, strict=True)
    return [Question(Example("", image, *nothing), text, BOX) for image, text in both]


def test_what_it_says_is_of_the_functions_that_look_into_it(vlm):
    looker, lengths = OfTransformers(vlm), Norms()
    assert isinstance(looker, Looker)
    found = looker.look(put(), lengths)
    asked = ask(vlm, [one.picture(square=looker.is_square) for one in put()], QUESTIONS)
    for part, same in zip(found.look, gaze(vlm, asked), strict=True):
        assert part.equal(same) if isinstance(part, torch.Tensor) else part == same
    with permuted(vlm, asked, seed=0):
        assert found.moved.equal(first_token(vlm, asked))
    for name in ("valid", "picture", "before"):
        assert getattr(found, name).equal(getattr(asked, name))
    assert lengths.count == asked.picture.sum()
    quarter = [rows // 2 * (columns // 2) for rows, columns in found.grids]
    assert found.inside.sum(1).tolist() == quarter
    assert looker.words().count == len(vlm.model.get_input_embeddings().weight)


def test_the_picture_is_shown_as_it_is_and_its_boxes_are_fractions_of_it(vlm):
    [first, *_] = put()
    image, boxes = OfTransformers(vlm).shown(first)
    assert image is first.example.image
    assert boxes is first.boxes
