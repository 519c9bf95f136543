"""RoIAlign over unmixed values: what these are, tests/models/test_values.py says."""

import pytest
import torch
import torch.nn.functional as F

from cloc.errors import UserError
from cloc.eval.extractors.roi_value import extractor
from cloc.heads.roi_align import pool_boxes
from cloc.models.embedder import ModelEmbedder
from cloc.models.values import value_patches
from tests.helpers.models import CONVOLUTIONAL, EVA, NATIVE, make_model, random_pixels
from tests.helpers.oracle import Oracle


@pytest.mark.parametrize("config", [NATIVE, EVA])
def test_a_region_is_the_mean_value_inside_its_box(config):
    model = make_model(config, region_head=None)
    x, boxes = random_pixels(0, 1), torch.tensor([[[0.1, 0.2, 0.6, 0.9], [0, 0, 1, 1]]])
    with torch.no_grad():
        values = value_patches(model.tower, x)
        mixed = model.tower.dense(model.tower.images(x).tokens)
    pooled = F.normalize(pool_boxes(values, boxes, model.tower.grid, 3), dim=-1)
    found = extractor(ModelEmbedder(model)).regions(x, boxes, torch.ones(1, 2).bool())
    assert torch.equal(found, pooled)
    other = F.normalize(pool_boxes(mixed, boxes, model.tower.grid, 3), dim=-1)
    assert (found - other).abs().max() > 1e-3


def test_an_encoder_without_attention_is_refused_in_one_line():
    convolutional = ModelEmbedder(make_model(CONVOLUTIONAL["convnext"], region_head=None))
    with pytest.raises(UserError, match=r"^roi_value: ConvNeXt does not end in a") as error:
        extractor(convolutional)
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="roi_value: this encoder has no patches"):
        extractor(Oracle())
