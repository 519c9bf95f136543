"""Rows and columns of patches, against what trunks give."""

import pytest
import timm
import torch

from cloc.errors import UserError
from cloc.models.dividing import divided, rounds_up


@torch.no_grad()
@pytest.mark.parametrize("side", [32, 33, 50, 64])
@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "tf_mixnet_s", "tf_efficientnetv2_b0"])
def test_a_trunk_with_same_padding_rounds_up_at_every_size(name, side):
    with torch.device("meta"):
        trunk = timm.create_model(name).eval()
        found = trunk.forward_features(torch.zeros(1, 3, side, side + 32)).shape[2:]
    assert rounds_up(trunk)
    assert tuple(found) == divided((side, side + 32), 32, trunk, up=True)


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "test_vit", "test_efficientnet"])
def test_others_do_not(name):
    with torch.device("meta"):
        assert not rounds_up(timm.create_model(name))


def test_what_the_patches_do_not_divide_is_refused_where_it_is_not_rounded_up():
    assert divided(64, 16, object()) == (4, 4)
    says = r"object divides an image by 16, but it has 64x50 .* set model.tower.image_size to a mul"
    with pytest.raises(UserError, match=says):
        divided((64, 50), 16, object())
