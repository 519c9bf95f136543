"""The graphs that a model is cut into for runtimes without its code, as `torch.export` programs.

What `formats.onnx` and `formats.torch_export` share: the parts, their names and free axes,
and how they are traced. `graphs.parity` compares them with the model.
"""

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
import torch.fx.experimental._config as tracing
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from cloc.errors import UserError
from cloc.export.weights import PRECISIONS
from cloc.frame import height_and_width

Axes = Mapping[str, Mapping[int, str]]  # of tensors by name: which axes are free, and their names
# what the graphs are traced with: sizes that differ from each other, so that none is taken for
# another, and from what they are compared on
BATCH, BOXES, PHRASES = 5, 7, 6


class Part(NamedTuple):
    """One graph: what stands in its file, and the names by which it is called."""

    name: str  # of the file, without suffix
    module: nn.Module
    example: tuple[Tensor, ...]  # to trace it with
    inputs: Axes  # in the order of the call
    outputs: Axes  # in the order of what it returns


class ImageEncoder(nn.Module):
    """Pixels to the pooled unit vector, and to the un-pooled tokens in their grid, as the region
    head reads them: of several layers they are as wide as all of these."""

    def __init__(self, tower: Any) -> None:
        super().__init__()
        self.visual = tower.clip.visual
        self.step: int = tower.step
        whole = not any(side % self.step for side in height_and_width(tower.image_size))
        self.free = whole and _takes_another_size(tower, self.step)
        # bound methods: of the tower, the graph has the vision tower's weights and no others
        self._images, self._grid_at = tower.images, tower.grid_at

    def forward(
        self, pixels: UInt8[Tensor, "b 3 h w"]
    ) -> tuple[Float[Tensor, "b d"], Float[Tensor, "b rows columns width"]]:
        """At another size than the tower's own where `free`, in multiples of `step`: not of a tower
        whose last patches are partly padding, whose sides are no multiples."""
        seen = self._images(pixels)
        return seen.pooled, seen.read.unflatten(1, self._grid_at(pixels))


def _takes_another_size(tower: Any, step: int) -> bool:
    height, width = height_and_width(tower.image_size)
    larger = torch.zeros(1, 3, height + step, width + 2 * step, dtype=torch.uint8)
    try:
        tower.grid_at(larger)
    except UserError:  # which names the tower and why
        return False
    return True


class TextEncoder(nn.Module):
    """Token ids at the full context to unit vectors."""

    def __init__(self, tower: Any) -> None:
        super().__init__()
        self.clip = tower.clip
        self._texts = tower.texts

    def forward(self, tokens: Int[Tensor, "n t"]) -> Float[Tensor, "n d"]:
        return self._texts(tokens)


class Regions(nn.Module):
    """Boxes to unit vectors, through the region head."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.region_head = model.region_head

    def forward(
        self, tokens: Float[Tensor, "b rows columns width"], boxes: Float[Tensor, "b r 4"]
    ) -> Float[Tensor, "b r d"]:
        grid = (tokens.shape[1], tokens.shape[2])
        region, _ = self.region_head(tokens.flatten(1, 2), boxes, None, grid=grid)
        return F.normalize(region, dim=-1)


class Grounder(nn.Module):
    """Text embeddings to one box each, through the region head and the box head."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.region_head, self.box_head = model.region_head, model.box_head

    def forward(
        self, tokens: Float[Tensor, "b rows columns width"], text: Float[Tensor, "b g d"]
    ) -> Float[Tensor, "b g 4"]:
        grid = (tokens.shape[1], tokens.shape[2])
        _, grounded = self.region_head(tokens.flatten(1, 2), None, text, grid=grid)
        return self.box_head(grounded)


def graph_parts(model: Any) -> list[Part]:
    """`image_encoder` and `text_encoder`; `prompter` of a region head; `grounder` of a box head.

    The parts are copies in float32, in evaluation mode, on the CPU. Tokens go from part to part in
    their grid, [batch, rows, columns, width], so that a region head knows where each one lies.
    """
    model = copy.deepcopy(model).cpu().float().eval().requires_grad_(False)
    tower = model.tower
    image = ImageEncoder(tower)
    embed = getattr(getattr(tower.clip.visual, "trunk", None), "patch_embed", None)
    if image.free and embed is not None:
        embed.img_size = None  # timm asks for this very size otherwise
    tower.clip.visual = None  # `image` has it; no weight stands in two files
    more = (image.free * 1, image.free * 3)  # patches of the example beyond the tower's own
    rows, columns = (n + extra for n, extra in zip(tower.grid, more, strict=True))
    own = zip(height_and_width(tower.image_size), more, strict=True)
    height, width = (side + extra * image.step for side, extra in own)
    batch, texts = {0: "batch"}, {0: "texts"}
    area = {**batch, 2: "height", 3: "width"} if image.free else batch
    places = {**batch, 1: "rows", 2: "columns"} if image.free else batch
    pixels = torch.zeros(BATCH, 3, height, width, dtype=torch.uint8)
    ids = torch.zeros(BATCH, tower.context_length, dtype=torch.long)
    seen = {"image": batch, "tokens": places}
    parts = [
        Part("image_encoder", image, (pixels,), {"pixels": area}, seen),
        Part("text_encoder", TextEncoder(tower), (ids,), {"tokens": texts}, {"text": texts}),
        *_heads(model, torch.zeros(BATCH, rows, columns, tower.width * _num_read(model)), places),
    ]
    for part in parts:
        part.module.eval()  # the new modules around what was in this mode already
    return parts


