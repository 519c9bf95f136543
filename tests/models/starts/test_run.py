"""A run of ours: its tower, and its heads where the new model has the same."""

import pytest
import torch

from cloc.errors import UserError
from cloc.models.build import build_model
from tests.helpers.checkpoints import save_run
from tests.helpers.models import CLOC_PARTS, make_model, random_pixels


@pytest.fixture
def run(tmp_path):
    save_run(tmp_path, make_model(seed=3), step=1)
    return tmp_path


def start(run, **parts):
    torch.manual_seed(7)
    return build_model({"start": f"run:{run}"}, **parts).eval()


def test_the_tower_and_the_same_heads_come_along(run):
    model, expected = start(run, **CLOC_PARTS), make_model(seed=3)
    for name, value in expected.state_dict().items():
        assert model.state_dict()[name].equal(value), name


def test_without_heads_it_is_a_plain_clip_and_new_heads_begin_at_random(run, tmp_path_factory):
    plain = start(run)
    assert plain.region_head is None
    pixels = random_pixels(0, 2)
    expected = make_model(seed=3).tower.images(pixels).pooled
    assert plain.tower.images(pixels).pooled.equal(expected)
    clip = tmp_path_factory.mktemp("clip")
    save_run(clip, make_model(seed=3, region_head=None), step=1)
    model = start(clip, **CLOC_PARTS)
    assert model.tower.images(pixels).pooled.equal(expected)
    assert not model.state_dict()["box_head.mlp.0.weight"].equal(
        make_model(seed=3).state_dict()["box_head.mlp.0.weight"]
    )


def test_other_heads_are_refused_although_their_shapes_fit(run):
    """The number of attention heads changes no shape."""
    parts = {**CLOC_PARTS, "region_head": {"kind": "prompter", "num_heads": 4}}
    says = r"model\.region_head is .*'num_heads': 4.*, but the run to start from has .*: 2"
    with pytest.raises(UserError, match=says):
        start(run, **parts)


def test_a_run_without_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds no checkpoint"):
        start(tmp_path)
