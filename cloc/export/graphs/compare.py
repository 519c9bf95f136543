"""The comparison of exported graphs with their model, at other sizes than they were traced with."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cloc.errors import UserError
from cloc.export.parity import Probe, answers, write_parity

Run = Callable[[str, tuple[Tensor, ...]], tuple[Tensor, ...]]  # a part and its inputs -> outputs
TOLERANCE = 1e-4  # of unit embeddings and boxes in [0, 1], element by element, in float32


@torch.no_grad()
def write_graph_parity(
    folder: Path,
    model: Any,
    probe: Probe,
    *,
    run: Run,
    eager: Mapping[str, Any],
    loader: str,
    documented: Mapping[str, Tensor] | None = None,
) -> None:
    """`parity.json` of every output, as the loader's `run` gives it.

    Each output stands there for the whole probe in one call, and `one by one`: a single image,
    box and text per call. `eager` are the modules the graphs were traced from; where the image size
    is free, `other size` compares the graph with its module on larger pictures that are not
    square. `documented` is what the code shown to people gives, of texts as they are. Tokens have
    no unit: theirs are divided by the largest of the model's. Raises
    `UserError` where an output is too far off, or `run` fails.
    """
    run = _with_reason(run, loader)
    ours = {**answers(model, probe), "tokens": _tokens(model, probe)}
    ids = model.tower.tokenizer()(list(probe.texts), model.tower.context_length)
    theirs = _through(run, probe.images, probe.boxes, ids, ours)
    for name, value in _one_by_one(run, probe, ids, ours).items():
        theirs[f"{name}, one by one"] = value
        first = ours[name] if name in ("image", "tokens") else ours[name][..., :1, :]
        ours[f"{name}, one by one"] = first
    image = eager["image_encoder"]
    if image.free:
        larger = F.pad(probe.images, (0, image.step, 0, 2 * image.step), value=127)
        for into, answer in ((ours, image(larger)), (theirs, run("image_encoder", (larger,)))):
            into["image, other size"], into["tokens, other size"] = answer
    for name, value in (documented or {}).items():
        theirs[f"{name}, as documented"], ours[f"{name}, as documented"] = value, ours[name]
    largest = ours["tokens"].abs().max().clamp(min=1)
    for found in (ours, theirs):
        found.update({k: v / largest for k, v in found.items() if k.startswith("tokens")})
    write_parity(folder, ours, theirs, tolerance=TOLERANCE, loader=loader, probe=probe)


def _tokens(model: Any, probe: Probe) -> Tensor:
    """[n, rows, columns, w]; the model's mode is left as it was."""
    training, tower = model.training, model.tower
    model.eval()
    tokens = tower.images(probe.images.to(tower.mean.device)).read.float().cpu()
    model.train(training)
    return tokens.unflatten(1, tower.grid_at(probe.images))


def _with_reason(run: Run, loader: str) -> Run:
    def checked(name: str, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        try:
            return run(name, inputs)
        except Exception as error:  # every runtime has kinds of its own
            line = " ".join(str(error).split())[:300]
            shapes = ", ".join(str(list(x.shape)) for x in inputs)
            raise UserError(
                f"{loader} cannot run the exported {name} on {shapes}: {line}; nothing was exported"
            ) from error

    return checked


def _through(
    run: Run, pixels: Tensor, boxes: Tensor, ids: Tensor, wanted: Mapping[str, Any]
) -> dict[str, Tensor]:
    """The graphs one after another, as their users call them; `region` and `box` where `wanted`."""
    image, tokens = run("image_encoder", (pixels,))
    [text] = run("text_encoder", (ids,))
    found = {"image": image, "tokens": tokens, "text": text}
    if "region" in wanted:
        [found["region"]] = run("prompter", (tokens, boxes))
    if "box" in wanted:
        [found["box"]] = run("grounder", (tokens, text.repeat(len(pixels), 1, 1)))
    return found


def _one_by_one(
    run: Run, probe: Probe, ids: Tensor, wanted: Mapping[str, Any]
) -> dict[str, Tensor]:
    """Of every image; of its first box; of the first text."""
    each = [
        _through(run, pixels[None], boxes[None, :1], ids[:1], wanted)
        for pixels, boxes in zip(probe.images, probe.boxes, strict=True)
    ]
    found = {name: torch.cat([one[name] for one in each]) for name in each[0] if name != "text"}
    return {**found, "text": each[0]["text"]}
