"""A folder that transformers' own classes load without remote code, the region head beside it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cloc.errors import UserError
from cloc.export.parity import Probe, answers, embeddings, run_usage, write_parity
from cloc.export.weights import save_region_head, save_weights, tower_state
from cloc.models.transformers_folder import quiet_transformers
from cloc.transformers_layout.convert import to_transformers
from cloc.transformers_layout.tokenizer import write_tokenizer

TOLERANCE = 1e-5  # of unit embeddings, element by element
IMAGES = """\
import PIL.Image
import PIL.ImageOps
import torch
from transformers import AutoImageProcessor, CLASS

model = CLASS.from_pretrained("FOLDER").eval()
processor = AutoImageProcessor.from_pretrained("FOLDER")
photos = [PIL.ImageOps.exif_transpose(PIL.Image.open("photo.jpg")).convert("RGB")]
size = model.config.vision_config.image_size
frames = [PIL.ImageOps.pad(photo, (size, size)) for photo in photos]  # training's, to a pixel
pixels = processor(images=frames, return_tensors="pt")["pixel_values"]
"""
BOTH = """\
with torch.no_grad():
    out = model(pixel_values=pixels, input_ids=tokens)
image, text = out.image_embeds, out.text_embeds  # unit vectors
print(out.logits_per_image.softmax(-1))
"""
USAGE = (
    IMAGES.replace("CLASS", "AutoModel, AutoTokenizer", 1)
    .replace("CLASS", "AutoModel")
    .replace("import PIL.Image\n", "import ftfy\nimport PIL.Image\n")
    + """\
tokenizer = AutoTokenizer.from_pretrained("FOLDER")
texts = ["a red star", "a dog"]
mended = [ftfy.fix_text(text) for text in texts]  # mojibake, which no tokenizer file can mend
tokens = tokenizer(mended, padding="max_length", truncation=True, return_tensors="pt")["input_ids"]
"""
    + BOTH
)
WITHOUT_TOKENIZER = (
    IMAGES.replace("CLASS", "AutoModel").replace(
        "import PIL.Image\n", "import open_clip\nimport PIL.Image\n"
    )
    + """\
context = model.config.text_config.max_position_embeddings
tokenizer = open_clip.tokenizer.SimpleTokenizer(context_length=context)
texts = ["a red star", "a dog"]
tokens = tokenizer(texts)
"""
    + BOTH
)
IMAGES_ALONE = (
    IMAGES.replace(".vision_config", "")
    + """\
with torch.no_grad():
    image = torch.nn.functional.normalize(model(pixel_values=pixels).OUTPUT, dim=-1)
print(image.shape)
"""
)


class HF:
    """`CLIPModel.from_pretrained(FOLDER)` or `SiglipModel.from_pretrained(FOLDER)` loads what this
    writes; with `vision_only` CLIPVisionModelWithProjection or SiglipVisionModel.

    A tower that transformers has no class for is refused with the reason. The region head goes into
    `region_head/`, as in an open_clip export.
    """

    library = "transformers"

    def __init__(self, *, vision_only: bool = False, precision: str = "float32") -> None:
        self.vision_only, self.precision = vision_only, precision
        self.usage = USAGE  # what the last export is loaded with
        self.loads_back = not vision_only

    def export(self, model: Any, folder: Path, probe: Probe) -> None:
        """Fills the empty `folder`, then runs the documented code on it and compares embeddings."""
        transformers, tower = _transformers(), model.tower
        state = tower_state(tower, "transformers")
        config, weights = to_transformers(tower.model_config, state, vision_only=self.vision_only)
        # Of what computes; transformers takes that of the weights where none is given.
        _write(folder / "config.json", {**config, "dtype": "float32"})
        save_weights(weights, folder / "model.safetensors", precision=self.precision)
        _write(folder / "preprocessor_config.json", _processor(config, tower))
        if self.vision_only:
            [name] = config["architectures"]
            output = "pooler_output" if name == "SiglipVisionModel" else "image_embeds"
            self.usage = IMAGES_ALONE.replace("CLASS", name).replace("OUTPUT", output)
        else:
            written = _write_tokenizer(config, tower, folder)
            self.usage = USAGE if written else WITHOUT_TOKENIZER
        save_region_head(model, folder, precision=self.precision)
        with quiet_transformers():
            names = run_usage(self.usage, folder, probe)
            _check_loading(type(names["model"]), folder)
        write_parity(
            folder,
            answers(model, probe),
            embeddings(names),
            tolerance=TOLERANCE,
            loader=f"transformers {transformers.__version__}",
            probe=probe,
        )


def _check_loading(kind: Any, folder: Path) -> None:
    """A weight that is not in the file would be made up, without a word."""
    local = {"local_files_only": True, "trust_remote_code": False}
    _, info = kind.from_pretrained(folder, output_loading_info=True, **local)
    wrong = {key: sorted(map(str, value)) for key, value in info.items() if value}
    if wrong:
        raise UserError(
            f"{kind.__name__} does not take the weights as they are, nothing exported: {wrong}"
        )


def _processor(config: Mapping[str, Any], tower: Any) -> dict[str, Any]:
    """Each class's own frame. Training's frame, the long side resized and centred on black, is none
    that transformers' processors can make: a picture brought into it before passes unchanged."""
    size = tower.image_size
    square = {"height": size, "width": size}
    if "siglip" in config["model_type"]:
        frame: dict[str, Any] = {"image_processor_type": "SiglipImageProcessor", "size": square}
    else:
        frame = {
            "image_processor_type": "CLIPImageProcessor",
            "size": {"shortest_edge": size},
            "do_center_crop": True,
            "crop_size": square,
        }
    return {
        **frame,
        "do_resize": True,
        "resample": 3,  # bicubic
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": tower.preprocess["mean"],
        "image_std": tower.preprocess["std"],
        "background": tower.background,  # ours: behind transparent pixels
        "do_convert_rgb": True,
    }


def _write_tokenizer(config: Mapping[str, Any], tower: Any, folder: Path) -> bool:
    """A SigLIP with CLIP's vocabulary gets none: it reads its padding, which is 0 in open_clip's
    tokenizer, and 0 is a word of CLIP's."""
    tokenizer = tower.tokenizer()
    if not hasattr(tokenizer, "tokenizer") and config["model_type"] != "clip":
        return False
    text_cfg = tower.model_config["text_cfg"]
    write_tokenizer(tokenizer, text_cfg, folder, context_length=tower.context_length)
    return True


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise UserError(
            f"format=hf needs the package transformers ({error}): pip install 'cloc-pretrain[hf]'"
        ) from None
    return transformers


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")
