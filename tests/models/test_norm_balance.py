"""Patches as loud beside positions as they are told to be: in every path, and never by default."""

import copy
import json

import pytest
import torch

from cloc.errors import UserError
from cloc.eval.diagnosis.towers import opened
from cloc.eval.encoders.encoder import of_model
from cloc.export.formats.hf import HF
from cloc.export.formats.onnx import ONNX
from cloc.export.formats.open_clip import OpenCLIP
from cloc.export.formats.timm import Timm
from cloc.export.formats.torch_export import TorchExport
from cloc.models.build import build_model
from cloc.models.cloc import CLOC
from cloc.models.norm_balance import BalancedConv
from tests.helpers.checkpoints import save_run
from tests.helpers.models import (
    AVERAGE,
    CLOC_PARTS,
    CONVOLUTIONAL,
    NATIVE,
    make_model,
    model_batch,
    random_pixels,
)
from tests.helpers.probe import probe_of
from tests.helpers.tracing import without_type_checks

RATIOS = [0.25, 1.0, {"learned": 3.0}]
POSITIONS = [None, {"absolute": "sincos"}, {"relative": "irpe", "rotary": "axial"}]


def made(balance=1.0, positions=None, **more):
    torch.manual_seed(0)
    tower = {"config": copy.deepcopy(NATIVE), "positions": positions, "norm_balance": balance}
    return build_model({**tower, **more}, **copy.deepcopy(CLOC_PARTS)).eval()


def ratio_of(balance):
    return balance["learned"] if isinstance(balance, dict) else balance


def seen(tower, pixels):
    """Content and position, as they are added; every picture's own mean norms."""
    kept = {}
    visual = tower.clip.visual
    handles = [
        visual.conv1.register_forward_hook(lambda m, a, out: kept.update(content=out)),
        visual.ln_pre.register_forward_pre_hook(lambda m, a: kept.update(sum=a[0])),
    ]
    with torch.no_grad():
        tower.images(pixels)
    for handle in handles:
        handle.remove()
    content = kept["content"].flatten(2).mT
    return content, kept["sum"][:, 1:] - content


@pytest.mark.parametrize("balance", RATIOS)
@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("size", [32, (48, 64)])
def test_mean_norms_have_the_ratio_in_every_picture_and_at_every_size(balance, positions, size):
    model = made(balance, positions)
    pixels = random_pixels(0, 3, size)
    pixels[1] //= 9  # a dark picture of little contrast
    content, position = seen(model.tower, pixels)
    found = content.norm(dim=-1).mean(1) / position.norm(dim=-1).mean(1)
    torch.testing.assert_close(found, torch.full((3,), ratio_of(balance)), rtol=1e-4, atol=0)


def test_patches_of_a_picture_keep_their_proportions_and_directions():
    content, _ = seen(made(0.5).tower, random_pixels(0, 2))
    plain, _ = seen(made(None).tower, random_pixels(0, 2))
    scale = content.norm(dim=(1, 2)) / plain.norm(dim=(1, 2))
    torch.testing.assert_close(content, plain * scale[:, None, None])
    assert scale[0] != scale[1]


def test_a_picture_does_not_depend_on_its_batch():
    tower, pixels = made().tower, random_pixels(0, 4)
    with torch.no_grad():
        alone = torch.cat([tower.images(one[None]).tokens for one in pixels])
        torch.testing.assert_close(tower.images(pixels).tokens, alone)


def test_null_is_as_it_was_to_the_bit():
    without, before = made(None), make_model()
    assert type(without.tower.clip.visual.conv1) is torch.nn.Conv2d
    assert without.description == before.description
    assert "norm_balance" not in json.dumps(without.description)
    assert without.state_dict().keys() == before.state_dict().keys()
    assert all(map(torch.equal, without.state_dict().values(), before.state_dict().values()))
    with torch.no_grad():
        pixels = random_pixels(0, 2)
        assert without.tower.images(pixels).tokens.equal(before.tower.images(pixels).tokens)


@pytest.mark.parametrize("balance", RATIOS)
def test_it_is_wired_in_every_output(balance):
    """Parsed and not used would be equal."""
    plain, found = made(None), made(balance)
    pixels, boxes = random_pixels(0, 2), torch.tensor([[[0.1, 0.2, 0.7, 0.9]]]).expand(2, -1, -1)
    with torch.no_grad():
        for model in (plain, found):
            model.outs = [
                *model.tower.images(pixels)[:2],
                model.tower.dense(model.tower.images(pixels).tokens),
            ]
            model.outs.append(model.region_head(model.outs[0], boxes, None, grid=(4, 4))[0])
    for a, b in zip(plain.outs, found.outs, strict=True):
        assert float((a - b).abs().max()) > 1e-3


def test_dropped_patches_count_for_the_norms():
    """The scale is that of the whole picture: dropout comes after."""
    model = made()
    model.tower.drop_patches(0.5)
    model.train()
    kept = {}
    visual = model.tower.clip.visual
    visual.conv1.register_forward_hook(lambda m, a, out: kept.update(content=out))
    found = model.tower.images(random_pixels(0, 2))
    assert found.tokens.shape[1] == 8
    torch.testing.assert_close(
        kept["content"],
        made().tower.clip.visual.conv1(
            (random_pixels(0, 2) / 255 - model.tower.mean) / model.tower.std
        ),
    )


