"""Exported graphs: a folder that `format=onnx` wrote, run by onnxruntime without torch's model."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ftfy
import numpy as np
import PIL.Image
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cloc.data.samples.json_files import read_mapping
from cloc.data.samples.validate import shown
from cloc.errors import UserError, one_line
from cloc.eval.encoders import digest
from cloc.eval.encoders.encoder import Encoder, chosen
from cloc.frame import Framing
from cloc.interfaces import Prepared
from cloc.models.framing import in_frame

CONFIG, TOKENIZER = "onnx_config.json", "tokenizer.json"
REQUIRED = ("image_encoder.onnx", "text_encoder.onnx")
TEXTS_AT_ONCE = 256


class Graphs:
    """The `Embedder` of a folder; regions and boxes where it has their graphs."""

    def __init__(self, folder: Path, framing: Framing, config: dict[str, Any]) -> None:
        self.folder, self.framing, self.config = folder, framing, config
        self._runtime, self._tokenizer = _packages(folder)
        self._sessions: dict[str, Any] = {}
        self.reorder: Callable[[Tensor, Tensor], Tensor] | None = None  # see `ModelEmbedder`

    def prepare(
        self, images: Sequence[PIL.Image.Image], boxes: Sequence[np.ndarray] | None = None
    ) -> Prepared:
        red, green, blue = self.config["background"]
        return in_frame(images, boxes, framing=self.framing, background=(red, green, blue))

    def images(self, x: Tensor) -> Float[Tensor, "b d"]:
        return self._run("image_encoder", ["image"], pixels=x)[0]

    def patch_tokens(self, x: Tensor) -> tuple[Float[Tensor, "b p w"], tuple[int, int]]:
        """The un-pooled tokens of the graph, row by row, and rows and columns."""
        [tokens] = self._run("image_encoder", ["tokens"], pixels=x)
        return tokens.flatten(1, 2), (tokens.shape[1], tokens.shape[2])

    def texts(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        ids = torch.tensor([row.ids for row in self._ids(texts)])
        parts = [self._run("text_encoder", ["text"], tokens=p)[0] for p in ids.split(TEXTS_AT_ONCE)]
        return torch.cat(parts)

    def tokens(self, texts: Sequence[str]) -> list[bytes]:
        return [np.array(row.ids, np.int64).tobytes() for row in self._ids(texts)]

    def regions(
        self, x: Tensor, boxes: Float[Tensor, "b r 4"], valid: Bool[Tensor, "b r"]
    ) -> Float[Tensor, "b r d"]:
        if not self._has("prompter"):
            raise UserError(f"{self.folder} has no prompter.onnx; take extractors=[crop]")
        tokens = self._read(x)
        return self._run("prompter", ["region"], tokens=tokens, boxes=boxes.float())[0]

    def ground(
        self, x: Tensor, phrases: Sequence[Sequence[str]]
    ) -> list[Float[Tensor, "n 4"]] | None:
        if not self._has("grounder"):
            return None
        tokens = self._read(x)
        found = []
        for row, own in zip(tokens.split(1), phrases, strict=True):
            asked = self.texts(own)[None] if own else torch.zeros(1, 0, 0)
            empty = torch.zeros(0, 4)
            found.append(
                self._run("grounder", ["box"], tokens=row, text=asked)[0][0] if own else empty
            )
        return found

    def _read(self, x: Tensor) -> Float[Tensor, "b rows columns w"]:
        """What the region head reads."""
        [tokens] = self._run("image_encoder", ["tokens"], pixels=x)
        if self.reorder is None:
            return tokens
        return self.reorder(x, tokens.flatten(1, 2)).view_as(tokens)

    def _ids(self, texts: Sequence[str]) -> Any:
        return self._tokenizer.encode_batch([ftfy.fix_text(text) for text in texts])

    def _has(self, name: str) -> bool:
        return (self.folder / f"{name}.onnx").is_file()

    def _run(self, name: str, wanted: list[str], **inputs: Tensor) -> list[Tensor]:
        if name not in self._sessions:
            self._sessions[name] = self._session(self.folder / f"{name}.onnx")
        fed = {key: value.numpy() for key, value in inputs.items()}
        return [torch.from_numpy(out).float() for out in self._sessions[name].run(wanted, fed)]

    def _session(self, path: Path) -> Any:
        try:
            return self._runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
        except Exception as error:  # of classes of its own
            said = f"{path} cannot be run by onnxruntime ({one_line(error)})"
            raise UserError(f"{said}; export it again") from error


def read(where: str, frame: str) -> Encoder:
    """`where` is a folder that `cloc-pretrain export format=onnx` wrote; `UserError` for one that
    is not whole."""
    folder = Path(where).expanduser()
    if not (folder / CONFIG).is_file():
        raise UserError(f"onnx:{where}: no {CONFIG} there; give a folder of export format=onnx")
    needs = {"image_size": 2, "background": 3}
    config = read_mapping(folder / CONFIG, cure="export it again")
    for key, count in needs.items():
        numbers = config.get(key)
        if not isinstance(numbers, list) or [type(x) for x in numbers] != [int] * count:
            raise UserError(
                f"{folder / CONFIG}: {key} is {shown(numbers)}, not {count} whole numbers; export "
                "it again"
            )
    if missing := [name for name in REQUIRED if not (folder / name).is_file()]:
        raise UserError(f"{folder} has no {' and no '.join(missing)}; export it again")
    own = Framing("pad", tuple(config["image_size"]))
    framing = own if frame == "own" else chosen(frame, own)
    graphs = Graphs(folder, framing, config)
    files = [p for p in folder.iterdir() if p.is_file() and p.name != "parity.json"]
    told = digest.of_files(files, str(framing))
    has_regions = (folder / "prompter.onnx").is_file()
    words = f"{frame}: {framing}"
    return Encoder(
        graphs,
        f"onnx:{where}",
        framing,
        words,
        told,
        has_regions=has_regions,
        runs_in_torch=False,
    )


def _packages(folder: Path) -> tuple[Any, Any]:
    try:
        import onnxruntime
        from tokenizers import Tokenizer
    except ImportError as error:
        raise UserError(
            f"model=onnx:{folder} needs {error.name}; pip install 'cloc-pretrain[onnx]'"
        ) from None
    if not (folder / TOKENIZER).is_file():
        raise UserError(
            f"{folder} has no {TOKENIZER}, so texts cannot be read: open_clip's own code does more "
            "than a file can say; measure the run or its open_clip export"
        )
    try:
        return onnxruntime, Tokenizer.from_file(str(folder / TOKENIZER))
    except Exception as error:  # it has no other class
        said = f"{folder / TOKENIZER} cannot be read ({one_line(error)})"
        raise UserError(f"{said}; export it again") from error
