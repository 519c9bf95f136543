"""An open_clip folder, hub-ready, with the region head beside it in a subfolder."""

import json
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import save_file

from cloc.errors import UserError

TOLERANCE = 1e-5  # of unit embeddings, element by element


class OpenCLIP:
    """`open_clip.create_model_and_transforms("local-dir:FOLDER")` loads what this writes.

    The region head goes into `region_head/`: open_clip takes the first weight file it finds in the
    folder itself, and its strict load accepts no extra key.
    """

    def export(self, model: Any, folder: Path) -> None:
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
        check_parity(tower, folder)


@torch.no_grad()
def check_parity(tower: Any, folder: Path) -> float:
    """Largest difference of an image or text embedding to open_clip's own loader; <= 1e-5."""
    try:
        theirs, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    except (RuntimeError, TypeError, ValueError) as error:
        line = " ".join(str(error).split())[:300]
        raise UserError(
            f"open_clip cannot rebuild this tower, nothing was exported: {line}"
        ) from error
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    theirs.eval()
    size = tower.image_size
    seeded = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (4, 3, size, size), dtype=torch.uint8, generator=seeded)
    normalize = preprocess.transforms[-1]
    tokens = tokenizer(["a photo", "two red stars left of a blue ring"])
    training = tower.training
    tower.eval()
    ours = (
        tower.images(pixels.to(tower.mean.device)).pooled,
        tower.texts(tokens.to(tower.mean.device)),
    )
    tower.train(training)
    others = (
        theirs.encode_image(normalize(pixels.float() / 255), normalize=True),
        theirs.encode_text(tokens, normalize=True),
    )
    worst = max(float((a.cpu() - b).abs().max()) for a, b in zip(ours, others, strict=True))
    if not worst <= TOLERANCE:
        raise UserError(
            f"the exported folder's embeddings differ by {worst:.1e} from the model's (at most "
            f"{TOLERANCE:.0e} is right): open_clip cannot rebuild this tower, nothing was exported"
        )
    return worst


def _save(state: dict[str, torch.Tensor], path: Path) -> None:
    save_file({k: v.detach().cpu().contiguous() for k, v in state.items()}, path)
