"""Layers that the region head reads side by side, against the blocks called by hand."""

import copy

import pytest
import torch

from cloc.errors import UserError
from cloc.export.formats.onnx import ONNX
from cloc.export.formats.open_clip import OpenCLIP
from cloc.export.formats.torch_export import TorchExport
from cloc.models.build import build_model
from cloc.models.embedder import ModelEmbedder
from cloc.models.load import load_model
from tests.helpers.checkpoints import save_run
from tests.helpers.models import (
    AVERAGE,
    CLOC_PARTS,
    CONVOLUTIONAL,
    EVA,
    NATIVE,
    PROMPTER,
    SIGLIP,
    TIMM,
    make_model,
    model_batch,
    random_pixels,
)
from tests.helpers.probe import probe_of
from tests.helpers.tracing import without_type_checks

EVA02 = {
    **EVA,
    "vision_cfg": {**TIMM, "timm_model_name": "eva02_tiny_patch14_224", "image_size": 28},
}
KINDS = {"native": NATIVE, "siglip": SIGLIP, "eva": EVA, "average": AVERAGE, "eva02": EVA02}


def made(config=NATIVE, layers=(1, 2), positions=None, **more):
    torch.manual_seed(0)
    head = {**PROMPTER, "layers": None if layers is None else list(layers)}
    parts = {**copy.deepcopy(CLOC_PARTS), "region_head": head}
    tower = {"config": copy.deepcopy(config), "positions": positions}
    return build_model({**tower, **more}, **parts).eval()


