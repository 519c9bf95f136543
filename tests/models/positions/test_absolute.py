"""Positions at another grid: as open_clip resamples them, on load and at forward."""

import math

import open_clip
import pytest
import torch
import torch.nn.functional as F
from open_clip.pos_embed import get_2d_sincos_pos_embed

from cloc.errors import UserError
from cloc.models.positions.absolute import (
    Kernel,
    aspect_of,
    fit_positions,
    make_kernel,
    resample,
    sincos,
)
from cloc.models.start import Start
from cloc.models.tower_build import make_tower
from tests.helpers.models import AVERAGE, CONFIGS, CONVOLUTIONAL, EVA, NATIVE, random_pixels


@pytest.mark.parametrize("kernel", [Kernel(), Kernel("bilinear", antialias=False)])
def test_a_table_is_resampled_as_an_image_and_its_prefix_stays(kernel):
    table = torch.randn(2 + 3 * 4, 5)
    found = resample(table, old=(3, 4), new=(6, 2), kernel=kernel)
    image = table[2:].view(3, 4, 5).permute(2, 0, 1)[None]
    expected = F.interpolate(
        image, size=(6, 2), mode=kernel.interpolation, antialias=kernel.antialias
    )
    assert found[:2].equal(table[:2])
    torch.testing.assert_close(found[2:], expected[0].permute(1, 2, 0).reshape(12, 5))
    assert resample(table[None], old=(3, 4), new=(6, 2), kernel=kernel)[0].equal(found)


def test_a_grid_of_another_shape_is_resampled_although_it_has_as_many_places():
    state = {"visual.positional_embedding": torch.randn(17, 4)}
    wanted = {"visual.positional_embedding": torch.zeros(17, 4)}
    table = state["visual.positional_embedding"].clone()
    fit_positions(state, wanted, old_aspect=1.0, new_grid=(4, 4), kernel=Kernel())
    assert state["visual.positional_embedding"].equal(table)
    fit_positions(state, wanted, old_aspect=1.0, new_grid=(2, 8), kernel=Kernel())
    expected = resample(table, old=(4, 4), new=(2, 8), kernel=Kernel())
    assert state["visual.positional_embedding"].equal(expected)


def test_the_aspect_is_height_over_width():
    assert aspect_of(224) == 1
    assert aspect_of([32, 64]) == 0.5


@pytest.mark.parametrize(
    "options", [{"kernel": "bicubic"}, {"interpolation": "nearest"}, {"interpolation": None}]
)
def test_an_unknown_kernel_is_named(options):
    with pytest.raises(UserError, match=r"positions\.absolute=.*interpolation .bicubic or bil"):
        make_kernel(options)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["native", "siglip", "average"])
def test_forward_at_another_size_is_a_tower_built_at_that_size(kind):
    """Non-square too; the tower's own table stays as it was."""
    config, own = CONFIGS[kind], 32
    tower = make_tower(config).eval()
    before = {name: value.clone() for name, value in tower.state_dict().items()}
    pixels = torch.randint(0, 256, (2, 3, own, 2 * own), dtype=torch.uint8)
    built = make_tower(config, image_size=[own, 2 * own]).eval()
    state = dict(tower.clip.state_dict())
    fit_positions(
        state,
        built.clip.state_dict(),
        old_aspect=1.0,
        new_grid=built.grid,
        kernel=tower.positions.kernel,
    )
    built.clip.load_state_dict(state)
    ours, expected = tower.images(pixels), built.images(pixels)
    assert tower.grid_at(pixels) == built.grid == (tower.grid[0], 2 * tower.grid[1])
    torch.testing.assert_close(ours.tokens, expected.tokens)
    torch.testing.assert_close(ours.pooled, expected.pooled)
    for name, value in tower.state_dict().items():
        assert value.equal(before[name]), name


