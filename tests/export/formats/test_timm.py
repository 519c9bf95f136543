"""An exported vision tower in timm, through both of its loaders."""

import json

import PIL.Image
import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from cloc.errors import UserError
from cloc.export.formats.timm import Timm, twin_name
from cloc.export.weights import round_weights
from cloc.models.build import build_model
from tests.helpers.models import (
    AVERAGE,
    CONFIGS,
    CONVOLUTIONAL,
    NATIVE,
    TIMM,
    VISION,
    make_model,
    random_pixels,
)
from tests.helpers.probe import probe_of

MLP = {**AVERAGE, "vision_cfg": {**TIMM, "timm_pool": "avg", "timm_proj": "mlp"}}
RESNET = {"timm_model_name": "resnet18", "timm_proj": "linear", "image_size": 64}


def native(**vision):
    return {**NATIVE, "vision_cfg": {**VISION, **vision}}


KINDS = {
    **CONFIGS,
    "convnext": CONVOLUTIONAL["convnext"],
    "quick gelu": {**NATIVE, "quick_gelu": True},
    "average of an own tower": native(pool_type="avg"),
    "without the first norm": native(no_ln_pre=True, mlp_ratio=3.0),
}


def exported(model, folder):
    Timm().export(model, folder, probe_of(model))
    config = json.loads((folder / "config.json").read_text())
    return config, json.loads((folder / "parity.json").read_text())["outputs"]


def by_hand(folder, config):
    """The call that needs no `local-dir:`, with what the configuration says."""
    return timm.create_model(
        config["architecture"],
        checkpoint_path=str(folder / "model.safetensors"),
        **config["model_args"],
    ).eval()


@torch.no_grad()
@pytest.mark.parametrize("config", KINDS.values(), ids=KINDS)
def test_timm_gives_the_models_embeddings(tmp_path, config):
    torch.manual_seed(0)
    tower = {"config": config, "mean": (0.5, 0.4, 0.3), "std": (0.3, 0.2, 0.25)}
    model = build_model(tower).train()
    for parameter in model.tower.clip.visual.parameters():
        parameter.add_(torch.randn_like(parameter), alpha=0.02)  # biases and norms are 0 and 1 else
    said, errors = exported(model, tmp_path)
    assert model.training
    assert set(errors) == {"image", "tokens"}
    assert {path.name for path in tmp_path.iterdir()} == {
        "config.json",
        "model.safetensors",
        "parity.json",
    }
    assert (said["pretrained_cfg"]["mean"], said["pretrained_cfg"]["std"]) == (
        [0.5, 0.4, 0.3],
        [0.3, 0.2, 0.25],
    )
    size = model.tower.image_size
    assert said["pretrained_cfg"]["input_size"] == [3, size, size]
    assert not {"license", "tag"} & set(said["pretrained_cfg"])
    pixels = random_pixels(3, 2, size=size)
    ours = model.eval().tower.images(pixels).pooled
    x = (pixels / 255 - model.tower.mean) / model.tower.std
    theirs = F.normalize(by_hand(tmp_path, said)(x), dim=-1)
    torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("config", "classes", "says"),
    [
        (NATIVE, 24, "the projection into"),
        (CONFIGS["average"], 24, "the projection into"),
        (CONFIGS["siglip"], 0, "none: the pooled features themselves"),
    ],
)
def test_the_projection_is_the_classifier(tmp_path, config, classes, says):
    said, _ = exported(make_model(config), tmp_path)
    assert said["num_classes"] == classes
    assert said["cloc_classifier"].startswith(says)


def test_timms_transform_is_our_frame_but_for_the_colour_of_its_border(tmp_path):
    said, _ = exported(make_model(NATIVE), tmp_path)
    transform = timm.data.create_transform(**timm.data.resolve_data_config(said["pretrained_cfg"]))
    x = transform(PIL.Image.new("RGB", (64, 32), (255, 255, 255)))
    assert x.shape == (3, 32, 32)
    inside = (1 - torch.tensor(said["pretrained_cfg"]["mean"])) / torch.tensor(
        said["pretrained_cfg"]["std"]
    )
    torch.testing.assert_close(x[:, 10:22].mean((1, 2)), inside)
    assert x[:, :6].abs().max() < 0.02  # the mean, where our frame has 0 - mean


def test_a_trunk_that_more_than_a_linear_map_projects_goes_alone_and_says_so(tmp_path):
    said, errors = exported(make_model(MLP), tmp_path)
    assert said["num_classes"] == 0
    assert said["cloc_classifier"].startswith("none: open_clip projects this trunk by more than")
    assert set(errors) == {"tokens"}


def test_a_size_that_timm_knows_has_its_name():
    tower = {
        "embed_dim": 24,
        "quick_gelu": True,
        "vision_cfg": {"image_size": 32, "patch_size": 32, "width": 768, "layers": 12},
        "text_cfg": NATIVE["text_cfg"],
    }
    with torch.device("meta"):
        model = build_model({"config": tower})
    assert twin_name(model.tower.clip.visual) == "vit_base_patch32_clip_quickgelu_224"


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (CONVOLUTIONAL["resnet"], "a ResNet of open_clip has no twin in timm; choose format="),
        (native(pool_type="avg", final_ln_after_pool=True), "no ViT with final_ln_after_pool"),
        (native(ls_init_value=0.1), r"cannot hold this tower \(.*ls_1.gamma.*choose format="),
        (native(act_kwargs={"approximate": "tanh"}), "exported image differs by .* through timm"),
    ],
)
def test_a_tower_without_a_twin_is_refused_with_the_reason(tmp_path, config, says):
    with pytest.raises(UserError, match=says):
        exported(make_model(config), tmp_path)
    assert not (tmp_path / "parity.json").exists()


def test_half_weights_are_those_of_the_model_rounded_to_them(tmp_path):
    """In a twin that is made for it, and in a trunk with statistics of its own."""
    for name, config in (("native", NATIVE), ("resnet", {**AVERAGE, "vision_cfg": RESNET})):
        model = make_model(config)
        round_weights(model, "float16")
        (tmp_path / name).mkdir()
        Timm(precision="float16").export(model, tmp_path / name, probe_of(model))
        stored = load_file(tmp_path / name / "model.safetensors")
        assert {v.dtype for v in stored.values() if v.is_floating_point()} == {torch.float16}
        errors = json.loads((tmp_path / name / "parity.json").read_text())["outputs"]
        assert max(error["max_error"] for error in errors.values()) <= 1e-5
        assert model.tower.clip.logit_scale.dtype == torch.float32