def by_hand(tower, x, layers):
    """Block outputs of a whole forward of the library's own, each behind its last norm."""
    visual = tower.clip.visual
    trunk = getattr(visual, "trunk", None)
    blocks = visual.transformer.resblocks if trunk is None else trunk.blocks
    norm, prefix = (visual.ln_post, 1) if trunk is None else (trunk.norm, trunk.num_prefix_tokens)
    kept = {}
    handles = [
        block.register_forward_hook(lambda m, a, out, i=i: kept.update({i: out}))
        for i, block in enumerate(blocks, 1)
    ]
    tower.clip.encode_image((x / 255 - tower.mean) / tower.std)
    for handle in handles:
        handle.remove()
    return torch.cat([norm(kept[i])[:, prefix:] for i in layers], -1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layers", [(1,), (1, 2), (2,)])
@torch.no_grad()
def test_they_are_tokens_behind_blocks_and_the_last_norm(kind, layers):
    model, plain = made(KINDS[kind], layers), made(KINDS[kind], None)
    x = random_pixels(0, 2, model.tower.image_size)
    seen, before = model.tower.images(x), plain.tower.images(x)
    torch.testing.assert_close(seen.read, by_hand(model.tower, x, layers))
    assert seen.read.shape[2] == model.tower.width * len(layers)
    torch.testing.assert_close(seen.tokens, before.tokens)
    torch.testing.assert_close(seen.pooled, before.pooled)
    assert before.layers is None
    assert before.read is before.tokens


@torch.no_grad()
def test_the_last_layer_is_the_tokens():
    seen = made(layers=(2,)).tower.images(random_pixels(0, 2))
    assert seen.read.equal(seen.tokens)


@pytest.mark.parametrize("positions", [None, {"relative": "shaw", "rotary": "axial"}])
@torch.no_grad()
def test_another_size_and_other_positions(positions):
    model = made(positions=positions)
    seen = model.tower.images(random_pixels(0, 2, (48, 32)))
    assert seen.read.shape == (2, 24, 64)
    assert seen.read[..., 32:].equal(seen.tokens)


def test_null_is_as_it_was_to_the_bit():
    without, before = made(layers=None), make_model()
    assert without.description == before.description
    assert all(map(torch.equal, without.state_dict().values(), before.state_dict().values()))
    batch = model_batch(before)
    with torch.no_grad():
        for a, b in zip(without(batch), before(batch), strict=True):
            assert not isinstance(a, torch.Tensor) or a.equal(b)


def test_the_prompter_answers_from_them_in_every_path(tmp_path):
    """Forward, regions and ground: each changes where an earlier block alone is touched."""
    model = made(layers=(1, 2))
    with torch.no_grad():
        half = copy.deepcopy(model)
        half.region_head.gather.weight[:, :32] = 0  # block 1 is not read
        batch, boxes = model_batch(model), torch.tensor([[[0.1, 0.2, 0.7, 0.9]]])
        for answer in (
            lambda m: m(batch).region,
            lambda m: m(batch).predicted_boxes,
            lambda m: ModelEmbedder(m).regions(random_pixels(0, 1), boxes),
            lambda m: ModelEmbedder(m).ground(random_pixels(0, 1), [["a red star"]])[0],
        ):
            assert float((answer(model) - answer(half)).abs().max()) > 1e-4
        assert model(batch).image.equal(half(batch).image)


def test_dropped_patches_are_dropped_in_every_layer():
    model = made(layers=(1, 2)).train()
    model.tower.drop_patches(0.5)
    seen = model.tower.images(random_pixels(0, 2))
    assert seen.read.shape == (2, 8, 64)
    assert seen.kept.shape == (2, 8)
    assert seen.read[..., 32:].equal(seen.tokens)


@pytest.mark.parametrize("kind", ["native", "eva"])
def test_recomputed_blocks_give_the_same_gradients(kind):
    grads = []
    for recompute in (False, True):
        model = made(KINDS[kind], (1, 2)).train()
        if recompute:
            model.tower.recompute_blocks()
        found = model.tower.images(random_pixels(0, 2))
        (found.read.pow(3).mean() + found.pooled.sum()).backward()
        grads.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    for name, grad in grads[0].items():
        torch.testing.assert_close(grads[1][name], grad, rtol=1e-4, atol=1e-6, msg=name)


@torch.no_grad()
def test_runs_and_exports_remember_them(tmp_path):
    model, pixels = made(layers=(1, 2)), random_pixels(0, 2)
    save_run(tmp_path / "run", model)
    (tmp_path / "export").mkdir()
    OpenCLIP().export(model, tmp_path / "export", probe_of(model))
    boxes = torch.tensor([[[0.1, 0.2, 0.7, 0.9]]]).expand(2, -1, -1)
    expected = ModelEmbedder(model).regions(pixels, boxes)
    for place in ("run", "export"):
        again = load_model(tmp_path / place)
        assert again.description["region_head"]["layers"] == [1, 2]
        torch.testing.assert_close(ModelEmbedder(again).regions(pixels, boxes), expected)


@pytest.mark.slow
@pytest.mark.parametrize("exporter", [TorchExport(), pytest.param(ONNX(), marks=pytest.mark.rare)])
def test_traced_graphs_have_them(tmp_path, exporter):
    model = made(layers=(1, 2))
    with without_type_checks():
        exporter.export(model, tmp_path, probe_of(model))


@pytest.mark.parametrize(
    ("config", "layers", "says"),
    [
        (NATIVE, [3], r"layers=\[3\]: this tower has 2 blocks; give 1 to 2"),
        (NATIVE, [0, 1], r"layers=\[0, 1\]; give numbers of blocks from 1 on"),
        (NATIVE, [1.5], r"layers=\[1\.5\]; give numbers of blocks"),
        (NATIVE, 2, r"layers=2; give numbers of blocks"),
        (NATIVE, "12", r"layers=12; give numbers of blocks"),
        (NATIVE, [2, 1], r"layers=\[2, 1\]: give each block once, in the order they run"),
        (NATIVE, [1, 1], r"give each block once"),
        (CONVOLUTIONAL["resnet"], [1], r"a ResNet has no layers of one layout to read; leave it"),
        (CONVOLUTIONAL["convnext"], [1], r"convnext_atto has no layers of one layout to read"),
        (CONVOLUTIONAL["swin"], [1], r"swin_tiny_patch4_window7_224 has no layers of one layout"),
    ],
)
def test_layers_that_are_not_there_are_one_line_before_anything_is_built(
    config, layers, says, monkeypatch
):
    monkeypatch.setattr("cloc.models.tower_build._from_config", pytest.fail)
    with pytest.raises(UserError, match=says) as error:
        build_model({"config": config}, region_head={"kind": "prompter", "layers": layers})
    assert "\n" not in str(error.value)


def test_of_a_start_and_of_timms_depth_it_is_told_too(tmp_path):
    save_run(tmp_path / "run", make_model())
    with pytest.raises(UserError, match=r"this tower has 2 blocks; give 1 to 2"):
        made(layers=(9,), config=None, start=f"run:{tmp_path}/run")
    with pytest.raises(UserError, match=r"this tower has 12 blocks; give 1 to 12"):
        made(EVA, (13,))


def test_a_head_that_cannot_read_them_says_so():
    with pytest.raises(UserError, match=r"model\.region_head: .*'layers'; its options are"):
        build_model({"config": NATIVE}, region_head={"kind": "roi_align", "layers": [1]})
