"""An open_clip folder, hub-ready, with the region head beside it in a subfolder."""

import json
from pathlib import Path
from typing import Any

import open_clip
import torch

from cloc.errors import UserError, one_line
from cloc.export.parity import Probe, answers, embeddings, run_usage, write_parity
from cloc.export.weights import save_region_head, save_weights, tower_state

TOLERANCE = 1e-5  # of unit embeddings, element by element


class OpenCLIP:
    """`open_clip.create_model_and_transforms("local-dir:FOLDER")` loads what this writes.

    The region head goes into `region_head/`.
    """

    library = "open_clip"
    loads_back = True
    usage = """\
import open_clip
import PIL.Image
import PIL.ImageOps
import torch

model, _, preprocess = open_clip.create_model_and_transforms("local-dir:FOLDER")
tokenizer = open_clip.get_tokenizer("local-dir:FOLDER")
model.eval()
photos = [PIL.ImageOps.exif_transpose(PIL.Image.open("photo.jpg")).convert("RGB")]
texts = ["a red star", "a dog"]
pixels = torch.stack([preprocess(photo) for photo in photos])
with torch.no_grad():
    image = model.encode_image(pixels, normalize=True)
    text = model.encode_text(tokenizer(texts), normalize=True)
print(image @ text.T)
"""

    def __init__(self, *, precision: str = "float32") -> None:
        self.precision = precision

    def export(self, model: Any, folder: Path, probe: Probe) -> None:
        """Fills the empty `folder`, then loads it through open_clip and compares embeddings."""
        tower = model.tower
        state = tower_state(tower, "open_clip")
        config = {
            "model_cfg": tower.model_config,
            "preprocess_cfg": {
                "size": tower.image_size,
                **tower.preprocess,
                "background": tower.background,
                "interpolation": "bicubic",
                "resize_mode": "longest",
                "fill_color": 0,
            },
        }
        (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")
        weights = folder / "open_clip_model.safetensors"
        save_weights(state, weights, precision=self.precision)
        tokenizer = tower.tokenizer()
        if hasattr(tokenizer, "tokenizer"):  # Hugging Face's: open_clip looks for it in the folder
            tokenizer.tokenizer.save_pretrained(folder)
        save_region_head(model, folder, precision=self.precision)
        write_parity(
            folder,
            answers(model, probe),
            self._answers(folder, probe, tower),
            tolerance=TOLERANCE,
            loader=f"open_clip {open_clip.__version__}",
            probe=probe,
        )

    def _answers(self, folder: Path, probe: Probe, tower: Any) -> dict[str, torch.Tensor]:
        """Of the documented code; where open_clip cannot load the `tower`, the reason."""
        try:
            return embeddings(run_usage(self.usage, folder, probe))
        except (RuntimeError, TypeError, ValueError, AssertionError) as error:
            raise UserError(
                f"open_clip cannot rebuild this tower, nothing was exported: "
                f"{_reason(error, tower)}; choose format=timm, onnx or torch_export"
            ) from error


def _reason(error: Exception, tower: Any) -> str:
    vision = tower.model_config["vision_cfg"]
    name, size = vision.get("timm_model_name"), vision.get("image_size", 224)
    of_its_size = ("pos_embed", "doesn't match model")  # a table; a trunk without one
    if name and any(words in str(error) for words in of_its_size):
        return (
            f"it builds timm's {name} for the pixels that timm made it for, not image_size={size}"
        )
    return one_line(error)
