"""timm's SigLIP trunks and transformers' words for them."""

import warnings

import pytest

from cloc.errors import UserError
from cloc.transformers_layout.trunks import describe_trunk, find_trunk
from tests.helpers.hf import VISION_CONFIG

TANH, EXACT = "gelu_pytorch_tanh", "gelu"
TINY = {**VISION_CONFIG, "layer_norm_eps": 1e-6}


def test_the_words_of_siglips_own_base_trunk():
    assert describe_trunk("vit_base_patch16_siglip_384") == {
        "image_size": 384,
        "patch_size": 16,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "hidden_act": EXACT,
        "layer_norm_eps": 1e-6,
    }


@pytest.mark.parametrize(
    "name",
    [
        "vit_base_patch16_siglip_384",
        "vit_base_patch32_siglip_256",
        "vit_so400m_patch14_siglip_224",
    ],
)
def test_a_trunk_is_found_by_its_shape(name):
    assert find_trunk(describe_trunk(name)) == name


@pytest.mark.parametrize(
    ("size", "act", "found"),
    [
        (32, TANH, "vit_tiny_patch8_siglip_32"),
        (48, EXACT, "vit_tiny_patch8_siglip_48"),
        (64, TANH, "vit_tiny_patch8_siglip_32"),  # no name has the size: by the activation
        (64, EXACT, "vit_tiny_patch8_siglip_48"),
    ],
)
def test_the_size_in_the_name_and_then_the_activation(size, act, found):
    assert find_trunk({**TINY, "image_size": size, "hidden_act": act}) == found


def test_warns_where_timm_has_the_shape_with_the_other_gelu_alone():
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = find_trunk({**TINY, "image_size": 48, "hidden_act": TANH})
    assert found == "vit_tiny_patch8_siglip_48"
    [warning] = said
    assert "trained with gelu_pytorch_tanh, but timm's vit_tiny_patch8_siglip_48" in str(warning)


@pytest.mark.parametrize("change", [{"num_hidden_layers": 3}, {"layer_norm_eps": 1e-5}])
def test_a_shape_that_timm_has_not(change):
    with pytest.raises(UserError, match=r"timm has no SigLIP trunk of .*vit_base_patch16_siglip"):
        find_trunk({**TINY, "hidden_act": TANH, **change})


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("vit_tiny_patch16_224", "has 1 class or register tokens"),
        ("eva02_tiny_patch14_224", "is not a plain ViT but a Eva"),
    ],
)
def test_another_vit_is_refused_with_the_reason(name, reason):
    with pytest.raises(UserError, match=reason):
        describe_trunk(name)
