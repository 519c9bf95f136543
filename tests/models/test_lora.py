"""LoRA through peft: no change at first, few trained weights, merged exactly."""

import pytest
import torch

from cloc.errors import UserError
from cloc.models.build import build_model
from cloc.models.load import load_model
from cloc.models.lora import add_lora, merge_lora
from tests.helpers.checkpoints import save_run
from tests.helpers.models import AVERAGE, CLOC_PARTS, NATIVE, make_model, model_batch, random_pixels

CASES = {
    "native": (NATIVE, ["visual.transformer.resblocks.*.attn", "mlp.c_fc", "mlp.c_proj"]),
    "timm": (AVERAGE, ["attn.qkv", "attn.proj", "mlp.fc1"]),
}


def adapted(kind):
    config, targets = CASES[kind]
    model = make_model(config)
    add_lora(model, rank=2, alpha=4, targets=targets)
    return model


def disturb(model):
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)


@pytest.mark.parametrize("kind", CASES)
def test_it_begins_as_no_change_at_all_and_trains_its_matrices_and_the_heads_alone(kind):
    plain, model = make_model(CASES[kind][0]), adapted(kind)
    pixels = random_pixels(0, 2)
    assert model.tower.images(pixels).pooled.equal(plain.tower.images(pixels).pooled)
    for name, parameter in model.named_parameters():
        inside = name.startswith("tower.")
        assert parameter.requires_grad is (not inside or "lora_" in name), name
    (model.train()(model_batch(model)).image ** 3).sum().backward()
    updates = {n: p.grad for n, p in model.named_parameters() if "lora_B" in n}
    assert updates
    seen = [name for name in updates if ".visual." in name]
    assert all(updates[name].abs().sum() > 0 for name in seen)


@pytest.mark.parametrize("kind", CASES)
def test_merged_it_is_the_same_model_under_the_names_without_lora(kind):
    model = adapted(kind)
    disturb(model)
    pixels = random_pixels(0, 2)
    expected = model.tower.images(pixels).pooled.detach()
    plain = make_model(CASES[kind][0])
    assert not expected.allclose(plain.tower.images(pixels).pooled)
    merge_lora(model)
    assert set(model.state_dict()) == set(plain.state_dict())
    torch.testing.assert_close(model.tower.images(pixels).pooled, expected)
    assert "lora" not in model.description
    merge_lora(model)  # once is enough


def test_a_run_with_lora_is_built_from_its_description_and_loaded_merged(tmp_path):
    model = adapted("native")
    disturb(model)
    save_run(tmp_path, model, step=1)
    again = build_model(**model.description)
    assert set(again.state_dict()) == set(model.state_dict())
    loaded = load_model(tmp_path).eval()
    assert set(loaded.state_dict()) == set(make_model().state_dict())
    pixels = random_pixels(0, 2)
    torch.testing.assert_close(
        loaded.tower.images(pixels).pooled, model.tower.images(pixels).pooled
    )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"rank": 0, "alpha": 1, "targets": ["attn"]}, r"lora\.rank=0, .*at least 1"),
        ({"rank": 2, "alpha": 1, "targets": []}, r"lora\.targets=\[\]: at least 1, and one name"),
        ({"rank": 2, "alpha": 1, "targets": ["qkv"]}, r"targets=\['qkv'\]: .*modules of this tow"),
        ({"rank": 2, "targets": ["attn"]}, r"lora: missing a required argument: 'alpha'"),
    ],
)
def test_what_is_wrong_is_named(options, says):
    with pytest.raises(UserError, match=says):
        build_model({"config": NATIVE}, **CLOC_PARTS, lora=options)
