"""A timm trunk with its own weights behind our tower surface."""

import pytest
import timm
import torch
from safetensors.torch import save_file

from cloc.errors import UserError
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
