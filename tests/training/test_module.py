"""The module joins: weights times losses, every term logged, losses in float32."""

import math

import pytest
import torch

from cloc.errors import UserError
from cloc.interfaces import Term
from cloc.losses.image_text import ImageText
from cloc.losses.image_text_sigmoid import ImageTextSigmoid
from tests.helpers.fit import LOSSES, Kept, fit, make_module
from tests.helpers.models import NATIVE, SIGLIP, make_model, model_batch


class Spy:
    """A loss that notes what it was given."""

    needs = ("image",)

    def __call__(self, out, batch):
        self.autocast = torch.is_autocast_enabled("cpu")
        self.dtype = (out.image @ out.image.T).dtype
        return Term(out.image.sum() * 0, {})


def test_the_loss_is_the_weighted_sum_of_the_losses():
    model = make_model()
    batch = model_batch(model)
    weights = {"image_text": 0.5, "region_text": 2.0, "grounding": 3.0}
    module = make_module(model, weights=weights)
    module.log_dict = lambda *args, **kwargs: None
    out = model(batch)
    expected = sum(weights[name] * loss()(out, batch).value for name, loss in LOSSES.items())
    torch.testing.assert_close(module.training_step(batch, 0), expected)


def test_every_term_and_log_goes_to_the_loggers(tmp_path):
    model, kept = make_model(), Kept()
    batch = model_batch(model)
    with torch.no_grad():
        out = model(batch)
    terms = {name: loss()(out, batch) for name, loss in LOSSES.items()}
    fit(make_module(model), [batch], tmp_path, loggers=[kept])
    step, row = kept.rows[0]
    expected = {f"train/{name}": term.value for name, term in terms.items()}
    for name, term in terms.items():
        expected |= {f"train/{name}.{key}": value for key, value in term.logs.items()}
    expected["train/loss"] = sum(term.value for term in terms.values())
    expected["scale/image_text"], expected["scale/region"] = out.scale, out.region_scale
    assert step == 0
    assert row.keys() == {*expected, "epoch"}
    for name, value in expected.items():
        assert row[name] == pytest.approx(float(value), abs=1e-5), name


def test_a_plain_clip_has_one_scale(tmp_path):
    model, kept = make_model(region_head=None), Kept()
    module = make_module(model, losses={"image_text": LOSSES["image_text"]()})
    fit(module, [model_batch(model)], tmp_path, loggers=[kept])
    assert kept.rows[0][1].keys() == {"train/image_text", "train/loss", "scale/image_text", "epoch"}


def test_losses_run_in_float32_and_outside_autocast(tmp_path):
    model, spy = make_model(), Spy()
    module = make_module(model, losses={"image_text": LOSSES["image_text"](), "spy": spy})
    fit(module, [model_batch(model)], tmp_path, precision="bf16-mixed")
    assert spy.autocast is False
    assert spy.dtype == torch.float32


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (
            {"image_text": 1.0},
            r"losses\.grounding has no weight, losses\.region_text has no weight",
        ),
        ({name: 1.0 for name in (*LOSSES, "other")}, r"weights\.other is of no loss"),
    ],
)
def test_losses_and_weights_share_their_names(weights, said):
    with pytest.raises(UserError, match=f"{said}; the losses are .*: give each a weight with w"):
        make_module(weights=weights)


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"region_head": None}, "the loss region_text needs .*region"),
        (
            {"region_head": {"kind": "prompter"}, "region_scale": {}},
            "the loss grounding needs predicted_boxes, which this model does not give; add "
            r"model.region_head .and model.box_head for grounding., or remove losses\.grounding",
        ),
    ],
)
def test_a_missing_field_is_named(parts, says):
    model = make_model(**parts)
    module = make_module(model)
    with pytest.raises(UserError, match=says):
        module.training_step(model_batch(model), 0)


@pytest.mark.parametrize(
    ("config", "loss", "says"),
    [
        (
            SIGLIP,
            ImageText(),
            "^the loss mine is a softmax without the bias that this model's logits have .SigLIP.; "
            r"take image_text_sigmoid in its place: losses=.image_text_sigmoid,\.\.\..$",
        ),
        (
            NATIVE,
            ImageTextSigmoid(),
            "^the loss mine needs a bias of the logits, as SigLIP has, and this model has none; "
            r"take image_text in its place: losses=.image_text,\.\.\..$",
        ),
    ],
)
def test_a_loss_of_the_other_family_is_refused_with_the_file_to_take(config, loss, says):
    model = make_model(config, region_head=None)
    module = make_module(model, losses={"mine": loss})
    with pytest.raises(UserError, match=says):
        module.training_step(model_batch(model), 0)


def test_a_step_of_training_leaves_the_scales_at_their_caps(tmp_path):
    """Not the looking at them before it."""
    model = make_model()
    model.tower.clip.logit_scale.data.fill_(4.7)
    model.region_scale.log_scale.data.fill_(4.8)
    batch, kept = model_batch(model), Kept()
    fit(make_module(model, lr=1e-9), [batch], tmp_path, loggers=[kept])
    row = kept.rows[0][1]
    assert row["scale/image_text"] == pytest.approx(math.exp(4.7), rel=1e-4)
    assert row["scale/region"] == pytest.approx(math.exp(4.8), rel=1e-4)
    assert model.tower.clip.logit_scale.item() == pytest.approx(math.log(100))
    assert model.region_scale.log_scale.item() == pytest.approx(math.log(100))


