"""An open_clip folder, hub-ready, with the region head beside it in a subfolder."""

import json
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import save_file

from cloc.errors import UserError
from cloc.parity import Probe, answers, write_parity

TOLERANCE = 1e-5  # of unit embeddings, element by element


class OpenCLIP:
    """`open_clip.create_model_and_transforms("local-dir:FOLDER")` loads what this writes.

    The region head goes into `region_head/`: open_clip takes the first weight file it finds in the
    folder itself, and its strict load accepts no extra key.
    """

    def export(self, model: Any, folder: Path, probe: Probe) -> None:
        """Fills the empty `folder`, then loads it through open_clip and compares embeddings."""
        tower = model.tower
        config = {
            "model_cfg": tower.model_config,
            "preprocess_cfg": {
                "size": tower.image_size,
                **tower.preprocess,
                "interpolation": "bicubic",
                "resize_mode": "longest",
                "fill_color": 0,
            },
        }
        (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")
        _save(tower.clip.state_dict(), folder / "open_clip_model.safetensors")
        tokenizer = tower.tokenizer()
        if hasattr(tokenizer, "tokenizer"):  # Hugging Face's: open_clip looks for it in the folder
            tokenizer.tokenizer.save_pretrained(folder)
        if model.region_head is not None:
            beside = folder / "region_head"
            beside.mkdir()
            _save(model.region_state(), beside / "region_head.safetensors")
            (beside / "cloc_config.json").write_text(json.dumps(model.description, indent=2) + "\n")
        write_parity(
            folder,
            answers(model, probe),
            load_and_answer(folder, probe),
            tolerance=TOLERANCE,
            loader=f"open_clip {open_clip.__version__}",
            probe=probe,
        )


@torch.no_grad()
def load_and_answer(folder: Path, probe: Probe) -> dict[str, torch.Tensor]:
    """The folder's `image` and `text` embeddings through open_clip's own loader, normalisation and
    tokenizer."""
    try:
        model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    except (RuntimeError, TypeError, ValueError) as error:
        line = " ".join(str(error).split())[:300]
        raise UserError(
            f"open_clip cannot rebuild this tower, nothing was exported: {line}"
        ) from error
    tokens = open_clip.get_tokenizer(f"local-dir:{folder}")(list(probe.texts))
    normalize = preprocess.transforms[-1]
    model.eval()
    return {
        "image": model.encode_image(normalize(probe.images.float() / 255), normalize=True),
        "text": model.encode_text(tokens, normalize=True),
    }


def _save(state: dict[str, torch.Tensor], path: Path) -> None:
    save_file({k: v.detach().cpu().contiguous() for k, v in state.items()}, path)
