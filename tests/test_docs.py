"""Every block of docs/using.md, run as it stands."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from cloc.export.hf import HF
from cloc.export.onnx import ONNX
from cloc.export.open_clip import OpenCLIP
from cloc.export.timm import Timm
from cloc.export.torch_export import TorchExport
from tests.helpers.models import make_model
from tests.helpers.probe import probe_of
from tests.helpers.tracing import without_type_checks

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
    """And that their model cards show."""
    shown = zip(BLOCKS.values(), FORMATS.items(), strict=False)
    for block, (name, exporter) in shown:
        assert block == exporter().usage.replace("FOLDER", f"exports/{name}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("using")
    model = make_model()
    for name, exporter in FORMATS.items():
        (folder / "exports" / name).mkdir(parents=True)
        with without_type_checks():
            exporter().export(model, folder / "exports" / name, probe_of(model))
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    PIL.Image.fromarray(pixels).save(folder / "photo.jpg")
    return folder


RUNNER = """
import json, sys
for title, code in json.loads(sys.stdin.read()).items():
    print("##", title, flush=True)
    exec(compile(code, title, "exec"), {"__name__": title})
"""


@pytest.mark.slow
def test_every_block_runs(folder):
    """Each with names of its own; in one process, because the libraries take long to import."""
    done = subprocess.run(
        [sys.executable, "-c", RUNNER],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
        input=json.dumps(BLOCKS),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    parts = re.split(r"^## (.+)\n", done.stdout, flags=re.M)
    assert parts[1::2] == list(BLOCKS)
    assert all(said.strip() for said in parts[2::2])