class Pupil:
    """A loss with a teacher."""

    def __init__(self, *needs):
        self.needs = needs

    def __call__(self, out, batch):
        return Term((out.image - out.extra["teacher_image"]).square().sum(), {})


@pytest.mark.parametrize(
    ("needs", "says"),
    [
        (
            ("image", "extra.teacher_image"),
            "^the loss pupil needs extra.teacher_image, which this model does not give; "
            r"set start=, the teacher, or remove losses\.pupil$",
        ),
        (
            ("region", "extra.teacher_region"),
            "needs region, extra.teacher_region, which .*; add model.region_head .* and set "
            "start=, the teacher, or remove",
        ),
        (("extra.answer_nll",), r"not give; give it a decoder \(experiment=scenes_vqa\), or rem"),
        (("extra.route_nll",), r"not give; give its decoder a router \(experiment=scenes_vqa_tw"),
    ],
)
def test_a_missing_entry_of_extra_is_named_with_its_cure(needs, says):
    model = make_model(region_head=None)
    module = make_module(model, losses={"pupil": Pupil(*needs)})
    with pytest.raises(UserError, match=says):
        module.training_step(model_batch(model), 0)


def test_a_loss_gets_the_entry_of_extra_that_it_needs():
    model = make_model(region_head=None)
    batch = model_batch(model)
    module = make_module(model, losses={"pupil": Pupil("image", "extra.teacher_image")})
    module.log_dict = lambda *args, **kwargs: None
    teacher = torch.zeros(len(batch.images), model.tower.dim)
    model.register_forward_hook(
        lambda model, args, out: out._replace(extra={"teacher_image": teacher})
    )
    torch.testing.assert_close(module.training_step(batch, 0).item(), float(len(batch.images)))


def test_lightnings_accumulation_is_refused_with_the_right_key(tmp_path):
    """Its gradients are those of another objective (relative error 0.49 where it was measured)."""
    model = make_model()
    says = "trainer.accumulate_grad_batches=2 would contrast .*; set accumulate=2 instead"
    with pytest.raises(UserError, match=says):
        fit(make_module(model), [model_batch(model)] * 2, tmp_path, accumulate_grad_batches=2)


def test_accumulate_reaches_the_model(tmp_path):
    """Three pieces of a batch of three: the same step as the whole batch at once."""
    found = []
    for pieces in (1, 3):
        module = make_module(make_model())
        module.accumulate = pieces
        kept = Kept()
        fit(module, [model_batch(module.model)] * 2, tmp_path, loggers=[kept])
        found.append([row["train/loss"] for _, row in kept.rows])
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    module.accumulate = 2
    with pytest.raises(UserError, match="accumulate=2 does not divide the 3 images"):
        fit(module, [model_batch(module.model)], tmp_path)


def test_one_optimizer_and_a_schedule_that_is_stepped_every_step(tmp_path):
    model = make_model()
    module = make_module(model, lr=0.5, steps=4)
    trainer = fit(module, [model_batch(model)] * 2, tmp_path)
    rate = trainer.optimizers[0].param_groups[0]["lr"]
    assert rate == pytest.approx(
        0.5 * 0.75
    )  # cos^2 of 30 degrees: one of three steps after warm-up
    assert len(trainer.optimizers) == 1
    owned = {id(p) for group in trainer.optimizers[0].param_groups for p in group["params"]}
    assert owned == {id(p) for p in model.parameters()}


def test_one_batch_is_learned(tmp_path):
    model, kept = make_model(), Kept()
    fit(make_module(model, lr=0.05, steps=60), [model_batch(model)] * 40, tmp_path, loggers=[kept])
    losses = [row["train/loss"] for _, row in kept.rows]
    assert losses[-1] < losses[0] / 2


PROMPTER, SCALE = {"kind": "prompter"}, {"region_scale": {}}


@pytest.mark.parametrize(
    ("parts", "names"),
    [
        ({}, ("image_text", "region_text", "grounding")),
        ({"region_head": PROMPTER, **SCALE}, ("image_text", "region_text")),
        ({"region_head": {"kind": "roi_align"}, **SCALE}, ("image_text", "region_text")),
        ({"region_head": None}, ("image_text",)),
    ],
    ids=["cloc", "without grounding", "roi_align", "clip"],
)
@pytest.mark.parametrize("num_valid", [0, 3])
def test_no_parameter_is_left_out_of_the_graph(parts, names, num_valid):
    """DDP would stop at the second step, in a batch without regions too."""
    model = make_model(**parts)
    module = make_module(model, losses={name: LOSSES[name]() for name in names})
    module.log_dict = lambda *args, **kwargs: None
    valid = tuple(tuple(int(i < num_valid) for i in range(3)) for _ in range(2))
    module.training_step(model_batch(model, valid=valid), 0).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
