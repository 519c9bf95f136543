"""What an export must reproduce: a model's answers, compared with those of its documented code."""

import ast
import contextlib
import io
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import PIL.ExifTags
import PIL.Image
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from cloc.errors import UserError

PARITY = "parity.json"
# Every kind of text that a tokenizer in somebody else's files may read otherwise.
TEXTS = (
    *(
        "a photo of a dog",
        "two red stars left of a blue ring",
        "x",
        "",
        "  two\n\t spaces\xa0\u2003 ",
    ),
    *(
        "Hello, WORLD! it's 2 dogs!!!",
        "a \u201cstar\u2019s\u201d \u2018ring\u2019",
        "a \ufb01ne o\ufb03ce",
    ),
    "red &amp; blue &lt;3 it&#39;s &quot;caf&eacute;&quot; &amp;amp; it&rsquo;s it&#146;s",
    *("<b>it&rsquo;s</b> &amp;amp; &copy", "\uff32\uff25\uff24 \u3000star", "a dog 😀 👩\u200d🚀"),
    *("日本の犬、猫", "café naïve Ångström ÖL İstanbul", "cafÃ© dâ€™or", "a\x00 \x1b[31mstar\x92s"),
    *("a dog<|endoftext|> a cat", "a dog <end_of_text> a cat !<end_of_text>", "</s> a <pad> star"),
    "a very long text of " + "many words " * 200,
)


PHOTO = "photo.jpg"  # how documented code names a photograph
# EXIF's orientation, and how pixels are turned that it turns back
TURNED = (
    *((6, PIL.Image.Transpose.ROTATE_90), (1, None)),
    *((3, PIL.Image.Transpose.ROTATE_180), (8, PIL.Image.Transpose.ROTATE_270)),
)


class Probe(NamedTuple):
    """Inputs that a model and its export both answer."""

    images: UInt8[Tensor, "n 3 h w"]  # as the model's own preparation gives them
    boxes: Float[Tensor, "n r 4"]  # (x0, y0, x1, y1) in [0, 1] of these frames
    texts: tuple[str, ...]
    source: str  # where the pictures come from, for the record


@torch.no_grad()
def answers(model: Any, probe: Probe) -> dict[str, Tensor]:
    """In evaluation mode, on the CPU: `image` [n, d] and `text` [t, d] unit vectors; of a region
    head `region` [n, r, d] unit vectors; of a box head `box` [n, t, 4], of every text in every
    image. The model's mode is left as it was."""
    training, tower = model.training, model.tower
    model.eval()
    device = tower.mean.device
    tokens = tower.tokenizer()(list(probe.texts), tower.context_length)
    seen, text = tower.images(probe.images.to(device)), tower.texts(tokens.to(device))
    found = {"image": seen.pooled, "text": text}
    if model.region_head is not None:
        asked = text.expand(len(probe.images), *text.shape) if model.box_head else None
        boxes = probe.boxes.to(device)
        region, grounded = model.region_head(
            seen.read, boxes, asked, grid=tower.grid_at(probe.images)
        )
        found["region"] = F.normalize(region.float(), dim=-1)
        if model.box_head is not None:
            found["box"] = model.box_head(grounded)
    model.train(training)
    return {name: value.float().cpu() for name, value in found.items()}


class _Inputs(ast.NodeTransformer):
    """Puts a folder, files of pictures and texts in the place of those that a block of code names.
    What stands around "photo.jpg" in `photos = [...]` is done to every file."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if node.value == PHOTO:
            return ast.copy_location(ast.Name("_file", ast.Load()), node)
        if not isinstance(node.value, str) or "FOLDER" not in node.value:
            return node
        return ast.copy_location(ast.Constant(node.value.replace("FOLDER", self.folder)), node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        self.generic_visit(node)
        name, value = getattr(node.targets[0], "id", ""), node.value
        if name == "texts":
            node.value = ast.copy_location(ast.Name("_texts", ast.Load()), value)
        elif name == "photos" and isinstance(value, ast.List):
            target, files = ast.Name("_file", ast.Store()), ast.Name("_files", ast.Load())
            each = ast.ListComp(value.elts[0], [ast.comprehension(target, files, [], 0)])
            node.value = ast.copy_location(each, value)
        return node


def run_usage(usage: str, folder: Path, probe: Probe) -> dict[str, Any]:
    """The names that an exporter's documented code defines, run line by line as a person would run
    it, but for FOLDER, the texts and the photographs, which are the probe's, as a phone would store
    them: some are shown turned. What it prints is lost."""
    code = ast.fix_missing_locations(_Inputs(folder).visit(ast.parse(usage)))
    with contextlib.redirect_stdout(io.StringIO()), tempfile.TemporaryDirectory() as place:
        files = [_stored(x, i, Path(place)) for i, x in enumerate(probe.images)]
        names: dict[str, Any] = {"_files": files, "_texts": list(probe.texts)}
        exec(compile(code, "usage", "exec"), names)
    return names


def _stored(pixels: Tensor, number: int, place: Path) -> str:
    """A file that shows `pixels`, to the bit, whose own are turned as its EXIF orientation says."""
    image, exif = PIL.Image.fromarray(pixels.permute(1, 2, 0).numpy()), PIL.Image.Exif()
    code, turn = TURNED[number % len(TURNED)]
    exif[PIL.ExifTags.Base.Orientation] = code
    path = place / f"{number}.png"
    (image if turn is None else image.transpose(turn)).save(path, exif=exif)
    return str(path)


def embeddings(names: Mapping[str, Any]) -> dict[str, Tensor]:
    """`image` and `text` of `run_usage`, those that the code defines."""
    return {n: torch.as_tensor(names[n]).detach() for n in ("image", "text") if n in names}


def write_parity(
    folder: Path,
    ours: Mapping[str, Tensor],
    theirs: Mapping[str, Tensor],
    *,
    tolerance: float,
    loader: str,
    probe: Probe,
) -> None:
    """`parity.json`: the largest and mean absolute error of every output that `theirs` has.

    `loader` names the library that loaded the export, with its version. Raises `UserError` where an
    error is above `tolerance` or not a number, and writes nothing then.
    """
    outputs = {}
    for name, value in theirs.items():
        outputs[name] = _errors(ours[name], value)
        worst = outputs[name]["max_error"]
        if not worst <= tolerance:
            raise UserError(
                f"the exported {name} differs by {worst:.1e} from the model's (at most "
                f"{tolerance:.0e} is right) through {loader}; nothing was exported"
            )
    found = {
        "loader": loader,
        "tolerance": tolerance,
        "images": f"{len(probe.images)} of {probe.source}",
        "outputs": outputs,
    }
    _write(folder / PARITY, found)


def note_rounding(
    folder: Path, precision: str, before: Mapping[str, Tensor], after: Mapping[str, Tensor]
) -> None:
    """Adds to `parity.json` what rounding the weights has done to the model itself, with which the
    export was compared then: `rounding`, by output, the largest and mean absolute error."""
    found = json.loads((folder / PARITY).read_text())
    outputs = {name: _errors(before[name], value) for name, value in after.items()}
    _write(folder / PARITY, {**found, "rounding": {"precision": precision, "outputs": outputs}})


def _errors(ours: Tensor, theirs: Tensor) -> dict[str, float]:
    error = (ours.double() - theirs.double().cpu()).abs()
    return {"max_error": float(error.max()), "mean_error": float(error.mean())}


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")
