"""Depth models, small and random: the way through them, and which way their numbers run."""

import numpy as np
import PIL.Image
import pytest
import torch

from cloc.errors import UserError
from data_prep.depth_maps import DepthMaps
from tests.helpers.depth_models import save_depth_anything, save_dpt


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("depth")
    return {
        "relative": str(save_depth_anything(root / "relative")),
        "metric": str(save_depth_anything(root / "metric", metric=True)),
        "dpt": str(save_dpt(root / "dpt")),
    }


def picture(width, height):
    pixels = np.random.default_rng(width).integers(0, 255, (height, width, 3), np.uint8)
    return PIL.Image.fromarray(pixels)


@pytest.mark.parametrize("kind", ["relative", "metric", "dpt"])
def test_as_the_pipeline_of_transformers_has_it(folders, kind):
    """But for the sign: larger is nearer."""
    from transformers import pipeline

    theirs = pipeline("depth-estimation", model=folders[kind])
    maps = DepthMaps(folders[kind], larger_is="nearer" if kind == "dpt" else None)
    for size in ((80, 50), (50, 80), (31, 31)):
        image = picture(*size)
        inputs, shape = maps.prepare(image)
        assert tuple(inputs.shape) == shape
        (near,) = maps([inputs], [size])
        expected = theirs(image)["predicted_depth"].numpy()
        sign = -1 if kind == "metric" else 1
        assert near.shape == expected.shape == size[::-1]
        np.testing.assert_allclose(near, sign * expected, atol=1e-5)


def test_a_batch_answers_as_one_picture_at_a_time_does(folders):
    maps = DepthMaps(folders["relative"])
    inputs = [maps.prepare(picture(80, 50))[0], maps.prepare(picture(82, 52))[0]]
    together = maps(inputs, [(80, 50), (82, 52)])
    for one, image, size in zip(together, inputs, [(80, 50), (82, 52)], strict=True):
        np.testing.assert_allclose(one, maps([image], [size])[0], atol=1e-5)


def test_which_way_the_numbers_run(folders):
    assert DepthMaps(folders["relative"]).larger_is == "nearer"
    assert DepthMaps(folders["metric"]).larger_is == "farther"
    one, other = (DepthMaps(folders["dpt"], larger_is=way) for way in ("nearer", "farther"))
    inputs, _ = one.prepare(picture(40, 40))
    np.testing.assert_array_equal(one([inputs], [(40, 40)])[0], -other([inputs], [(40, 40)])[0])
    assert other.describe()["larger_is"] == "farther"


def test_what_is_not_finite_is_nan(folders):
    maps = DepthMaps(folders["relative"])
    inputs, _ = maps.prepare(picture(40, 40))
    (near,) = maps([torch.full_like(inputs, torch.inf)], [(40, 40)])
    assert np.isnan(near).all()


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("dpt", {}, "is a dpt, whose checkpoints give disparity or metres; give larger_is=nearer"),
        ("relative", {"larger_is": "up"}, "larger_is=up; give nearer or farther"),
        ("relative", {"device": "teapot"}, "device=teapot is no device"),
        ("relative", {"dtype": "int8"}, "dtype=int8"),
    ],
)
def test_settings_that_cannot_work_are_one_line(folders, kind, settings, message):
    with pytest.raises(UserError, match=message) as error:
        DepthMaps(folders[kind], **settings)
    assert "\n" not in str(error.value)


def test_a_model_that_is_none_for_depth_is_one_line(tmp_path):
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    ViTForImageClassification(
        ViTConfig(**sizes, intermediate_size=8, image_size=28, patch_size=14)
    ).save_pretrained(tmp_path)
    ViTImageProcessor().save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"cannot be loaded.*model for DepthEstimation") as error:
        DepthMaps(str(tmp_path))
    assert "\n" not in str(error.value)
