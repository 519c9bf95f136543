"""Which models put words and pictures in one sequence."""

import pytest
import torch
import transformers

from cloc.decoder.vlm.joint import language_of, picture_token_of
from cloc.errors import UserError
from tests.helpers.vlms import TEXT

SMALL = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
HEADS = {"num_attention_heads": 2, "image_size": 32, "patch_size": 8}


def mllama():
    text = {**TEXT, "cross_attention_layers": [1], "rope_parameters": {"rope_theta": 1e4}}
    vision = {
        **{"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "image_size": 32},
        **{"num_global_layers": 1, "attention_heads": 2, "patch_size": 8, "vision_output_dim": 32},
        "intermediate_layers_indices": [0],
    }
    config = transformers.MllamaConfig(text_config=text, vision_config=vision)
    return transformers.MllamaForConditionalGeneration(config)


def blip():
    text = {**SMALL, "num_attention_heads": 2, "vocab_size": 32, "encoder_hidden_size": 16}
    config = transformers.BlipConfig(text_config=text, vision_config={**SMALL, **HEADS})
    return transformers.BlipForConditionalGeneration(config)


@pytest.mark.parametrize("make", [mllama, blip])
def test_cross_attention_is_refused(make):
    with torch.device("meta"):
        model = make()
    with pytest.raises(UserError, match="vlm=x: its words see pictures by cross-attention") as told:
        language_of(model, "x")
    assert "\n" not in str(told.value)


def test_the_language_model_of_each_layout(vlm):
    assert language_of(vlm.model, "x") is vlm.language
    assert len(vlm.language.layers) == 2
    assert picture_token_of(vlm.model, "x") == vlm.picture_token == vlm.processor.image_token_id


def test_a_model_without_layers_or_a_token_for_pictures_is_refused():
    class Strange(torch.nn.Linear):
        config = transformers.PretrainedConfig()

        def get_decoder(self):
            return self

    with pytest.raises(UserError, match="no layers of a language model are found in Strange"):
        language_of(Strange(1, 1), "x")
    with pytest.raises(UserError, match=r"which token stands for a picture \(image_token_id\)"):
        picture_token_of(Strange(1, 1), "x")
