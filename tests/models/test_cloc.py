"""The whole model: what it gives, that all of it learns, and that one batch can be learnt."""

import pytest
import torch
import torch.nn.functional as F

from cloc.losses.grounding import Grounding
from cloc.losses.image_text import ImageText
from cloc.losses.region_text import RegionText
from tests.helpers.models import (
    CLOC_PARTS,
    CONFIGS,
    NATIVE,
    PROMPTER,
    SIGLIP,
    make_model,
    model_batch,
)

PLAIN = {"region_head": None}
NO_REGIONS = ((0, 0, 0),) * 3


def losses():
    return [ImageText(), RegionText(conflict="none"), Grounding(kind="l1_giou")]


def total(model, batch):
    out = model(batch)
    return sum(loss(out, batch).value for loss in losses())


def test_fields_are_unit_vectors_of_what_the_batch_holds():
    model = make_model()
    batch = model_batch(model)
    out = model(batch)
    tower = model.tower
    assert out.image.equal(tower.images(batch.images).pooled)
    assert out.caption.equal(tower.texts(batch.captions))
    assert out.phrase.equal(tower.texts(batch.phrases))
    assert out.scale.equal(tower.scale())
    assert out.bias is None
    assert out.region_scale.equal(model.region_scale())
    assert out.region.shape == (3, 3, tower.dim)
    assert out.predicted_boxes.shape == (3, 3, 4)
    assert out.extra == {}
    for vectors in (out.image, out.caption, out.phrase, out.region):
        assert vectors.dtype == torch.float32
        torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(vectors.shape[:-1]))


def test_captions_that_no_loss_needs_are_left_out_and_the_rest_is_the_same():
    model = make_model()
    batch = model_batch(model)
    whole = model(batch)
    model.reads_captions = False
    out = model(batch)
    assert out.caption is None
    for name in ("image", "phrase", "region", "predicted_boxes"):
        assert getattr(out, name).equal(getattr(whole, name)), name


def test_regions_and_boxes_are_the_heads_answers_to_each_slot():
    model = make_model()
    batch = model_batch(model)
    out, tower = model(batch), model.tower
    tokens = tower.images(batch.images).tokens
    phrases = tower.texts(batch.phrases)
    for i, j in ((0, 0), (0, 2), (1, 1)):
        box = batch.boxes[i : i + 1, j : j + 1]
        phrase = phrases[batch.phrase_index[i, j]][None, None]
        region, grounded = model.region_head(tokens[i : i + 1], box, phrase, grid=tower.grid)
        torch.testing.assert_close(out.region[i, j], F.normalize(region[0, 0], dim=-1))
        torch.testing.assert_close(out.predicted_boxes[i, j], model.box_head(grounded)[0, 0])


def test_a_clip_twin_gives_none_for_regions():
    model = make_model(**PLAIN)
    out = model(model_batch(model))
    for name in ("phrase", "region", "region_scale", "predicted_boxes"):
        assert getattr(out, name) is None, name
    assert out.image.shape == out.caption.shape == (3, model.tower.dim)
    assert model.region_state() == {}


def test_without_a_box_head_nothing_is_grounded_and_no_adaptor_is_built():
    model = make_model(region_head=PROMPTER)
    out = model(model_batch(model))
    assert out.predicted_boxes is None
    assert out.region is not None
    assert model.region_head.adapt is None


def test_sigmoid_towers_carry_their_bias():
    model = make_model(SIGLIP)
    assert model(model_batch(model)).bias.item() == -10


@pytest.mark.parametrize("kind", CONFIGS)
def test_every_parameter_gets_a_gradient_under_all_three_losses(kind):
    model = make_model(CONFIGS[kind])
    total(model, model_batch(model)).backward()
    for name, parameter in model.named_parameters():
        if name != "tower.clip.logit_bias":  # the softmax loss has no use for it
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 0, name


def test_a_batch_without_a_valid_region_trains_the_towers_alone():
    model = make_model()
    total(model, model_batch(model, valid=NO_REGIONS)).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name  # DDP waits for every one of them
        assert parameter.grad.isfinite().all(), name
        if not name.startswith("tower."):
            assert (parameter.grad == 0).all(), name
    assert model.tower.clip.visual.proj.grad.abs().max() > 0


def spelled_out(batch):
    """The same batch with a row of `phrases` for every slot and every negative."""
    b, r, k = batch.negative_index.shape
    asked = batch.phrases[batch.phrase_index].flatten(0, 1)
    wrong = batch.phrases[batch.negative_index.clamp(min=0)].flatten(0, 2)
    negatives = torch.arange(b * r * k).view(b, r, k) + b * r
    return batch._replace(
        phrases=torch.cat([asked, wrong]),
        phrase_index=torch.arange(b * r).view(b, r),
        negative_index=torch.where(batch.negative_index < 0, -1, negatives),
    )


def test_phrases_encoded_once_give_the_loss_and_gradients_of_phrases_encoded_per_region():
    results = []
    for change in (lambda batch: batch, spelled_out):
        model = make_model().double()
        value = total(model, change(model_batch(model)))
        value.backward()
        results.append((value, {k: p.grad for k, p in model.named_parameters()}))
    assert results[0][0].dtype == torch.float64
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=1e-9)


def test_what_padded_slots_hold_changes_nothing():
    model = make_model().double()
    batch = model_batch(model)
    filled = batch._replace(
        boxes=torch.where(batch.valid[..., None], batch.boxes, torch.tensor([0.2, 0.2, 0.9, 0.9])),
        phrase_index=torch.where(batch.valid, batch.phrase_index, 2),
    )
    torch.testing.assert_close(total(model, batch), total(model, filled), rtol=0, atol=1e-12)


@pytest.mark.parametrize("pool", ["prompt", "tokens"])
def test_one_batch_can_be_learnt(pool):
    """The loss halves in 40 steps."""
    torch.manual_seed(0)
    head = {**PROMPTER, "pool": pool}
    model = make_model(**{**CLOC_PARTS, "region_head": head}).train()
    batch = model_batch(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    values = []
    for _ in range(40):
        value = total(model, batch)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < values[0] / 2, values


def test_region_state_is_everything_but_the_tower():
    model = make_model()
    own = {name.split(".")[0] for name in model.region_state()}
    assert own == {"region_head", "region_scale", "box_head"}
    tower = {f"tower.{k}" for k in model.tower.state_dict()}
    assert model.region_state().keys() | tower == model.state_dict().keys()
    assert NATIVE["embed_dim"] == model.tower.dim
