"""ONNX graphs: image encoder, text encoder, region head and grounder, compared by onnxruntime."""

import importlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from cloc.errors import UserError
from cloc.export.graphs.compare import write_graph_parity
from cloc.export.graphs.trace import Part, described, described_model, graph_parts, trace
from cloc.export.graphs.usage import FILE, usage, write_graph_tokenizer
from cloc.export.parity import Probe, embeddings, run_usage

OPSET = 20
EXTERNAL_ABOVE = 1_500_000_000  # bytes of weights; a file of ONNX ends at 2 GiB, graph included


class ONNX:
    """`image_encoder.onnx`: `pixels` uint8 [batch, 3, height, width] -> `image` [batch, dim], unit
    length, and `tokens` [batch, rows, columns, width]; `text_encoder.onnx`: `tokens` int64
    [texts, context] -> `text` [texts, dim], unit length; `prompter.onnx` of a region head: `tokens`
    and `boxes` [batch, boxes, 4] in [0, 1] -> `region` [batch, boxes, dim], unit length;
    `grounder.onnx` of a box head: `tokens` and `text` [batch, phrases, dim] -> `box`
    [batch, phrases, 4]. Every axis that has a name here is free; `onnx_config.json` says whether
    height and width are, and what else a caller must know.

    Pixels are whole numbers, as decoders give them: mean and std are in the graph and cannot be
    forgotten or applied twice. The weights of a graph above 1.5 GB go into a file beside it. They
    are stored in `precision`, but for small ones, which torch's exporter has made float32 by then.
    """

    library = "onnxruntime"
    loads_back = False

    def __init__(self, *, precision: str = "float32") -> None:
        self.precision = precision
        self.usage = _usage({"text", "region"})  # what the last export is called with

    def export(self, model: Any, folder: Path, probe: Probe) -> None:
        """Fills the empty `folder`, then loads it through onnxruntime and compares every output."""
        runtime = _packages()
        parts = graph_parts(model)
        config = {"opset": OPSET, **described_model(model, parts), "graphs": {}}
        config["weights"] = self.precision
        config["tokenizer"] = write_graph_tokenizer(model, folder)
        for part in parts:
            program = trace(part, precision=self.precision)
            shapes = described(part, program)
            _write(part, program, shapes, folder / f"{part.name}.onnx")
            config["graphs"][f"{part.name}.onnx"] = shapes
        (folder / "onnx_config.json").write_text(json.dumps(config, indent=2) + "\n")

        @cache
        def session(name: str) -> Any:
            path = folder / f"{name}.onnx"
            return runtime.InferenceSession(path, providers=["CPUExecutionProvider"])

        def run(name: str, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            names = [given.name for given in session(name).get_inputs()]
            fed = {k: x.numpy() for k, x in zip(names, inputs, strict=True)}
            return tuple(map(torch.from_numpy, session(name).run(None, fed)))

        found = {"text"} if config["tokenizer"] == FILE else set()
        self.usage = _usage(found | ({"region"} if model.region_head is not None else set()))
        write_graph_parity(
            folder,
            model,
            probe,
            run=run,
            eager={part.name: part.module for part in parts},
            loader=f"onnxruntime {runtime.__version__}",
            documented=embeddings(run_usage(self.usage, folder, probe)),
        )


def _usage(parts: set[str]) -> str:
    return usage(
        "import onnxruntime",
        "onnx_config.json",
        images="""\
image_encoder = onnxruntime.InferenceSession("FOLDER/image_encoder.onnx")
image, tokens = image_encoder.run(["image", "tokens"], {"pixels": pixels})
""",
        texts="""\
text_encoder = onnxruntime.InferenceSession("FOLDER/text_encoder.onnx")
[text] = text_encoder.run(["text"], {"tokens": ids})
print(image @ text.T)  # of unit vectors
""",
        regions="""\
prompter = onnxruntime.InferenceSession("FOLDER/prompter.onnx")
[regions] = prompter.run(["region"], {"tokens": tokens, "boxes": boxes})
print(regions.shape)
""",
        parts=parts,
    )


def _packages() -> Any:
    """onnxruntime; torch needs the other two to write what it loads."""
    try:
        for name in ("onnx", "onnxscript"):
            importlib.import_module(name)
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise UserError(
            f"format=onnx needs {error.name}; pip install 'cloc-pretrain[onnx]'"
        ) from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Its optimizer remarks on every operator that it leaves alone."""
    log = logging.getLogger("onnxscript")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def _write(part: Part, program: ExportedProgram, shapes: dict[str, Any], path: Path) -> None:
    weights = sum(x.numel() * x.element_size() for x in program.state_dict.values())
    try:
        with _quiet():
            graph = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=OPSET,
                input_names=list(part.inputs),
                output_names=list(part.outputs),
                verbose=False,
            )
    except Exception as error:  # torch raises what it likes here, its own kinds among them
        line = " ".join(str(error).split())[:300]
        raise UserError(f"ONNX cannot hold the {part.name} of this model: {line}") from error
    assert graph is not None
    values = {"inputs": graph.model.graph.inputs, "outputs": graph.model.graph.outputs}
    for kind, found in values.items():
        for value, named in zip(found, shapes[kind].values(), strict=True):
            assert value.shape is not None
            for axis, size in enumerate(named):  # torch's own names are of the kind of s77
                value.shape[axis] = size
    graph.save(path, external_data=weights > EXTERNAL_ABOVE)
