"""`torch.export` programs: image encoder, text encoder, region head and grounder."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cloc.export.graphs.compare import write_graph_parity
from cloc.export.graphs.trace import described, described_model, graph_parts, trace
from cloc.export.graphs.usage import FILE, usage, write_graph_tokenizer
from cloc.export.parity import Probe, embeddings, run_usage


class TorchExport:
    """`torch.export.load("FOLDER/image_encoder.pt2").module()` and so on: the graphs, names and
    axes of `formats.onnx`, each called with its inputs in order, on a CPU. Without our code or
    open_clip's. `torch_export_config.json` says what a caller must know."""

    library = "pytorch"
    loads_back = False

    def __init__(self, *, precision: str = "float32") -> None:
        self.precision = precision
        self.usage = _usage({"text", "region"})  # what the last export is called with

    def export(self, model: Any, folder: Path, probe: Probe) -> None:
        """Fills the empty `folder`, then loads it through torch and compares every output."""
        parts = graph_parts(model)
        config = {"torch": torch.__version__, **described_model(model, parts), "graphs": {}}
        config["weights"] = self.precision
        config["tokenizer"] = write_graph_tokenizer(model, folder)
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

        found = {"text"} if config["tokenizer"] == FILE else set()
        self.usage = _usage(found | ({"region"} if model.region_head is not None else set()))
        write_graph_parity(
            folder,
            model,
            probe,
            run=run,
            eager={part.name: part.module for part in parts},
            loader=f"torch {torch.__version__}",
            documented=embeddings(run_usage(self.usage, folder, probe)),
        )


def _usage(parts: set[str]) -> str:
    return usage(
        "import torch",
        "torch_export_config.json",
        images="""\
image_encoder = torch.export.load("FOLDER/image_encoder.pt2").module()
image, tokens = image_encoder(torch.from_numpy(pixels))
""",
        texts="""\
text_encoder = torch.export.load("FOLDER/text_encoder.pt2").module()
text = text_encoder(torch.from_numpy(ids))
print(image @ text.T)  # of unit vectors
""",
        regions="""\
prompter = torch.export.load("FOLDER/prompter.pt2").module()
regions = prompter(tokens, torch.from_numpy(boxes))
print(regions.shape)
""",
        parts=parts,
    )
