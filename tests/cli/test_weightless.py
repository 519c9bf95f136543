"""The double of a model trains, asks and is taught what the model is."""

import pytest
import torch

from cloc.cli.build.start import adapt
from cloc.cli.build.step_cost import cost_of
from cloc.cli.build.weightless import shadow
from cloc.cli.config.compose import compose_config, make
from cloc.errors import UserError
from cloc.models.teacher import IMAGE, REGION, Teacher
from tests.helpers.answering import answering, clip, repaired
from tests.helpers.checkpoints import save_run
from tests.helpers.models import CLOC_PARTS, CONTEXT, make_model

SIZES = {"regions": 3, "region_context": CONTEXT}


def test_a_double_trains_what_the_model_trains():
    model = make_model(**CLOC_PARTS, lora={"rank": 2, "alpha": 4, "targets": ["mlp.c_fc"]}).train()
    double = dict(shadow(model).named_parameters())
    trains = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    assert {name: parameter.requires_grad for name, parameter in double.items()} == trains
    assert {parameter.device.type for parameter in double.values()} == {"meta"}


@pytest.mark.parametrize("route", ["classifier", "flag", "soft"])
def test_a_double_has_twins_and_their_router_too(route):
    model = repaired(answering(), twin={"route": route}).train()
    double = shadow(model)
    assert {n: p.requires_grad for n, p in double.named_parameters()} == {
        n: p.requires_grad for n, p in model.named_parameters()
    }
    assert cost_of(model, **SIZES).per_image > 0


@pytest.mark.rare
def test_a_teacher_costs_its_forward():
    """Of the image, and of every region's crop where a loss needs those."""
    model = make_model().train()
    alone = cost_of(model, **SIZES)
    with torch.device("meta"):
        model.teacher = Teacher(make_model().tower, {IMAGE})
    image = cost_of(model, **SIZES).per_image - alone.per_image
    assert image > 0
    with torch.device("meta"):
        model.teacher = Teacher(make_model().tower, {IMAGE, REGION})
    assert cost_of(model, **SIZES).per_image - alone.per_image == image * (1 + SIZES["regions"])


def test_captions_that_no_loss_needs_are_not_encoded():
    costs = {}
    for losses in ("[image_text,region_text,grounding]", "[region_text,grounding]"):
        cfg = compose_config("train", ["experiment=smoke", f"losses={losses}"])
        model = make_model().train()
        adapt(cfg, model, make(cfg.losses))
        assert model.reads_captions is ("image_text" in losses)
        costs[model.reads_captions] = cost_of(model, **SIZES)
    text = costs[True].per_phrase  # of equal length here
    assert costs[True].per_image - costs[False].per_image >= text


def test_a_router_that_no_loss_teaches_is_one_line(tmp_path):
    save_run(tmp_path / "run", answering())
    cfg = compose_config("train", ["experiment=scenes_vqa_twin", "data.train=x"])
    cfg.decoder = {"start": f"{tmp_path}/run", "twin": {"route": "classifier"}}
    losses = make(cfg.losses)
    model = clip()
    adapt(cfg, model, losses)
    assert any(p.requires_grad for p in model.decoder.router.parameters())
    with pytest.raises(UserError, match=r"no loss teaches the router .*decoder\.twin\.route=flag"):
        adapt(cfg, clip(), {"stepwise": losses["stepwise"]})
    cfg.decoder.twin.route = "flag"
    adapt(cfg, clip(), {"stepwise": losses["stepwise"]})
