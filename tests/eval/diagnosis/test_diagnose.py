"""The whole document: of known towers known figures, and of what has none the reason."""

import json
import re

import pytest
import torch

from cloc.errors import UserError
from cloc.eval.diagnosis import diagnose as module
from cloc.eval.diagnosis.attention import uniform_distance
from cloc.eval.diagnosis.diagnose import diagnose, order_error
from cloc.eval.diagnosis.towers import Patches, opened
from cloc.eval.encoders.encoder import of_model
from cloc.models.build import build_model
from tests.helpers.models import CONVOLUTIONAL, NATIVE, random_pixels

CPU = torch.device("cpu")
SHAPE = (6, 4)  # of tokens: places, width


def view_of(config=NATIVE, positions=None, change=lambda visual: None):
    torch.manual_seed(0)
    model = build_model({"config": config, "positions": positions}).eval()
    with torch.no_grad():
        change(model.tower.clip.visual)
    return opened(of_model(model, "x", device=CPU)), model.tower.image_size


def of(view, size=32, batches=2, each=4):
    return diagnose(view, [random_pixels(i, each, size) for i in range(batches)])


def patches(make):
    return Patches(lambda x: (make(x), (2, 3)), "why not")


def random(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_of_the_native_tower_every_figure_is_there_and_json_can_hold_it():
    view, _ = view_of()
    found = of(view)
    assert (found["pictures"], found["absent"]) == (8, {})
    assert found["turned_off"] == ["positional_embedding"]
    assert found["uniform_distance"] == uniform_distance((4, 4))
    assert [layer["name"] for layer in found["layers"]] == ["in", "1", "2", "norm"]
    for layer in found["layers"]:
        assert (layer["grid"], layer["width"]) == ([4, 4], 32)
        assert layer["norms"]["tokens"] == 8 * 16
        assert layer["prefix_norms"]["tokens"] == 8
        assert 0 < layer["cka"] < 1
        assert layer["place"]["place"] > layer["place_without_positions"]
        assert (layer["attention"] is not None) == (layer["name"] in "12")
    table = view.tower.positional_embedding.detach()[1:].norm(dim=1)
    seen = found["input"]
    assert seen["position_norms"]["mean"] == pytest.approx(float(table.mean()), rel=1e-4)
    ratio = seen["position_norms"]["mean"] / seen["content_norms"]["mean"]
    assert seen["position_over_content"] == pytest.approx(ratio)
    json.dumps(found, allow_nan=False)


def test_a_tower_that_sees_no_pixels_is_all_place_and_one_without_positions_none():
    deaf, _ = view_of(change=lambda visual: visual.conv1.weight.zero_())
    found = of(deaf)["layers"][0]
    assert found["place"]["place"] == pytest.approx(1)
    assert found["cka"] is None  # without positions nothing varies

    lost, _ = view_of(positions={"absolute": "none"})
    found = of(lost, batches=16)["layers"][0]
    assert abs(found["place"]["place"]) < 0.02
    assert found["place"]["place"] == pytest.approx(found["place_without_positions"])
    assert found["cka"] == pytest.approx(1)


def test_attention_that_sees_all_alike_is_uniform():
    def blind(visual):
        for block in visual.transformer.resblocks:
            block.attn.in_proj_weight[:64] = 0
            block.attn.in_proj_bias[:64] = 0

    view, _ = view_of(change=blind)
    for layer in of(view)["layers"][1:3]:
        assert layer["attention"]["entropy"]["low"] == pytest.approx(1)
        assert layer["attention"]["distance"]["high"] == pytest.approx(uniform_distance((4, 4)))
        assert layer["attention"]["on_prefix"]["mean"] == pytest.approx(1 / 17)


def test_figures_do_not_depend_on_the_size_of_batches():
    view, _ = view_of()
    x = random_pixels(0, 6)
    whole, parts = diagnose(view, [x]), diagnose(view, x.split([1, 2, 3]))
    for one, other in zip(whole["layers"], parts["layers"], strict=True):
        assert one["cka"] == pytest.approx(other["cka"], abs=1e-6)
        assert one["place"]["place"] == pytest.approx(other["place"]["place"], abs=1e-6)
        assert one["norms"]["mean"] == pytest.approx(other["norms"]["mean"])


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("convnext", "no encoding of position is known in this tower, to be turned off"),
        ("resnet", "no encoding of position is known"),  # its table is of the pooler
        ("swin", r"layers\.0\.blocks\.0\.attn\.relative_position_bias_table, 11 more off, tokens"),
    ],
)
def test_of_convolutions_and_windows_norms_and_places_are_measured_and_the_rest_is_told(name, why):
    view, size = view_of(CONVOLUTIONAL[name])
    found = of(view, size, batches=1)
    assert set(found["absent"]) == {"cka", "attention", "input"}
    assert re.search(why, found["absent"]["cka"])
    assert found["turned_off"] == []
    for layer in found["layers"]:
        assert layer["norms"]["mean"] > 0
        assert layer["place"] is not None
        assert (layer["cka"], layer["place_without_positions"], layer["attention"]) == (None,) * 3


def test_an_encoding_that_is_not_known_by_name_is_found_out():
    def hidden(visual):
        places = random(0, 16, 32)
        visual.conv1.register_forward_hook(lambda m, a, out: out + places.T.reshape(32, 4, 4))

    view, _ = view_of(change=hidden)
    with view.unpositioned():
        assert order_error(view, random_pixels(0, 1)) > 0.1
    assert "tokens still do not follow their patches" in of(view)["absent"]["cka"]


def test_an_encoder_that_shows_its_patches_alone():
    view = patches(lambda x: random(int(x.sum()), len(x), *SHAPE))
    found = of(view, batches=3)
    [layer] = found["layers"]
    assert layer["name"] == "patches"
    assert abs(layer["place"]["place"]) < 0.2
    assert found["absent"] == dict.fromkeys(("cka", "attention", "input"), "why not")


def test_tokens_that_do_not_vary_are_told():
    found = of(patches(lambda x: torch.ones(len(x), *SHAPE)))
    assert found["layers"][0]["place"] is None
    assert found["absent"]["place"].startswith("tokens do not vary")


def test_what_grids_and_pictures_are_refused():
    sizes = iter([(2, 3), (3, 2)])
    turning = Patches(lambda x: (random(0, len(x), *SHAPE), next(sizes)), "")
    with pytest.raises(UserError, match=r"^tokens of layer patches have the grid and width "):
        of(turning)
    with pytest.raises(UserError, match=r"^no pictures to diagnose on; give data="):
        diagnose(turning, [])
    with pytest.raises(UserError, match=r"^images=1: give 2 pictures or more$"):
        of(view_of()[0], batches=1, each=1)


def test_memory_holds_sums_and_no_tokens(monkeypatch):
    """Of three batches what is kept is as large as of one."""
    kept = []
    figures = module.Figures

    class Kept(figures):
        def __init__(self):
            super().__init__()
            kept.append(self)

    monkeypatch.setattr(module, "Figures", Kept)
    view, _ = view_of()
    of(view, batches=1)
    of(view, batches=3)
    one, three = (sum(map(len, map(flat, (f.norms, f.place, f.cka)))) for f in kept)
    assert one == three


def flat(sums):
    """Every number that the sums of a kind hold."""
    return [
        x
        for one in sums.values()
        for value in vars(one).values()
        for part in (value if isinstance(value, list | tuple) else [value])
        if isinstance(part, torch.Tensor)
        for x in part.flatten().tolist()
    ]
