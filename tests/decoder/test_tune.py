"""AdaptVis chosen on one half, of each kind by itself."""

import torch

from cloc.decoder.answerer import Seen
from cloc.decoder.question_set import Put
from cloc.decoder.questions import Question
from cloc.decoder.steer import AdaptVis
from cloc.decoder.tune import answers, tuned

SEEN = Seen(torch.zeros(1, 4, 2), (2, 2))


class Mock:
    """Of a question with "smooth" in it right only below a factor of 1, of one with "sharp" only
    above it; sure of those alone."""

    def __init__(self):
        self.asked = []

    def ask(self, seen, rows, questions, *, steer=None):
        assert len(rows) == len(questions)
        self.asked.append((len(rows), steer))
        return [self._one(text, sure) for (text,), sure in self._sure(questions, steer)]

    def _sure(self, questions, steer):
        sure = self.confidence(None, None, questions).tolist()
        steer = steer or AdaptVis(unsure=1, sure=1)
        factors = [steer.sure if c >= steer.threshold else steer.unsure for c in sure]
        return zip(questions, factors, strict=True)

    def _one(self, text, factor):
        right = factor < 1 if "smooth" in text else factor > 1
        return "yes" if right or "easy" in text else "no"

    def confidence(self, seen, rows, questions):
        return torch.tensor([0.85 if "sharp" in text else 0.25 for (text,) in questions])


def asked(kind, *texts):
    return [Put(0, Question(kind, (text,), "yes", 0), True, ()) for text in texts]


def test_each_kind_gets_the_factors_that_answer_most_of_it():
    questions = [*asked("whether", "smooth", "sharp"), *asked("what", "easy", "easy")]
    mock = Mock()
    found = tuned(mock, SEEN, questions)
    assert found.keys() == {"whether", "what"}
    assert found["whether"].unsure < 1 < found["whether"].sure
    assert (found["what"].unsure, found["what"].sure) == (1, 1)  # nothing better than none
    assert answers(mock, SEEN, questions, found) == ["yes"] * 4


def test_a_kind_that_has_none_is_asked_as_it_is():
    mock = Mock()
    questions = [*asked("what", "easy"), *asked("whether", "smooth"), *asked("what", "sharp")]
    steer = {"whether": AdaptVis(unsure=0.5, sure=2)}
    assert answers(mock, SEEN, questions, steer) == ["yes", "yes", "no"]
    assert mock.asked == [(2, None), (1, steer["whether"])]
