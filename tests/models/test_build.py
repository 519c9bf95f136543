"""A model from a plain mapping: what is built, what rebuilds it, what is refused."""

import json

import pytest
import torch

from cloc.errors import UserError
from cloc.heads.prompter import Prompter
from cloc.heads.roi_align import RoIAlign
from cloc.models.build import build_model
from tests.helpers.models import CLOC_PARTS, CONFIGS, NATIVE, PROMPTER, make_model, model_batch

TOWER = {"config": NATIVE}


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_description_rebuilds_the_model(kind):
    """Through JSON, with the same weights, pixels' mean and std included: the same outputs."""
    tower = {"config": CONFIGS[kind], "image_size": 48, "mean": (0.5,) * 3, "std": (0.25,) * 3}
    tower["background"] = [9, 8, 7]
    model = build_model(tower, **CLOC_PARTS).eval()
    again = build_model(**json.loads(json.dumps(model.description))).eval()
    assert again.description == model.description
    assert again.tower.background == (9, 8, 7)
    again.load_state_dict(model.state_dict())
    batch = model_batch(model)
    batch = batch._replace(images=batch.images.repeat(1, 1, 2, 2)[:, :, :48, :48])
    with torch.no_grad():
        ours, theirs = model(batch)._asdict(), again(batch)._asdict()
    for name, value in ours.items():
        if isinstance(value, torch.Tensor):
            assert value.equal(theirs[name]), name
        else:
            assert value == theirs[name], name


def test_a_description_holds_no_name_of_somewhere_else():
    with torch.device("meta"):
        model = build_model({"config": "ViT-B-32"})
    assert model.description["tower"]["config"]["vision_cfg"]["width"] == 768
    assert model.description["region_head"] is model.description["box_head"] is None


def test_an_older_description_without_mean_and_std_has_clips():
    model = make_model()
    older = {**model.description, "tower": {"config": model.description["tower"]["config"]}}
    assert build_model(**older).tower.mean.equal(model.tower.mean)


@pytest.mark.parametrize(
    "given", [[], [1, 2], [0, 0, 256], [0.5, 0.5, 0.5], "red", 255, [True] * 3]
)
def test_a_background_that_is_no_colour_is_named(given):
    with pytest.raises(UserError, match=r"^model\.tower\.background=.* is no colour; give red"):
        build_model({**TOWER, "background": given})
    assert build_model(TOWER).tower.background == (255, 255, 255)


def test_which_head_is_built():
    model = make_model()
    assert isinstance(model.region_head, Prompter)
    assert model.region_head.adapt is not None  # a box head asks for phrases
    assert make_model(region_head=PROMPTER).region_head.adapt is None
    roi = make_model(region_head={"kind": "roi_align", "samples": 2})
    assert isinstance(roi.region_head, RoIAlign)
    assert roi.region_head.samples == 2
    assert make_model(
        region_head=PROMPTER, region_scale={"initial": 5.0}
    ).region_scale().item() == (pytest.approx(5))
    assert make_model(region_head=None, region_scale={}).region_scale is None


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"region_head": {"kind": "attention"}}, r"kind='attention'; choose prompter or roi_align"),
        ({"region_head": {}}, r"region_head\.kind=None; choose"),
        ({"box_head": {}}, r"box head reads the prompter: set model\.region_head\.kind=prompter"),
        ({"region_head": {"kind": "roi_align"}, "box_head": {}}, r"a box head reads the prompter"),
        ({"region_head": {**PROMPTER, "heads": 4}}, r"model\.region_head: .*'heads'; .*num_heads"),
        (
            {"region_head": PROMPTER, "box_head": {"width": 4}},
            r"model\.box_head: .*'width'; .*form",
        ),
        (
            {"region_head": PROMPTER, "region_scale": {"start": 1}},
            r"region_scale: .*'start'; .*max",
        ),
        ({"region_scale": {"initial": 5.0}}, r"region_scale scales a region head; set model"),
        ({"tower": {**TOWER, "size": 64}}, r"model\.tower: .*'size'; .* image_size"),
        ({"tower": {}}, r"give model\.tower\.config for random weights or start="),
    ],
)
def test_what_is_wrong_is_named_in_one_line(parts, reason):
    with torch.device("meta"), pytest.raises(UserError, match=reason) as error:
        build_model(**{"tower": TOWER, **parts})
    assert "\n" not in str(error.value)
