"""SigLIP 2 of variable resolution (NaFlex), from a folder of transformers: `hf:FOLDER`.

A picture keeps its aspect and becomes at most `max_num_patches` patches; nothing is cut or padded
inside, so a box is the same fraction of the frame as of the picture.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from cloc.errors import UserError, one_line
from cloc.eval.encoders import digest
from cloc.eval.encoders.encoder import Encoder, only_own
from cloc.foreign_code import refuse_code
from cloc.frame import WHITE
from cloc.interfaces import Prepared
from cloc.models.inputs import check_pictures, check_pixel_boxes, check_texts
from cloc.models.transformers_folder import TOKENIZER, quiet_transformers

TEXTS_AT_ONCE = 256


class NaFlex:
    """Prepared pictures are [b, patches, 3 p p + 3]: the processor's patches of p x p pixels, then
    whether a patch is there, and the rows and columns of its picture."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        from transformers import AutoTokenizer, Siglip2ImageProcessor, Siglip2Model

        self.device = device
        told: Any = Siglip2Model.from_pretrained(folder, output_loading_info=True)
        self.model: Any = told[0].eval().to(device)
        if lacks := sorted(told[1]["missing_keys"]):  # transformers goes on with random ones
            raise UserError(f"the weights lack {', '.join(lacks[:3])}; take the whole model")
        self.processor: Any = Siglip2ImageProcessor.from_pretrained(folder)
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        self.length: int = self.model.config.text_config.max_position_embeddings

    def prepare(
        self, images: Sequence[PIL.Image.Image], boxes: Sequence[np.ndarray] | None = None
    ) -> Prepared:
        seen = check_pictures(images, WHITE)
        given = check_pixel_boxes(boxes, seen)
        made = self.processor(images=seen, return_tensors="pt")
        mask = made["pixel_attention_mask"][..., None].float()
        shape = made["spatial_shapes"][:, None].expand(-1, mask.shape[1], -1).float()
        fractions = torch.zeros(len(seen), max((len(b) for b in given), default=0), 4)
        valid = torch.zeros(fractions.shape[:2], dtype=torch.bool)
        for i, (image, own) in enumerate(zip(seen, given, strict=True)):
            sides = np.array([image.width, image.height] * 2)
            fractions[i, : len(own)] = torch.from_numpy(own / sides).float()
            valid[i, : len(own)] = True
        return Prepared(torch.cat([made["pixel_values"], mask, shape], -1), fractions, valid)

    def pixels(self, x: Tensor) -> list[Tensor]:
        """[3, h, w] of each prepared picture, normalised, as its patches show it."""
        side = round(((x.shape[2] - 3) / 3) ** 0.5)
        found = []
        for one in x:
            rows, columns = one[0, -2:].long().tolist()
            grid = one[: rows * columns, :-3].view(rows, columns, side, side, 3)
            found.append(grid.permute(4, 0, 2, 1, 3).reshape(3, rows * side, columns * side))
        return found

    @torch.no_grad()
    def images(self, x: Tensor) -> Float[Tensor, "b d"]:
        x = x.to(self.device)
        out = self.model.get_image_features(
            pixel_values=x[..., :-3],
            pixel_attention_mask=x[..., -3].long(),
            spatial_shapes=x[:, 0, -2:].long(),
        )
        return _unit(out)

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        parts = []
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            ids = self._ids(texts[start : start + TEXTS_AT_ONCE])
            parts.append(_unit(self.model.get_text_features(input_ids=ids.to(self.device))))
        return torch.cat(parts)

    def tokens(self, texts: Sequence[str]) -> list[bytes]:
        return [row.numpy().tobytes() for row in self._ids(texts)] if texts else []

    def regions(
        self, x: Tensor, boxes: Float[Tensor, "b r 4"], valid: Bool[Tensor, "b r"]
    ) -> Float[Tensor, "b r d"]:
        raise UserError("a NaFlex model has no regions of its own; take extractors=[crop]")

    def ground(self, x: Tensor, phrases: Sequence[Sequence[str]]) -> None:
        """It has no answer to a phrase."""
        return None

    def _ids(self, texts: Sequence[str]) -> Tensor:
        # as SigLIP 2 was trained: lower case, full length, padding read too
        words = [text.lower() for text in check_texts(texts)]
        made = self.tokenizer(
            words,
            padding="max_length",
            truncation=True,
            max_length=self.length,
            return_tensors="pt",
        )
        ids: Tensor = made["input_ids"]
        return ids


def _unit(features: Any) -> Tensor:
    """transformers 5 answers with all outputs, 4 with the pooled one."""
    pooled: Tensor = getattr(features, "pooler_output", features)
    return F.normalize(pooled.float(), dim=-1).cpu()


def is_naflex(folder: Path) -> bool:
    """Whether transformers' folder holds one; false for what cannot be read, told elsewhere."""
    try:
        found = json.loads((folder / "config.json").read_text())
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("model_type") == "siglip2"


def read(where: str, frame: str, device: torch.device) -> Encoder:
    """`UserError` where the folder is not whole, or names code of its own."""
    folder = Path(where).expanduser()
    only_own(frame, f"hf:{where}", "sees every picture in its own aspect (NaFlex)")
    refuse_code(folder)
    if not any((folder / name).is_file() for name in TOKENIZER):
        raise UserError(f"{folder} has no tokenizer; put its {' or '.join(TOKENIZER[:2])} there")
    try:
        with quiet_transformers():
            embedder = NaFlex(folder, device)
        picture, no_boxes = PIL.Image.new("RGB", (64, 48)), np.zeros((0, 4))
        embedder.images(embedder.prepare([picture], [no_boxes]).images)  # do its files fit?
    except Exception as error:  # of a dozen classes, of transformers and of what it stands on
        raise UserError(f"hf:{where} cannot be read by transformers: {one_line(error)}") from error
    most = embedder.processor.max_num_patches
    told = digest.of_weights(embedder.model.state_dict(), str(most))
    frame = f"own: NaFlex, {most} patches at most"
    return Encoder(embedder, f"hf:{where}", None, frame, told, has_regions=False)
