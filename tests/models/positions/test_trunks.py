"""timm's trunks that have positions of their own: each family builds, not square, its tokens have
places, it learns and is exported; and none takes ours."""

import pytest
import torch
from safetensors.torch import save_file

from cloc.errors import UserError
from cloc.export.formats.hf import HF
from cloc.export.formats.onnx import ONNX
from cloc.export.formats.open_clip import OpenCLIP
from cloc.export.formats.timm import Timm
from cloc.export.formats.torch_export import TorchExport
from cloc.losses.image_text import ImageText
from cloc.losses.region_text import RegionText
from cloc.models import tower_build
from cloc.models.build import build_model
from cloc.models.parameter_names import depth_of
from cloc.models.tower_build import make_tower
from cloc.training.roles import TABLE, roles
from tests.helpers.models import PROMPTER, model_batch, random_pixels
from tests.helpers.probe import probe_of
from tests.helpers.tracing import without_type_checks
from tests.helpers.trunks import FAMILIES, config_of, named, sides_of

PARTS = {"region_head": PROMPTER, "region_scale": {}}


def model_of(family, **parts):
    torch.manual_seed(0)
    return build_model({"config": config_of(family)}, **(parts or PARTS)).eval()


def shuffled(pixels, side):
    """The same patches in other places."""
    b, c, height, width = pixels.shape
    rows, columns = height // side, width // side
    cells = pixels.view(b, c, rows, side, columns, side).permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
    mixed = cells[:, [3, 5, 0, 4, 1, 2]].unflatten(1, (rows, columns))
    return mixed.permute(0, 3, 1, 4, 2, 5).reshape(pixels.shape)


