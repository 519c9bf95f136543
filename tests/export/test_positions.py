"""Exports of towers with other encodings of position: held, or refused with the reason."""

import copy

import pytest
import torch

from cloc.errors import UserError
from cloc.export.formats.hf import HF
from cloc.export.formats.onnx import ONNX
from cloc.export.formats.open_clip import OpenCLIP
from cloc.export.formats.timm import Timm
from cloc.export.formats.torch_export import TorchExport
from cloc.export.weights import round_weights
from cloc.models.build import build_model
from cloc.models.load import load_model
from cloc.models.start import Start
from tests.helpers.models import NATIVE, TEXT, VISION, random_pixels
from tests.helpers.probe import probe_of
from tests.helpers.tracing import without_type_checks

SMALL = {**NATIVE, "vision_cfg": {**VISION, "layers": 1}, "text_cfg": {**TEXT, "layers": 1}}
HEAD = {"kind": "prompter", "pool": "prompt", "num_heads": 2}


def model_with(positions, *, head=None):
    torch.manual_seed(0)
    model = build_model({"config": SMALL, "positions": positions}, region_head=head)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    return model.eval()


@pytest.mark.parametrize("kind", ["sincos", "none"])
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_a_fixed_table_is_a_weight_of_other_libraries_and_comes_back_fixed(
    tmp_path, kind, precision
):
    """Also the one of a run that was opened at another image size, which resampled it."""
    model = model_with({"absolute": {"kind": kind}}, head=HEAD)
    state, described = model.tower.clip.state_dict(), model.tower.positions.described()
    start = Start(SMALL, state, None, None, None, positions=described)
    model = build_model({"start": start, "image_size": 48}, region_head=HEAD).eval()
    for number, exporter in enumerate((OpenCLIP(precision=precision), HF(precision=precision))):
        folder = tmp_path / str(number)
        folder.mkdir()
        rounded = copy.deepcopy(model)
        round_weights(rounded, precision)
        exporter.export(rounded, folder, probe_of(rounded))
        again = load_model(folder)
        assert again.tower.positions.kind == kind
        assert not [name for name, _ in again.named_parameters() if "visual.positional" in name]
        pixels = random_pixels(0, 2, size=(48, 32))
        near = {"rtol": 0, "atol": 1e-5 if precision == "float32" else 1e-2}
        torch.testing.assert_close(
            again.tower.images(pixels).pooled, model.tower.images(pixels).pooled, **near
        )


@pytest.mark.parametrize("positions", [{"relative": "irpe"}, {"rotary": "axial"}])
@pytest.mark.parametrize("exporter", [OpenCLIP(), HF(), Timm()])
def test_what_another_library_has_not_is_refused_with_the_reason(tmp_path, positions, exporter):
    model = model_with(positions)
    with pytest.raises(UserError, match=r"has no (relative|rotary) positions in a CLIP, .*onnx"):
        exporter.export(model, tmp_path, probe_of(model))


EVERY = [
    *({"relative": {"kind": kind}} for kind in ("shaw", "swin", "swin_v2")),
    *({"relative": {"kind": "irpe", "on": on}} for on in ("k", "qkv")),
    *({"rotary": {"kind": kind}} for kind in ("flattened", "axial", "mixed", "dinov3", "mrope")),
    {"absolute": {"kind": "none"}, "relative": "irpe", "rotary": "mixed"},
]


def rare(positions):
    return pytest.param(positions, marks=pytest.mark.rare)


@pytest.mark.slow
@pytest.mark.parametrize(
    "positions",
    [*map(rare, EVERY[:-1]), EVERY[-1]],
    ids=lambda p: "+".join(map(str, p.values())),
)
def test_traced_graphs_have_them(tmp_path, positions):
    """Compared with the model by the exporter itself, at another size that is not square too."""
    model = model_with(positions)
    with without_type_checks():
        TorchExport().export(model, tmp_path, probe_of(model))


@pytest.mark.slow
@pytest.mark.parametrize(
    "positions",
    [*map(rare, EVERY[:-1]), EVERY[-1]],
    ids=lambda p: "+".join(map(str, p.values())),
)
def test_onnx_has_them(tmp_path, positions):
    model = model_with(positions)
    with without_type_checks():
        ONNX().export(model, tmp_path, probe_of(model))
