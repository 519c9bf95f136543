"""Every block of docs/using.md, run as it stands: by its exporter, or here."""

import re
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from cloc.export.formats.hf import HF
from cloc.export.formats.onnx import ONNX
from cloc.export.formats.open_clip import OpenCLIP
from cloc.export.formats.timm import Timm
from cloc.export.formats.torch_export import TorchExport
from tests.helpers.models import make_model
from tests.helpers.probe import probe_of
from tests.helpers.tracing import without_type_checks
from tests.helpers.warm import Forked

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/using.md").read_text()
BLOCKS = dict(re.findall(r"^## (.+?)\n.*?^```python\n(.*?)^```", PAGE, re.M | re.S))
FORMATS = {
    **{"open_clip": OpenCLIP, "hf": HF, "timm": Timm, "onnx": ONNX},
    "torch_export": TorchExport,
}


def test_every_block_is_found():
    assert list(BLOCKS) == [
        *("open_clip", "transformers", "timm", "ONNX", "torch.export"),
        *("A LLaVA-style model", "cloc"),
    ]
    assert PAGE.count("```python") == len(BLOCKS)


def test_the_blocks_are_the_code_that_exports_are_measured_by():
    """They ran then; and that model cards show."""
    shown = zip(BLOCKS.values(), FORMATS.items(), strict=False)
    for block, (name, exporter) in shown:
        assert block == exporter().usage.replace("FOLDER", f"exports/{name}")


@pytest.mark.slow
def test_the_blocks_that_no_export_runs_run(tmp_path):
    model = make_model()
    for name in ("open_clip", "hf"):
        (tmp_path / "exports" / name).mkdir(parents=True)
        with without_type_checks():
            FORMATS[name]().export(model, tmp_path / "exports" / name, probe_of(model))
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    PIL.Image.fromarray(pixels).save(tmp_path / "photo.jpg")
    for block in list(BLOCKS.values())[len(FORMATS) :]:
        (tmp_path / "block.py").write_text(block)
        out, err = tmp_path / "out", tmp_path / "err"
        process = Forked([tmp_path / "block.py"], cwd=tmp_path, out=out, err=err)
        assert process.wait(300) == 0, err.read_text()
        assert out.read_text().strip()
        out.unlink()