@torch.no_grad()
@pytest.mark.parametrize("family", FAMILIES)
def test_tokens_are_patches_row_by_row_and_places_matter(family):
    """What moves a patch's own token most is its pixels; the pooled vector sees where patches are,
    far above what rounding leaves of a trunk without positions."""
    tower = model_of(family).tower
    height, width = sides_of(family)
    pixels = random_pixels(0, 1, size=(height, width))
    seen = tower.images(pixels)
    assert (tower.grid, seen.tokens.shape) == ((3, 2), (1, 6, tower.width))
    other = pixels.clone()
    other[..., height // 3 : 2 * height // 3, : width // 2] = 0  # the third patch
    moved = (tower.images(other).tokens - seen.tokens).norm(dim=-1)[0]
    assert moved.argmax() == 2
    for weight in tower.clip.visual.parameters():  # some begin at zero, or next to nothing
        torch.nn.init.normal_(weight, std=0.3)
    here, there = (tower.images(x).pooled for x in (pixels, shuffled(pixels, width // 2)))
    places = there - here
    assert places.abs().max() > 1e-5


@pytest.mark.parametrize("family", FAMILIES)
def test_it_learns(family):
    model = model_of(family).train()
    batch = model_batch(model)
    batch = batch._replace(images=random_pixels(0, 3, size=sides_of(family)))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
    values = []
    for _ in range(8):
        out = model(batch)
        loss = sum(f(out, batch).value for f in (ImageText(), RegionText(conflict="none")))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    without = [n for n, p in model.tower.clip.visual.named_parameters() if p.grad is None]
    assert not without
    assert values[-1] < values[0] - 0.1


@pytest.mark.parametrize("family", FAMILIES)
def test_every_weight_has_a_depth_and_what_gives_positions_is_a_table(family):
    """For rates by layer and for weight decay."""
    with torch.device("meta"):
        model = build_model({"config": config_of(family)}, region_head=None)
    found = {name: role for name, role in roles(model).items() if ".visual.trunk." in name}
    depths = {name: depth_of(name, num_blocks=2) for name in found}
    for name, role in found.items():
        if "pos_embed" in name or "embeds.proj" in name or "rope" in name:
            assert depths[name] == 0, name
        if ("rope" in name or "rel_pos" in name) and "bias" not in name:
            assert role == TABLE, name


@pytest.mark.parametrize("family", FAMILIES)
def test_timm_loads_it_and_open_clip_and_transformers_say_why_not(family, tmp_path):
    model = model_of(family, region_head=None)
    Timm().export(model, tmp_path, probe_of(model))
    with pytest.raises(UserError, match="transformers has no class for this model") as error:
        HF().export(model, tmp_path, probe_of(model))
    assert "\n" not in str(error.value)
    (tmp_path / "open_clip").mkdir()
    if family.startswith(("naflex", "dinov3")):  # of any size
        OpenCLIP().export(model, tmp_path / "open_clip", probe_of(model))
        return
    size = (
        r"open_clip cannot rebuild this tower, .* timm made it for, not image_size=\[\d\d, \d\d\]"
    )
    with pytest.raises(UserError, match=size) as error:
        OpenCLIP().export(model, tmp_path / "open_clip", probe_of(model))
    assert "\n" not in str(error.value)


@pytest.mark.slow
@pytest.mark.rare  # half a minute each
@pytest.mark.parametrize("exporter", [TorchExport, ONNX])
@pytest.mark.parametrize(
    "family", ["rope", "rope_mixed", "relpos_cls", "eva02", "dinov3", "pe_core", "naflex_mrope"]
)
def test_traced_graphs_have_its_positions(family, exporter, tmp_path):
    model = model_of(family, region_head={"kind": "prompter", "pool": "prompt", "num_heads": 2})
    with without_type_checks():
        exporter().export(model, tmp_path, probe_of(model))


@torch.no_grad()
@pytest.mark.parametrize("family", ["rope_mixed", "naflex"])
def test_as_a_start_it_has_the_file_s_weights(family, tmp_path):
    """Compared with the trunk that wrote them, at its own size."""
    import timm

    torch.manual_seed(1)
    trunk = timm.create_model(named(family)).eval()
    save_file(trunk.state_dict(), tmp_path / "trunk.safetensors")
    where = f"timm:{named(family)},{tmp_path}/trunk.safetensors"
    tower = make_tower(start=where).eval()
    size = trunk.pretrained_cfg["input_size"][1]
    pixels = random_pixels(0, 1, size=size)
    normal = (pixels / 255 - tower.mean) / tower.std
    tokens = trunk.forward_features(normal)[:, trunk.num_prefix_tokens :]
    torch.testing.assert_close(tower.images(pixels).tokens, tokens)
    with pytest.raises(UserError, match=r"positions\.rotary is for open_clip's own Vision Tra"):
        make_tower(start=where, positions={"rotary": "axial"})


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", ["relative", "rotary", "absolute"])
def test_ours_are_refused_before_anything_is_built(family, name, monkeypatch):
    built = []
    monkeypatch.setattr(tower_build, "_from_config", built.append)
    kind = {"relative": "irpe", "rotary": "axial", "absolute": "sincos"}[name]
    says = rf"positions\.{name} is for open_clip's .* a timm trunk has what its name says .vit_"
    with pytest.raises(UserError, match=says) as error:
        make_tower(config_of(family), positions={name: kind})
    assert "\n" not in str(error.value)
    assert not built


@torch.no_grad()
def test_a_naflex_trunk_takes_any_size_whose_sides_are_patches():
    """Its positions are resampled by itself, as one that is built at that size does."""
    torch.manual_seed(0)
    tower = make_tower(config_of("naflex")).eval()
    wide = make_tower(config_of("naflex"), image_size=[32, 80]).eval()
    wide.load_state_dict(tower.state_dict())
    pixels = random_pixels(0, 2, size=(32, 80))
    assert tower.grid_at(pixels) == wide.grid == (2, 5)
    torch.testing.assert_close(tower.images(pixels).tokens, wide.images(pixels).tokens)
    with pytest.raises(UserError, match="NaFlexVit divides an image by 16, but it has 32x81"):
        tower.grid_at(random_pixels(0, 1, size=(32, 81)))
