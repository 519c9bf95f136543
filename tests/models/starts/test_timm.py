"""A timm trunk with its own weights behind our tower surface."""

from functools import partial

import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from cloc.errors import UserError
from cloc.models.start import read_start
from cloc.models.tower_build import make_tower
from tests.helpers.models import random_pixels

NAME = "test_vit"


@pytest.fixture
def file(tmp_path):
    torch.manual_seed(0)
    trunk = timm.create_model(NAME)
    save_file(trunk.state_dict(), tmp_path / "trunk.safetensors")
    return tmp_path / "trunk.safetensors", trunk.eval()


@torch.no_grad()
def test_the_trunk_has_the_files_weights_and_its_own_size_mean_and_std(file):
    path, trunk = file
    tower = make_tower(start=f"timm:{NAME},{path}").eval()
    size = trunk.pretrained_cfg["input_size"][1]
    assert tower.image_size == size
    assert tower.mean.flatten().tolist() == pytest.approx(trunk.pretrained_cfg["mean"])
    pixels = random_pixels(0, 2, size=size)
    normal = (pixels / 255 - tower.mean) / tower.std
    tokens = trunk.forward_features(normal)[:, trunk.num_prefix_tokens :]
    torch.testing.assert_close(tower.images(pixels).tokens, tokens)
    assert tower.texts(tower.tokenizer()(["a star"], 77)).shape == (1, tower.dim)


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "options"),
    [(NAME, {}), (NAME, {"num_classes": 7}), ("test_convnext", {}), ("test_resnet", {})],
)
def test_to_be_measured_it_embeds_as_timm_does(name, options, tmp_path, monkeypatch):
    """Its classifier is the projection, of patches too; equal in every bit, at each reading."""
    monkeypatch.setattr(timm, "create_model", partial(timm.create_model, **options))
    trunk = timm.create_model(name).eval()
    save_file(trunk.state_dict(), tmp_path / "trunk.safetensors")
    where = f"timm:{name},{tmp_path}/trunk.safetensors"
    starts = [read_start(where, as_it_is=True) for _ in range(2)]
    assert all(starts[0].state[key].equal(value) for key, value in starts[1].state.items())
    monkeypatch.undo()
    tower = make_tower(start=starts[0]).eval()
    pixels = random_pixels(0, 2, size=tower.image_size)
    normal = (pixels / 255 - tower.mean) / tower.std
    seen = tower.images(pixels)
    assert seen.pooled.equal(F.normalize(trunk(normal), dim=-1))
    assert tower.dim == options.get("num_classes", 1000)
    if name == NAME:
        tokens = trunk.forward_features(normal)[:, trunk.num_prefix_tokens :]
        assert tower.dense(seen.tokens).equal(trunk.head(trunk.fc_norm(tokens)))


@torch.no_grad()
def test_without_a_classifier_the_pooled_features_are_the_embedding(tmp_path, monkeypatch):
    bare = partial(timm.create_model, num_classes=0)
    trunk = bare(NAME).eval()
    save_file(trunk.state_dict(), tmp_path / "trunk.safetensors")
    with monkeypatch.context() as patch:
        patch.setattr(timm, "create_model", bare)
        start = read_start(f"timm:{NAME},{tmp_path}/trunk.safetensors", as_it_is=True)
    tower = make_tower(start=start).eval()
    pixels = random_pixels(0, 2, size=tower.image_size)
    normal = (pixels / 255 - tower.mean) / tower.std
    assert tower.images(pixels).pooled.equal(F.normalize(trunk(normal), dim=-1))


def test_at_another_size(file):
    tower = make_tower(start=f"timm:{NAME},{file[0]}", image_size=64)
    assert tower.images(random_pixels(0, 1, size=64)).tokens.shape[1] == 16


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("no_such_model,x", r"timm:no_such_model,x cannot be loaded .*timm\.list_models"),
        (f"{NAME},nowhere.pt", r"timm:test_vit,nowhere\.pt: there is no such file"),
    ],
)
def test_what_is_not_there_is_named(where, says):
    with pytest.raises(UserError, match=says):
        make_tower(start=f"timm:{where}")


def test_a_file_of_another_architecture_is_refused(file, tmp_path):
    with pytest.raises(UserError, match=r"no checkpoint of timm's test_resnet: .*Missing"):
        make_tower(start=f"timm:test_resnet,{file[0]}")


@torch.no_grad()
@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_convnext"])
def test_a_convolutional_trunk(tmp_path, name):
    """Some have the pooling layer, not its name, under `global_pool`."""
    trunk = timm.create_model(name)
    save_file(trunk.state_dict(), tmp_path / "trunk.safetensors")
    tower = make_tower(start=f"timm:{name},{tmp_path}/trunk.safetensors").eval()
    size = tower.image_size
    assert tower.model_config["vision_cfg"]["timm_pool"] == "avg"
    seen = tower.images(random_pixels(0, 1, size=size))
    assert seen.tokens.shape == (1, tower.grid[0] * tower.grid[1], tower.width)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("mobilenetv3_small_050", r"tokens \(1, 49, 288\) .* must, but .*1024.*; choose a ViT"),
        ("xcit_nano_12_p16_224", r"tokens \(1, 196, 128\) .* must, but Xcit gives"),
    ],
)
def test_a_trunk_that_is_no_tower_is_refused_before_training(tmp_path, name, says):
    save_file(timm.create_model(name).state_dict(), tmp_path / "trunk.safetensors")
    with pytest.raises(UserError, match=rf"timm:{name} does not give {says}"):
        make_tower(start=f"timm:{name},{tmp_path}/trunk.safetensors")


def test_a_trunk_whose_own_size_does_not_divide_takes_another(tmp_path):
    name = "test_resnet"
    save_file(timm.create_model(name).state_dict(), tmp_path / "trunk.safetensors")
    odd = timm.models.get_pretrained_cfg(name).to_dict() | {"input_size": (3, 150, 150)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timm, "create_model", partial(timm.create_model, pretrained_cfg=odd))
        where = f"timm:{name},{tmp_path}/trunk.safetensors"
        with pytest.raises(UserError, match=r"has 150x150 pixels; set model\.tower\.image_size"):
            make_tower(start=where)
        assert make_tower(start=where, image_size=160).image_size == 160


@torch.no_grad()
@pytest.mark.parametrize(("size", "grid"), [(None, (3, 3)), (65, (3, 3)), ([64, 50], (2, 2))])
def test_a_trunk_with_same_padding_takes_sizes_its_strides_do_not_divide(tmp_path, size, grid):
    """Its own among them, as lite2's 260: a grid of ceil(size / 32), tokens as timm has them."""
    name = "tf_efficientnet_lite0"
    trunk = timm.create_model(name).eval()
    save_file(trunk.state_dict(), tmp_path / "trunk.safetensors")
    own = timm.models.get_pretrained_cfg(name).to_dict() | {"input_size": (3, 68, 68)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timm, "create_model", partial(timm.create_model, pretrained_cfg=own))
        start = f"timm:{name},{tmp_path}/trunk.safetensors"
        tower = make_tower(start=start, image_size=size).eval()
    assert tower.grid == grid
    pixels = random_pixels(0, 2, size=tower.image_size)
    tokens = trunk.forward_features((pixels / 255 - tower.mean) / tower.std)
    torch.testing.assert_close(tower.images(pixels).tokens, tokens.flatten(2).transpose(1, 2))
    other = random_pixels(0, 1, size=(96, 33))
    assert tower.grid_at(other) == (3, 2)
    assert tower.images(other).tokens.shape[1] == 6
