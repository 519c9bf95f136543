"""Every caption of the quick version is true of its picture and false of the other, by pixels."""

import numpy as np
import pytest

from cloc.scenes.wherebench.items import RELATIONS, item, look_alike_item
from tests.eval.wherebench.reader import Seen, fact

QUICK, SIZE = 200, 64


@pytest.mark.parametrize("relation", RELATIONS)
def test_a_caption_is_true_of_its_picture_alone(relation):
    wrong = []
    for number in range(QUICK):
        one = item(relation, number, size=SIZE)
        seen = [Seen(np.asarray(example.image)) for example in one.examples]
        for i, caption in enumerate(one.captions):
            said = fact(caption)
            if not seen[i].holds(said) or seen[1 - i].holds(said):
                wrong.append((one.key, caption))
    assert not wrong


def test_a_phrase_means_one_of_the_look_alikes_and_the_other_in_the_other_picture():
    wrong = []
    for number in range(QUICK):
        one = look_alike_item(number, size=SIZE)
        for i, phrase in enumerate(one.captions):
            word, _, other = fact(phrase)
            for picture, example in enumerate(one.examples):
                seen = Seen(np.asarray(example.image))
                direction = word.removeprefix("directly ")
                found = [seen.directly(box, direction, other) for box in example.boxes.tolist()]
                meant = i if picture == 0 else 1 - i
                if found != [box == meant for box in range(2)]:
                    wrong.append((example.key, phrase, found))
                assert example.phrases[meant] == phrase
    assert not wrong
