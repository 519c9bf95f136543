"""`torch.export` programs: image encoder, text encoder, region head and grounder."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cloc.graph_parity import write_graph_parity
from cloc.graph_parts import described, described_model, graph_parts, trace
from cloc.parity import Probe


class TorchExport:
    """`torch.export.load("FOLDER/image_encoder.pt2").module()` and so on: the graphs, names and
    axes of `cloc.export.onnx`, each called with its inputs in order, on a CPU. Without our code or
    open_clip's. `torch_export_config.json` says what a caller must know."""

    library = "pytorch"
    loads_back = False
    usage = """\
import json

import torch

with open("FOLDER/torch_export_config.json") as file:
    height, width = json.load(file)["image_size"]
image_encoder = torch.export.load("FOLDER/image_encoder.pt2").module()
image, tokens = image_encoder(torch.zeros(1, 3, height, width, dtype=torch.uint8))  # RGB
"""

    def __init__(self, *, precision: str = "float32") -> None:
        self.precision = precision

    def export(self, model: Any, folder: Path, probe: Probe) -> None:
        """Fills the empty `folder`, then loads it through torch and compares every output."""
        parts = graph_parts(model)
        config = {"torch": torch.__version__, **described_model(model, parts), "graphs": {}}
        config["weights"] = self.precision
        for part in parts:
            program = trace(part, precision=self.precision)
            torch.export.save(program, folder / f"{part.name}.pt2")
            config["graphs"][f"{part.name}.pt2"] = described(part, program)
        (folder / "torch_export_config.json").write_text(json.dumps(config, indent=2) + "\n")

        @cache
        def loaded(name: str) -> Any:
            return torch.export.load(folder / f"{name}.pt2").module()

        def run(name: str, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            found = loaded(name)(*inputs)
            return found if isinstance(found, tuple) else (found,)

        write_graph_parity(
            folder,
            model,
            probe,
            run=run,
            eager={part.name: part.module for part in parts},
            loader=f"torch {torch.__version__}",
        )
