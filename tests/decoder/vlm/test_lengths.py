"""Norms of picture tokens and of words."""

import pytest

from cloc.decoder.vlm.entering import EMBEDDINGS, entering
from cloc.decoder.vlm.gaze import first_token
from cloc.decoder.vlm.lengths import measuring, of_words
from cloc.eval.diagnosis.norms import Norms


def test_tokens_of_pictures_are_measured_as_they_go_in(vlm, asked):
    norms, seen = Norms(), []
    with measuring(vlm, asked, norms), entering(vlm, lambda given: seen.append(given) or {}):
        first_token(vlm, asked)
    lengths = seen[0][EMBEDDINGS][asked.picture].norm(dim=-1)
    found = norms.figures()
    assert found["tokens"] == asked.picture.sum()
    assert found["mean"] == pytest.approx(float(lengths.mean()))
    assert found["max"] == pytest.approx(float(lengths.max()))


def test_words_are_all_of_the_vocabulary_as_they_go_in(vlm, monkeypatch):
    table = vlm.model.get_input_embeddings()
    found = of_words(table).figures()
    assert found["tokens"] == len(table.weight)
    assert found["mean"] == pytest.approx(float(table.weight.norm(dim=1).mean()))
    hook = table.register_forward_hook(lambda module, args, out: out * 3)  # as Gemma's does
    assert of_words(table).figures()["max"] == pytest.approx(
        3 * float(table.weight.norm(dim=1).max())
    )
    hook.remove()
    monkeypatch.setattr("cloc.decoder.vlm.lengths.AT_ONCE", 5)
    assert of_words(table).figures() == pytest.approx(found)
