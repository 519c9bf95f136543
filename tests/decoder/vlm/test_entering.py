"""What passes on its way into the language model."""

import pytest
import torch

from cloc.decoder.vlm.entering import DEEP, EMBEDDINGS, entering
from cloc.decoder.vlm.gaze import first_token
from cloc.errors import UserError


def test_vectors_of_words_and_pictures_pass_once_for_a_prompt(vlm, asked):
    seen = []
    with entering(vlm, lambda given: seen.append(given) or {}):
        vlm.model.generate(**asked.inputs, max_new_tokens=3, do_sample=False)
    assert [one[EMBEDDINGS].shape for one in seen] == [(*asked.valid.shape, 32)]
    words = asked.valid & ~asked.picture
    table = vlm.model.get_input_embeddings()
    assert seen[0][EMBEDDINGS][words].equal(table(asked.inputs["input_ids"][words]))
    own = [features.shape for features in seen[0][DEEP]]
    deep = [(int(asked.picture.sum()), 32)]
    assert own == (deep if vlm.model.config.model_type == "qwen3_vl" else [])


def test_what_is_given_instead_goes_in_and_nothing_stays(vlm, asked):
    plain = first_token(vlm, asked)
    with entering(vlm, lambda given: {EMBEDDINGS: given[EMBEDDINGS] * 0}):
        assert not first_token(vlm, asked).allclose(plain)
    assert first_token(vlm, asked).equal(plain)


def test_a_model_whose_pictures_are_no_vectors_is_refused(opened):
    vlm = opened["llava"]
    with pytest.raises(UserError, match="do not enter LlamaModel as vectors"):
        with entering(vlm, dict), torch.no_grad():
            vlm.language(input_ids=torch.tensor([[1, 2]]))
