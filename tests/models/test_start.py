"""The kinds of starts; each has its own file of tests in starts/."""

import json
import math

import pytest
import timm
import torch
from safetensors.torch import save_file

from cloc.errors import UserError
from cloc.models.build import build_model
from cloc.models.start import Start, read_start
from cloc.models.starts import hf
from cloc.models.tower_build import make_tower
from cloc.training.optim import cap_scales, parameter_groups
from tests.helpers.checkpoints import save_run
from tests.helpers.hf import TINY_SIGLIP, make_clip, make_siglip, write_tokenizer
from tests.helpers.models import CLOC_PARTS, NATIVE, PROMPTER, make_model, model_batch

WARM = math.log(112.3)  # SigLIP SO400M's own


@pytest.mark.parametrize("start", ["ViT-B-16", "openclip:x", "hf:", "pickle:x"])
def test_an_unknown_start_says_what_there_is(start):
    with pytest.raises(UserError, match=rf"start='{start}'; write open_clip:NAME/TAG, .*timm:NAME"):
        make_tower(start=start)


def open_clip_start(folder, config):
    clip = make_tower(config).clip
    clip.logit_scale.data.fill_(WARM)
    save_file(clip.state_dict(), folder / "open_clip_model.safetensors")
    text = {"model_cfg": config, "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(text))
    return f"open_clip:{folder}"


def hf_start(folder, model):
    model.logit_scale.data.fill_(WARM)
    model.save_pretrained(folder)
    return f"hf:{folder}"


def hf_siglip(folder):
    write_tokenizer(folder)
    return hf_start(folder, make_siglip(text={"vocab_size": 400}))


def timm_start(folder):
    torch.manual_seed(0)
    save_file(timm.create_model("test_vit").state_dict(), folder / "trunk.safetensors")
    return f"timm:test_vit,{folder}/trunk.safetensors"


def run_start(folder):
    model = make_model(**CLOC_PARTS)
    model.tower.clip.logit_scale.data.fill_(WARM)
    save_run(folder, model)
    return f"run:{folder}"


STARTS = {
    "open_clip": lambda folder: open_clip_start(folder, NATIVE),
    "open_clip SigLIP": lambda folder: open_clip_start(folder, TINY_SIGLIP),
    "hf CLIP": lambda folder: hf_start(folder, make_clip()),
    "hf SigLIP": hf_siglip,
    "timm": timm_start,
    "run": run_start,
}


@pytest.mark.parametrize("kind", STARTS)
def test_a_start_is_bit_unchanged_by_being_looked_at_and_capped_only_while_trained(tmp_path, kind):
    start = STARTS[kind](tmp_path)
    model = build_model({"start": start}, region_head=PROMPTER, region_scale={}, box_head={})
    raw = model.tower.clip.logit_scale
    own = raw.item()
    assert own == pytest.approx(math.log(1 / 0.07) if kind == "timm" else WARM)
    batch = model_batch(model)._replace(images=pixels(model.tower.image_size))
    before = {name: value.clone() for name, value in model.state_dict().items()}

    def unchanged():
        return all(before[name].equal(value) for name, value in model.state_dict().items())

    for look in (model.eval, model.train):  # in training too, before the first step
        look()
        model(batch)
        assert unchanged()
    model.tower.requires_grad_(False)
    step(model, batch)
    for name, value in model.tower.state_dict().items():
        assert before[f"tower.{name}"].equal(value), name
    model.tower.requires_grad_(True)
    raw.data.fill_(5.0)
    step(model, batch)
    cap = own if kind != "timm" else math.log(100)
    expected = 5.0 if "SigLIP" in kind else cap
    assert raw.item() == pytest.approx(expected, abs=1e-6)


def pixels(size):
    return torch.randint(0, 256, (3, 3, size, size), dtype=torch.uint8)


def step(model, batch):
    """Of the optimizer of a run, with a rate of 0: what changes is the cap alone."""
    optimizer = torch.optim.SGD(parameter_groups(model), lr=0.0)
    cap_scales(optimizer, model)
    out = model(batch)
    (out.region.sum() + out.predicted_boxes.sum() + out.scale).backward()
    optimizer.step()


def test_weights_that_are_not_finite_are_no_start(monkeypatch):
    state = {"whole": torch.ones(2), "logit_scale": torch.tensor(torch.inf)}
    monkeypatch.setattr(hf, "read", lambda where: Start({}, state, None, None, None))
    with pytest.raises(UserError, match=r"^start=hf:x: logit_scale is not finite; take another"):
        read_start("hf:x")
