"""Gradient norms of the parts, against a direct computation."""

import copy

import pytest
import torch

from cloc.losses.image_text import ImageText
from cloc.training.callbacks.grad_norms import GradNorms, gradient_norms
from tests.helpers.fit import Kept, fit, make_module
from tests.helpers.models import make_model, model_batch

TEXT = ("transformer", "token_embedding", "positional_embedding", "ln_final", "text_projection")


def by_hand(model):
    """All gradients of a part in one long vector."""
    clip = model.tower.clip
    text = [p for n, p in clip.named_parameters() if n.startswith(TEXT)]
    parts = {
        "image_tower": list(clip.visual.parameters()),
        "text_tower": text,
        "region_head": list(model.region_head.parameters()),
        "box_head": list(model.box_head.parameters()),
    }
    return {
        name: float(torch.cat([p.grad.double().flatten() for p in part]).norm())
        for name, part in parts.items()
    }


def test_norms_are_those_before_clipping_on_the_steps_that_log(tmp_path):
    model, kept = make_model(), Kept()
    batch, twin = model_batch(model), make_module(copy.deepcopy(model))
    twin.log_dict = lambda *args, **kwargs: None
    twin.training_step(batch, 0).backward()
    expected = by_hand(twin.model)
    callback = GradNorms(every_n_steps=2)
    module = make_module(model, lr=0.0)  # the second step's gradients are those of the first
    settings = {"loggers": [kept], "gradient_clip_val": 1e-3}
    fit(module, [batch] * 2, tmp_path, callbacks=[callback], **settings)
    rows = [
        {k: v for k, v in row.items() if k.startswith(("grad", "optim"))} for _, row in kept.rows
    ]
    assert rows[0] == {}
    assert rows[1] == pytest.approx(
        {"optim/lr": 0.0, **{f"grad/{part}": norm for part, norm in expected.items()}}, rel=1e-4
    )


def test_the_rate_is_the_one_of_this_step(tmp_path):
    model, kept = make_model(), Kept()
    module = make_module(model, lr=0.5, steps=4)
    callbacks = [GradNorms(every_n_steps=1)]
    fit(module, [model_batch(model)] * 3, tmp_path, callbacks=callbacks, loggers=[kept])
    assert [row["optim/lr"] for _, row in kept.rows] == pytest.approx([0.5, 0.5, 0.375])


def test_a_part_without_gradients_has_no_norm():
    module = make_module(make_model(region_head=None), losses={"image_text": ImageText()})
    assert gradient_norms(module) == {}
    weight = module.model.tower.clip.visual.ln_post.weight
    weight.grad = torch.zeros_like(weight).index_fill(0, torch.tensor([1, 5]), 2.0)
    assert gradient_norms(module) == {"image_tower": torch.tensor(8.0).sqrt()}