@pytest.mark.parametrize("how", ["recompute", "accumulate"])
def test_recompute_and_accumulation_give_the_same_gradients(how):
    grads = []
    for on in (False, True):
        model = made({"learned": 2.0}).train()
        if on and how == "recompute":
            model.tower.recompute_blocks()
        batch = model_batch(model, valid=((1, 1), (1, 0), (1, 1), (0, 0)))
        out = model(batch, accumulate=2 if on and how == "accumulate" else 1)
        (out.image.pow(3).sum() + out.region.pow(3).sum() + out.predicted_boxes.sum()).backward()
        grads.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    assert "tower.clip.visual.conv1.loudness.logarithm" in grads[0]
    for name, grad in grads[0].items():
        torch.testing.assert_close(grads[1][name], grad, rtol=1e-4, atol=1e-6, msg=name)


def test_what_is_learned_has_a_gradient_and_a_picture_of_nothing_no_trouble():
    model = made({"learned": 1.0}).train()
    pixels = random_pixels(0, 2)
    mean = (model.tower.mean * 255).round().to(torch.uint8)
    pixels[0] = mean[0]
    model.tower.mean.copy_(mean / 255)  # so that this picture is 0 to the bit
    found = model.tower.images(pixels)
    (found.tokens**3).mean().backward()
    weight = model.tower.clip.visual.conv1.loudness.logarithm
    assert float(weight.grad.abs()) > 0
    assert all(
        p.grad.isfinite().all() for p in model.tower.clip.visual.parameters() if p.grad is not None
    )


def test_half_precision_is_near():
    model, pixels = made(0.5), random_pixels(0, 2)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        half = model.tower.images(pixels).pooled
    with torch.no_grad():
        whole = model.tower.images(pixels).pooled
    assert float((half * whole).sum(-1).min()) > 0.99


@pytest.mark.parametrize("balance", RATIOS)
def test_a_run_keeps_it_and_hands_it_on(tmp_path, balance):
    model, pixels = made(balance), random_pixels(0, 2)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.1
    save_run(tmp_path / "run", model)
    again = build_model({"start": f"run:{tmp_path}/run"}).eval()
    assert again.tower.norm_balance == model.tower.norm_balance
    with torch.no_grad():
        expected = model.tower.images(pixels).pooled
        assert again.tower.images(pixels).pooled.equal(expected)
        rebuilt = build_model(**model.description)
        rebuilt.load_state_dict(model.state_dict())
        assert rebuilt.eval().tower.images(pixels).pooled.equal(expected)


def test_a_trained_tower_gains_it_from_its_ratio(tmp_path):
    save_run(tmp_path / "run", make_model())
    found = build_model({"start": f"run:{tmp_path}/run", "norm_balance": {"learned": 1.0}}).eval()
    content, position = seen(found.tower, random_pixels(0, 1))
    ratio = content.norm(dim=-1).mean() / position.norm(dim=-1).mean()
    assert float(ratio) == pytest.approx(1.0, rel=1e-4)


def test_the_diagnosis_sees_it():
    view = opened(of_model(made(0.5), "x", device=torch.device("cpu")))
    look = view.look(random_pixels(0, 2))
    ratio = look.content.norm(dim=-1).mean() / look.position.norm(dim=-1).mean()
    assert float(ratio) == pytest.approx(0.5, rel=1e-4)


@pytest.mark.parametrize(
    ("tower", "says"),
    [
        ({"config": AVERAGE}, r"norm_balance is for open_clip's own Vision Transformer"),
        ({"config": CONVOLUTIONAL["resnet"]}, r"norm_balance is for open_clip's own Vision"),
        ({"config": NATIVE, "positions": {"absolute": "none"}}, r"positions\.absolute=none; leave"),
        ({"config": NATIVE, "norm_balance": "loud"}, r"^model\.tower\.norm_balance=loud; give how"),
        ({"config": NATIVE, "norm_balance": 0}, r"^model\.tower\.norm_balance=0; give how many"),
    ],
)
def test_what_cannot_be_is_one_line_before_anything_is_built(tower, says, monkeypatch):
    monkeypatch.setattr("cloc.models.tower_build._from_config", pytest.fail)
    with pytest.raises(UserError, match=says) as error:
        build_model({"norm_balance": 1.0, **copy.deepcopy(tower)})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("exporter", [OpenCLIP(), HF(), Timm()])
def test_other_libraries_are_refused_with_the_reason(tmp_path, exporter):
    model = made()
    with pytest.raises(UserError, match=r"has no code for norm_balance, .* format=onnx or"):
        exporter.export(model, tmp_path, probe_of(model))


@pytest.mark.slow
@pytest.mark.parametrize("exporter", [TorchExport(), pytest.param(ONNX(), marks=pytest.mark.rare)])
def test_traced_graphs_have_it(tmp_path, exporter):
    """Compared with the model by the exporter itself, at another size that is not square too."""
    model = made({"learned": 2.0})
    with without_type_checks():
        exporter.export(model, tmp_path, probe_of(model))


def test_a_copy_reads_its_own_positions():
    model = made()
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.tower.clip.visual.positional_embedding.mul_(5)
    content, _ = seen(model.tower, random_pixels(0, 1))
    louder, _ = seen(other.tower, random_pixels(0, 1))
    torch.testing.assert_close(louder, 5 * content)
    assert isinstance(other, CLOC)
    assert isinstance(other.tower.clip.visual.conv1, BalancedConv)
