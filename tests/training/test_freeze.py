"""Frozen parts get no gradient, and weights that no loss reads none either."""

import copy

import pytest
import torch

from cloc.errors import UserError
from cloc.losses.distill_image import DistillImage
from cloc.losses.grounding import Grounding
from cloc.losses.image_text import ImageText
from cloc.losses.next_token import NextToken
from cloc.losses.region_text import RegionText
from cloc.models.parameter_names import part_of
from cloc.models.teacher import IMAGE, Teacher
from cloc.training.freeze import PARTS, freeze, freeze_unread
from tests.helpers.answering import answering, asked_batch
from tests.helpers.models import PROMPTER, make_model, model_batch

LOSSES = [ImageText(), RegionText(conflict="text"), Grounding(kind="l1_giou", match="nearest")]


HEADS = PARTS[:-1]  # all but the decoder


@pytest.mark.parametrize("parts", [[], *([part] for part in HEADS), ["image_tower", "text_tower"]])
def test_exactly_the_parts_named_get_no_gradient(parts):
    model = make_model().train()
    freeze(model, parts)
    batch = model_batch(model)
    out = model(batch)
    sum(loss(out, batch).value for loss in LOSSES).backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is None) is (part_of(name) in parts), name


def test_a_decoder_is_a_part_too():
    model = answering()
    freeze(model, ["decoder"])
    assert {part_of(n) for n, p in model.named_parameters() if not p.requires_grad} == {"decoder"}


def test_a_decoder_that_no_loss_reads_is_named():
    model = answering()
    batch = asked_batch(model)
    with pytest.raises(UserError, match=r"no loss reads decoder, so .* with decoder=null, or keep"):
        freeze_unread(model, {"clip": LOSSES[0]}, double=copy.deepcopy(model), batch=batch)
    freeze_unread(model, {"answers": NextToken()}, double=copy.deepcopy(model), batch=batch)
    trained = {part_of(n) for n, p in model.named_parameters() if p.requires_grad}
    assert trained == {"decoder", "image_tower"}


def test_a_part_that_is_not_there_is_named():
    with pytest.raises(UserError, match=r"freeze=\['box_head'\]: box_head is none of image_to"):
        freeze(make_model(region_head=None), ["box_head"])
    with pytest.raises(UserError, match=r"scales is none of image_tower, text_tower, region_head"):
        freeze(make_model(), ["scales"])


def frozen_unread(losses, **parts):
    """The model, and the names of its weights that it does not train."""
    model = make_model(**parts).train()
    batch = model_batch(model)
    losses = {type(loss).__name__: loss for loss in losses}
    if any("extra." in need for loss in losses.values() for need in loss.needs):
        model.teacher = Teacher(copy.deepcopy(model.tower), [IMAGE])
    freeze_unread(model, losses, double=copy.deepcopy(model), batch=batch)
    return model, batch, {n for n, p in model.named_parameters() if not p.requires_grad}


@pytest.mark.parametrize(
    ("losses", "parts", "unread"),
    [
        (LOSSES, {}, set()),
        (LOSSES[:2], {"region_head": PROMPTER, "region_scale": {}}, set()),
        (LOSSES[1:], {}, {"tower.clip.visual.proj", "tower.clip.logit_scale"}),
        (LOSSES[::2], {}, {"region_scale.log_scale"}),
        (LOSSES[:1], {"region_head": None}, set()),
    ],
    ids=["all", "no grounding", "regions alone", "no region loss", "clip"],
)
def test_a_weight_that_never_gets_a_gradient_is_frozen(losses, parts, unread):
    """Every other one gets one, so DDP has none to wait for in vain."""
    model, batch, frozen = frozen_unread(losses, **parts)
    assert frozen == unread
    out = model(batch)
    sum(loss(out, batch).value for loss in losses).backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is None) is (name in unread), name


def test_distillation_alone_trains_the_image_tower_alone():
    model, _, frozen = frozen_unread([DistillImage()], region_head=None)
    assert {part_of(name) for name in frozen} == {"text_tower", "scales"}
    assert {part_of(n) for n, p in model.named_parameters() if p.requires_grad} == {"image_tower"}


@pytest.mark.parametrize("head", ["region_head", "box_head"])
def test_a_head_that_would_not_be_trained_at_all_is_refused(head):
    losses = LOSSES[:1] if head == "region_head" else LOSSES[:2]
    with pytest.raises(UserError, match=rf"no loss reads model\.{head}.*freeze=\[{head}\]"):
        frozen_unread(losses)
    kept = make_model().train()
    freeze(kept, ["region_head", "box_head"])
    named = {type(loss).__name__: loss for loss in losses}
    freeze_unread(kept, named, double=copy.deepcopy(kept), batch=model_batch(kept))


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
