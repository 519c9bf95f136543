"""Folders of encoders in the layouts of other libraries."""

import json

from safetensors.torch import save_file

from tests.helpers.models import NATIVE, make_model


def save_open_clip(folder, *, resize_mode, seed=0):
    """As open_clip's own folders are; ours name the model that wrote them too."""
    folder.mkdir(parents=True)
    clip = make_model(NATIVE, seed, region_head=None).tower.clip
    save_file(dict(clip.state_dict()), folder / "open_clip_model.safetensors")
    seen = {
        "mean": [0.5, 0.4, 0.3],
        "std": [0.2, 0.3, 0.4],
        "interpolation": "bicubic",
        "resize_mode": resize_mode,
    }
    config = {"model_cfg": NATIVE, "preprocess_cfg": seen}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return folder
