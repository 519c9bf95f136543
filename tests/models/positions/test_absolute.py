"""Positions at another grid: as open_clip resamples them, on load and at forward."""

import open_clip
import pytest
import torch
import torch.nn.functional as F

from cloc.errors import UserError
from cloc.models.positions.absolute import Kernel, aspect_of, fit_positions, make_kernel, resample
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
    with pytest.raises(UserError, match=r"model\.tower\.positions=.*interpolation .bicubic or bil"):
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
        kernel=tower.positions,
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
    assert bilinear.positions == Kernel("bilinear", antialias=True)


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