@torch.no_grad()
def test_a_bilinear_kernel_is_used_at_forward_and_recorded():
    torch.manual_seed(0)
    bicubic = make_tower(NATIVE)
    bilinear = make_tower(NATIVE, positions={"interpolation": "bilinear"})
    bilinear.load_state_dict(bicubic.state_dict())
    pixels = random_pixels(0, 1, size=64)
    assert not bicubic.images(pixels).pooled.allclose(bilinear.images(pixels).pooled)
    assert bilinear.positions.kernel == Kernel("bilinear", antialias=True)


@torch.no_grad()
def test_convolutional_towers_take_any_multiple_of_their_stride():
    tower = make_tower(CONVOLUTIONAL["convnext"]).eval()
    pixels = torch.zeros(1, 3, 64, 128, dtype=torch.uint8)
    assert tower.grid_at(pixels) == (2, 4)
    assert tower.images(pixels).tokens.shape[1] == 8
    with pytest.raises(UserError, match=r"divides an image by 32, but it has 64x65 pixels"):
        tower.grid_at(torch.zeros(1, 3, 64, 65, dtype=torch.uint8))


def test_other_positions_than_a_table_are_of_one_size():
    eva = {**EVA, "vision_cfg": {**EVA["vision_cfg"], "timm_model_name": "eva02_tiny_patch14_224"}}
    tower = make_tower({**eva, "vision_cfg": {**eva["vision_cfg"], "image_size": 56}})
    with pytest.raises(UserError, match=r"Eva takes 56x56 pixels, not 28x56: .*=\[28,56\]"):
        tower.images(torch.zeros(1, 3, 28, 56, dtype=torch.uint8))


@torch.no_grad()
def test_a_resnet_is_built_square_and_takes_other_shapes_at_forward():
    tower = make_tower(CONVOLUTIONAL["resnet"]).eval()
    tall, wide = (
        torch.randint(0, 256, (1, 3, *s), dtype=torch.uint8) for s in ((96, 64), (64, 96))
    )
    assert tower.images(tall).tokens.shape[1] == 6
    assert tower.grid_at(wide) == (2, 3)
    with pytest.raises(
        UserError, match=r"image_size=\[64, 96\]: open_clip builds its ResNets square"
    ):
        make_tower(CONVOLUTIONAL["resnet"], image_size=[64, 96])


@torch.no_grad()
def test_timm_resamples_alike():
    """timm's own dynamic image size has the same kernel."""
    tower = make_tower(AVERAGE).eval()
    pixels = random_pixels(0, 2, size=64)
    ours = tower.images(pixels)
    trunk = tower.clip.visual.trunk
    trunk.dynamic_img_size, trunk.patch_embed.flatten = True, False
    trunk.patch_embed.output_fmt = type(trunk.patch_embed.output_fmt)("NHWC")
    normal = (pixels / 255 - tower.mean) / tower.std
    torch.testing.assert_close(ours.tokens, trunk.forward_features(normal)[:, 1:])


def test_open_clips_models_are_not_changed():
    clip = open_clip.CLIP(**NATIVE)
    assert set(clip.state_dict()) == set(make_tower(NATIVE).clip.state_dict())


@pytest.mark.parametrize("grid", [(4, 4), (7, 7)])
def test_fixed_positions_are_those_of_open_clip_where_the_grid_is_square(grid):
    theirs = get_2d_sincos_pos_embed(32, grid[0])
    torch.testing.assert_close(sincos(grid, 32), torch.from_numpy(theirs).float())


def test_fixed_positions_of_a_grid_that_is_not_square():
    found = sincos((2, 3), 8).view(2, 3, 8)
    assert torch.equal(found[0, :, 4:], found[0, :1, 4:].expand(3, 4))  # a row has one row
    assert torch.equal(found[:, 0, :4], found[:1, 0, :4].expand(2, 4))
    assert found[1, 2, 0] == pytest.approx(math.sin(2))  # of the column first
    assert found[1, 2, 4] == pytest.approx(math.sin(1))