def _num_read(model: Any) -> int:
    """Layers that the region head reads side by side."""
    return len(getattr(model.region_head, "layers", None) or [0])


def _heads(model: Any, tokens: Tensor, places: Mapping[int, str]) -> list[Part]:
    parts = []
    if model.region_head is not None:
        boxes, free = torch.zeros(BATCH, BOXES, 4), {0: "batch", 1: "boxes"}
        given = {"tokens": places, "boxes": free}
        parts.append(Part("prompter", Regions(model), (tokens, boxes), given, {"region": free}))
    if model.box_head is not None:
        text, free = torch.zeros(BATCH, PHRASES, model.tower.dim), {0: "batch", 1: "phrases"}
        given = {"tokens": places, "text": free}
        parts.append(Part("grounder", Grounder(model), (tokens, text), given, {"box": free}))
    return parts


def trace(part: Part, *, precision: str = "float32") -> ExportedProgram:
    """With the axes free, and the weights stored in `precision`. Raises `UserError` with torch's
    reason where it cannot be traced."""
    free = tuple(dict.fromkeys(axes, Dim.DYNAMIC) for axes in part.inputs.values())
    try:
        # without it an example of five images fixes what a single image would do otherwise
        with tracing.patch(backed_size_oblivious=True):  # type: ignore[attr-defined]
            program = torch.export.export(
                part.module, part.example, dynamic_shapes=free, strict=False
            )
    except Exception as error:  # torch raises what it likes here, its own kinds among them
        line = " ".join(str(error).split())[:300]
        raise UserError(
            f"torch.export cannot trace the {part.name} of this model: {line}"
        ) from error
    # What must be equal stays a condition. "Not 1" and the like are notes on which of several equal
    # ways the example took: a graph answers a single image as well (`parity.json` has it).
    program._guards_code = [guard for guard in program._guards_code if "==" in guard]
    if precision != "float32":
        _store(program, PRECISIONS[precision])
    return program


def _store(program: ExportedProgram, dtype: torch.dtype) -> None:
    """In place: weights lie in the file as `dtype`, and the graph begins by making them float32. So
    its answers are those of the rounded model on every device and runtime."""
    signature, graph = program.graph_signature, program.graph
    kept = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    *_, last_input = graph.find_nodes(op="placeholder")
    for node in graph.find_nodes(op="placeholder"):
        value = program.state_dict.get(kept.get(node.name, ""))
        if value is None or not value.is_floating_point():  # a constant stays as it is
            continue
        with graph.inserting_after(last_input):
            used = graph.call_function(torch.ops.aten.to.dtype, (node, torch.float32))
        used.meta["val"] = node.meta["val"]
        node.replace_all_uses_with(used, delete_user_cb=lambda user, used=used: user is not used)
        node.meta["val"] = node.meta["val"].to(dtype)
        stored = value.detach().to(dtype)  # a copy: the module itself is still to be compared with
        is_parameter = isinstance(value, nn.Parameter)
        program.state_dict[kept[node.name]] = (
            nn.Parameter(stored, requires_grad=False) if is_parameter else stored
        )
    program.graph_module.recompile()


def described(part: Part, program: ExportedProgram) -> dict[str, dict[str, list[Any]]]:
    """Shapes of `inputs` and `outputs` by name; a free axis is a word, a fixed one a number."""
    [returned] = program.graph.output_node().args
    answers = [node.meta["val"] for node in returned]
    named = {"inputs": (part.inputs, part.example), "outputs": (part.outputs, answers)}
    return {
        kind: {
            name: [free.get(axis, size) for axis, size in enumerate(tensor.shape)]
            for (name, free), tensor in zip(axes.items(), tensors, strict=True)
        }
        for kind, (axes, tensors) in named.items()
    }


def described_model(model: Any, parts: list[Part]) -> dict[str, Any]:
    """What a caller of the graphs must know beside their shapes."""
    tower, image = model.tower, parts[0].module
    return {
        "dtype": "float32",
        "pixels": "uint8 RGB; the graph divides by 255 and applies mean and std itself",
        **tower.preprocess,
        "background": tower.background,
        "image_size": height_and_width(tower.image_size),
        "image_size_free": image.free,
        "image_size_multiple_of": image.step,
        "interpolation": "bicubic",
        "resize_mode": "longest",
        "fill_color": 0,
        "boxes": "(x0, y0, x1, y1) in [0, 1] of the image as given",
        "context_length": tower.context_length,
    }
