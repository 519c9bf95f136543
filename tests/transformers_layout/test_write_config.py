"""open_clip's configurations in transformers' words, or the reason why not."""

import copy

import open_clip
import pytest

from cloc.errors import UserError
from cloc.transformers_layout.read_config import open_clip_config
from cloc.transformers_layout.write_config import transformers_config
from tests.helpers.hf import TINY_SIGLIP
from tests.helpers.models import AVERAGE, CONVOLUTIONAL, EVA, NATIVE
from tests.helpers.models import SIGLIP as WITH_CLASS_TOKEN


def changed(config, part, **change):
    return {**copy.deepcopy(config), part: {**config[part], **change}}


@pytest.mark.parametrize(
    "name",
    ["ViT-B-32", "ViT-B-16-quickgelu", "ViT-bigG-14", "ViT-L-14-336", "ViT-B-32-SigLIP2-256"],
)
def test_open_clips_models_come_back_as_they_were(name):
    theirs = open_clip.get_model_config(name)
    again = open_clip_config(transformers_config(theirs))
    for part in ("vision_cfg", "text_cfg"):
        again[part].pop("head_width", None)
        for key in ("head_width", "hf_tokenizer_name", "tokenizer_kwargs"):
            theirs[part].pop(key, None)
    assert again == theirs


def test_the_class_and_the_class_of_the_image_tower_alone():
    for config, whole, alone in (
        (NATIVE, "CLIPModel", "CLIPVisionModelWithProjection"),
        (TINY_SIGLIP, "SiglipModel", "SiglipVisionModel"),
    ):
        assert transformers_config(config)["architectures"] == [whole]
        assert transformers_config(config, vision_only=True)["architectures"] == [alone]


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ({}, 49407),  # CLIP's own vocabulary, whose highest id is the end
        ({"vocab_size": 500}, 2),  # argmax, in transformers' words
        ({"hf_tokenizer_name": "somebody's"}, 2),
        ({"pool_type": "eos", "eos_id": 7}, 7),
    ],
)
def test_where_the_text_is_pooled(text, end):
    found = transformers_config(changed(NATIVE, "text_cfg", **text))["text_config"]
    assert found["eos_token_id"] == end


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (EVA, "timm_pool=token, timm_proj=None"),
        (AVERAGE, "timm_pool=avg, timm_proj=linear"),
        (WITH_CLASS_TOKEN, "has 1 class or register tokens"),
        (CONVOLUTIONAL["resnet"], "OpenAI's ResNet"),
        (CONVOLUTIONAL["convnext"], "timm's convnext_atto"),
        (changed(NATIVE, "vision_cfg", no_ln_pre=True), "vision_cfg.no_ln_pre=True"),
        (changed(NATIVE, "vision_cfg", pool_type="avg"), "vision_cfg.pool_type=avg"),
        (changed(NATIVE, "vision_cfg", image_size=[32, 48]), "is a single number"),
        (changed(TINY_SIGLIP, "vision_cfg", image_size=[32, 48]), "is a single number"),
        (changed(NATIVE, "vision_cfg", norm_kwargs={"bias": False}), "norm_kwargs={'bias': False}"),
    ],
)
@pytest.mark.parametrize("vision_only", [False, True])
def test_an_image_tower_without_a_twin(config, reason, vision_only):
    with pytest.raises(UserError, match=f"transformers has no class .*{reason}.*format=open_clip"):
        transformers_config(config, vision_only=vision_only)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({**NATIVE, "init_logit_bias": -10}, "CLIPModel has no bias of its logits"),
        (changed(NATIVE, "text_cfg", embed_cls=True), "text_cfg.embed_cls=True"),
        (changed(NATIVE, "text_cfg", no_causal_mask=True), "text_cfg.no_causal_mask=True"),
        (changed(NATIVE, "text_cfg", pool_type="last"), "CLIPTextModel pools the end of the text"),
        (changed(NATIVE, "text_cfg", pool_type="eos", eos_id=2), "takes eos_id=2 for argmax"),
        (changed(NATIVE, "text_cfg", hf_model_name="roberta-base"), "roberta-base, not CLIP's"),
        (changed(TINY_SIGLIP, "text_cfg", no_causal_mask=False), "with text_cfg.no_causal_mask"),
        (changed(TINY_SIGLIP, "text_cfg", act_kwargs={"inplace": True}), "only approximate: tanh"),
    ],
)
def test_a_text_tower_without_a_twin_leaves_the_image_tower_alone(config, reason):
    with pytest.raises(UserError, match=reason):
        transformers_config(config)
    assert transformers_config(config, vision_only=True)["architectures"]
