"""Whole models, through both libraries."""

import copy

import open_clip
import pytest
import torch

from cloc.models.tower_build import make_tower
from cloc.transformers_layout.convert import to_open_clip, to_transformers
from tests.helpers.hf import TINY_SIGLIP, make_clip, make_siglip
from tests.helpers.models import CONTEXT, NATIVE


def built(config, state):
    tower = make_tower(config).eval()
    tower.clip.load_state_dict(state)
    return tower


def loaded(config, state):
    import transformers

    [name] = config["architectures"]
    cls = getattr(transformers, name)
    model = cls(cls.config_class(**{k: v for k, v in config.items() if k != "architectures"}))
    model.load_state_dict(state)
    return model.eval()


def ids(*ends, vocabulary=400):
    """Texts of random words, each with its end token and zeros behind it."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(10, vocabulary, (len(ends), CONTEXT), generator=generator)
    for row, (place, end) in zip(tokens, ends, strict=True):
        row[place], row[place + 1 :] = end, 0
    return tokens


@torch.no_grad()
@pytest.mark.parametrize(
    ("end", "vocabulary"),
    [
        (2, 400),  # the highest id of the text is pooled, whatever it is
        (399, 400),
        (300, 400),  # ids above it are words that were added later
    ],
)
def test_a_text_is_pooled_where_transformers_pools_it(end, vocabulary):
    model = make_clip(text={"eos_token_id": end, "vocab_size": vocabulary})
    config, state = to_open_clip(model.config.to_dict(), model.state_dict())
    tokens = ids((4, end), (CONTEXT - 1, end), (7, end))
    ours = built(config, state).texts(tokens)
    theirs = torch.nn.functional.normalize(
        model.text_projection(model.text_model(input_ids=tokens).pooler_output), dim=-1
    )
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("config", [NATIVE, {**NATIVE, "quick_gelu": True}, TINY_SIGLIP])
@pytest.mark.parametrize("custom_text", [False, True])
def test_open_clips_own_models_answer_alike_in_transformers(config, custom_text):
    """Whether the text tower lies in `text.` or not."""
    torch.manual_seed(0)
    tower = make_tower({**copy.deepcopy(config), "custom_text": custom_text}).eval()
    model = loaded(*to_transformers(tower.model_config, tower.clip.state_dict()))
    x, tokens = torch.randn(2, 3, 32, 32), ids((4, 49407), (11, 49407))
    out = model(pixel_values=x, input_ids=tokens)
    image, text = tower.clip.encode_image(x, normalize=True), tower.texts(tokens)
    torch.testing.assert_close(image, out.image_embeds, rtol=0, atol=1e-5)
    torch.testing.assert_close(text, out.text_embeds, rtol=0, atol=1e-5)
    logits = tower.clip.logit_scale.exp() * image @ text.T
    bias = tower.clip.logit_bias
    logits = logits if bias is None else logits + bias
    torch.testing.assert_close(logits, out.logits_per_image, rtol=0, atol=1e-4)


@torch.no_grad()
def test_a_siglip_without_a_bias_gets_the_bias_0():
    config = {k: v for k, v in TINY_SIGLIP.items() if k != "init_logit_bias"}
    clip = open_clip.CustomTextCLIP(**{k: v for k, v in config.items() if k != "custom_text"})
    assert clip.logit_bias is None
    _, state = to_transformers(config, clip.state_dict())
    assert state["logit_bias"].tolist() == [0.0]


@pytest.mark.parametrize("make", [make_clip, make_siglip])
def test_there_and_back_is_bit_by_bit_the_same(make):
    model = make()
    config, state = to_open_clip(model.config.to_dict(), model.state_dict())
    built(config, state)  # strict
    again, weights = to_transformers(config, state)
    for part in ("text_config", "vision_config"):
        theirs = getattr(model.config, part).to_dict()
        assert {k: theirs.get(k, True) for k in again[part] if k not in DIFFERENT} == {
            k: v for k, v in again[part].items() if k not in DIFFERENT
        }
    assert weights.keys() == model.state_dict().keys()
    assert all(weights[name].equal(value) for name, value in model.state_dict().items())


# no answer depends on them
DIFFERENT = ("projection_dim", "pad_token_id", "bos_token_id")