@torch.no_grad()
@pytest.mark.parametrize("kind", ["sincos", "none"])
def test_what_is_not_learned_is_no_weight(kind):
    """A fixed table is in the state, zeros are not."""
    table = "visual.positional_embedding"
    tower = make_tower(NATIVE, positions={"absolute": {"kind": kind}}).eval()
    assert (table in tower.clip.state_dict()) == (kind == "sincos")
    assert not any("visual.positional" in name for name, _ in tower.named_parameters())
    plain = make_tower(NATIVE).eval()
    fixed = torch.zeros_like(plain.clip.state_dict()[table])
    if kind == "sincos":
        fixed[1:] = sincos((4, 4), 32)
    plain.clip.load_state_dict({**tower.clip.state_dict(), table: fixed})
    for size in (32, (48, 64)):
        pixels = random_pixels(0, 2, size=size)
        torch.testing.assert_close(tower.images(pixels).pooled, plain.images(pixels).pooled)


def start_of(tower):
    state = {name: value.clone() for name, value in tower.clip.state_dict().items()}
    own = tower.positions.described()
    return Start(dict(tower.model_config), state, None, None, None, positions=own)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["sincos", "none", "learned"])
@pytest.mark.parametrize("size", [48, (32, 64), (16, 64)])
def test_another_image_size_resamples_the_one_that_the_tower_was_trained_with(kind, size):
    """Opened at the size or seen at forward, and on from there to a third."""
    tower = make_tower(NATIVE, positions={"absolute": {"kind": kind}}).eval()
    opened = make_tower(start=start_of(tower), image_size=size).eval()
    assert opened.positions.kind == kind
    pixels = random_pixels(0, 2, size=size)
    torch.testing.assert_close(opened.images(pixels).pooled, tower.images(pixels).pooled)
    third = make_tower(start=start_of(opened), image_size=24).eval()
    pixels = random_pixels(0, 2, size=24)
    torch.testing.assert_close(third.images(pixels).pooled, opened.images(pixels).pooled)


def test_a_state_without_the_fixed_table_is_of_the_own_grid():
    tower = make_tower(NATIVE, positions={"absolute": "sincos"})
    state = start_of(tower).state
    del state["visual.positional_embedding"]
    tower.clip.load_state_dict(state)
    assert tower.clip.visual.positional_embedding[1:].equal(sincos((4, 4), 32))


@pytest.mark.parametrize("kind", ["learned", "none"])
def test_a_table_that_becomes_fixed_is_of_the_new_grid_and_a_fixed_one_can_be_learned_on(kind):
    table = "visual.positional_embedding"
    before = make_tower(NATIVE, positions={"absolute": kind})
    fixed = make_tower(start=start_of(before), positions={"absolute": "sincos"}, image_size=48)
    assert fixed.clip.state_dict()[table][1:].equal(sincos((6, 6), 32))
    again = make_tower(start=start_of(fixed), positions={"absolute": kind})
    assert (table in dict(again.clip.named_parameters())) == (kind == "learned")
    if kind == "learned":
        assert again.clip.state_dict()[table].equal(fixed.clip.state_dict()[table])


@torch.no_grad()
def test_without_positions_the_places_of_patches_do_not_matter():
    """Permuted content, which learned positions notice."""
    none, learned = (
        make_tower(NATIVE, positions={"absolute": {"kind": kind}}).eval()
        for kind in ("none", "learned")
    )
    pixels = random_pixels(0, 1)
    cells = pixels.view(1, 3, 4, 8, 4, 8).permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
    mixed = cells[:, torch.randperm(16)].unflatten(1, (4, 4)).permute(0, 3, 1, 4, 2, 5)
    shuffled = mixed.reshape(1, 3, 32, 32)
    torch.testing.assert_close(none.images(shuffled).pooled, none.images(pixels).pooled)
    assert not torch.allclose(learned.images(shuffled).pooled, learned.images(pixels).pooled)
