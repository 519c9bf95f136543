"""Frozen parts get no gradient, and scales that no loss reads none either."""

import pytest
import torch

from cloc.errors import UserError
from cloc.losses.grounding import Grounding
from cloc.losses.image_text import ImageText
from cloc.losses.region_text import RegionText
from cloc.parts import part_of
from cloc.training.freeze import PARTS, freeze, freeze_unread_scales
from tests.helpers.models import make_model, model_batch

LOSSES = [ImageText(), RegionText(conflict="text"), Grounding(kind="l1_giou", match="nearest")]


@pytest.mark.parametrize("parts", [[], *([part] for part in PARTS), ["image_tower", "text_tower"]])
def test_exactly_the_parts_named_get_no_gradient(parts):
    model = make_model().train()
    freeze(model, parts)
    batch = model_batch(model)
    out = model(batch)
    sum(loss(out, batch).value for loss in LOSSES).backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is None) is (part_of(name) in parts), name


def test_a_part_that_is_not_there_is_named():
    with pytest.raises(UserError, match=r"freeze=\['box_head'\]: box_head is none of image_to"):
        freeze(make_model(region_head=None), ["box_head"])
    with pytest.raises(UserError, match=r"scales is none of image_tower, text_tower, region_head"):
        freeze(make_model(), ["scales"])


def test_scales_are_frozen_where_no_loss_needs_them():
    model = make_model()
    freeze_unread_scales(model, LOSSES)
    assert model.tower.clip.logit_scale.requires_grad
    freeze_unread_scales(model, LOSSES[1:])
    assert not model.tower.clip.logit_scale.requires_grad
    assert model.region_scale.log_scale.requires_grad


def test_a_frozen_tower_is_in_evaluation_while_the_heads_train():
    model = make_model().train()
    freeze(model, ["image_tower"])
    assert not model.tower.clip.visual.training
    assert model.region_head.training
    assert model.tower.clip.transformer.training
    model.train()
    assert not model.tower.clip.visual.training
    with torch.no_grad():  # and is left alone by a change to evaluation and back
        assert model.eval() is model
