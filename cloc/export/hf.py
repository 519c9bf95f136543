"""A folder that transformers' own classes load without remote code, the region head beside it."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from open_clip.tokenizer import SimpleTokenizer

from cloc.errors import UserError
from cloc.parity import Probe, answers, write_parity
from cloc.transformers_layout.convert import to_transformers
from cloc.weight_files import save_region_head, save_weights

TOLERANCE = 1e-5  # of unit embeddings, element by element
START, END = "<|startoftext|>", "<|endoftext|>"  # as CLIPTokenizer has them


USAGE = """\
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

model = AutoModel.from_pretrained("FOLDER")
processor = AutoImageProcessor.from_pretrained("FOLDER")
tokenizer = AutoTokenizer.from_pretrained("FOLDER")
"""
VISION_USAGE = """\
from transformers import AutoConfig, AutoImageProcessor
import transformers

name = AutoConfig.from_pretrained("FOLDER").architectures[0]
model = getattr(transformers, name).from_pretrained("FOLDER")
processor = AutoImageProcessor.from_pretrained("FOLDER")
"""


class HF:
    """`CLIPModel.from_pretrained(FOLDER)` or `SiglipModel.from_pretrained(FOLDER)` loads what this
    writes; with `vision_only` CLIPVisionModelWithProjection or SiglipVisionModel.

    A tower that transformers has no class for is refused with the reason. The region head goes into
    `region_head/`, as in an open_clip export.
    """

    library = "transformers"

    def __init__(self, *, vision_only: bool = False, precision: str = "float32") -> None:
        self.vision_only, self.precision = vision_only, precision
        self.usage = VISION_USAGE if vision_only else USAGE
        self.loads_back = not vision_only

    def export(self, model: Any, folder: Path, probe: Probe) -> None:
        """Fills the empty `folder`, then loads it through transformers and compares embeddings."""
        transformers, tower = _transformers(), model.tower
        state = tower.clip.state_dict()
        config, weights = to_transformers(tower.model_config, state, vision_only=self.vision_only)
        _write(folder / "config.json", config)
        save_weights(weights, folder / "model.safetensors", precision=self.precision)
        _write(folder / "preprocessor_config.json", _processor(config, tower))
        if not self.vision_only:
            _write_tokenizer(config, tower, folder)
        save_region_head(model, folder, precision=self.precision)
        with _quiet(transformers):
            theirs = load_and_answer(transformers, folder, tower, probe)
        write_parity(
            folder,
            answers(model, probe),
            theirs,
            tolerance=TOLERANCE,
            loader=f"transformers {transformers.__version__}",
            probe=probe,
        )


@torch.no_grad()
def load_and_answer(
    transformers: Any, folder: Path, tower: Any, probe: Probe
) -> dict[str, torch.Tensor]:
    """The folder's `image` and, where it has a text tower, `text` embeddings through transformers'
    loader, processor and tokenizer; `tower`'s own tokenizer where the folder holds none."""
    config = json.loads((folder / "config.json").read_text())
    [name] = config["architectures"]
    local = {"local_files_only": True, "trust_remote_code": False}
    model, info = getattr(transformers, name).from_pretrained(
        folder, output_loading_info=True, dtype=torch.float32, **local
    )
    wrong = {key: sorted(map(str, value)) for key, value in info.items() if value}
    if wrong:
        raise UserError(f"{name} does not take the weights as they are, nothing exported: {wrong}")
    processor = transformers.AutoImageProcessor.from_pretrained(folder, **local)
    pixels = processor(images=list(probe.images), return_tensors="pt")["pixel_values"]
    if "text_config" not in config:
        out = model.eval()(pixel_values=pixels)
        image = out.image_embeds if "image_embeds" in out else out.pooler_output
        return {"image": F.normalize(image, dim=-1)}
    if (folder / "tokenizer_config.json").is_file():
        tokenize = transformers.AutoTokenizer.from_pretrained(folder, **local)
        tokens = tokenize(
            list(probe.texts),
            padding="max_length",
            max_length=tower.context_length,
            truncation=True,
            return_tensors="pt",
        )["input_ids"]
    else:
        tokens = tower.tokenizer()(list(probe.texts), tower.context_length)
    out = model.eval()(pixel_values=pixels, input_ids=tokens)
    return {"image": out.image_embeds, "text": out.text_embeds}


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


def _write_tokenizer(config: Mapping[str, Any], tower: Any, folder: Path) -> None:
    """A SigLIP with CLIP's vocabulary gets none: it reads its padding, which is 0 in open_clip's
    tokenizer, and 0 is a word of CLIPTokenizer's."""
    tokenizer = tower.tokenizer()
    if hasattr(tokenizer, "tokenizer"):  # Hugging Face's
        tokenizer.tokenizer.save_pretrained(folder)
    elif config["model_type"] == "clip":
        write_byte_pairs(tokenizer, folder, tower.context_length)


def write_byte_pairs(tokenizer: SimpleTokenizer, folder: Path, context_length: int) -> None:
    """The files of transformers' CLIPTokenizer from those that open_clip carries."""
    renamed = {"<start_of_text>": START, "<end_of_text>": END}
    vocabulary = {renamed.get(word, word): index for word, index in tokenizer.encoder.items()}
    merges = sorted(tokenizer.bpe_ranks, key=tokenizer.bpe_ranks.__getitem__)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text(
        "#version: 0.2\n" + "".join(f"{first} {second}\n" for first, second in merges),
        encoding="utf-8",
    )
    special = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
    options = {"model_max_length": context_length, "do_lower_case": True}
    named = {"tokenizer_class": "CLIPTokenizer", **special, **options}
    _write(folder / "tokenizer_config.json", named)


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise UserError(
            f"format=hf needs the package transformers ({error}): pip install 'cloc-pretrain[hf]'"
        ) from None
    return transformers


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """No bars and remarks on a person's stderr for a load they did not ask for."""
    logging = transformers.utils.logging
    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()  # it remarks on ids that its own default configurations have
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")
