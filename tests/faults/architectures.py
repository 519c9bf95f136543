"""Every architecture of `open_clip.list_models()`: it works behind our surface, or says why not.

python -m tests.faults.architectures [NAME ...]     # all; one line of JSON

Built on the meta device: shapes only. Text towers that are read from a hub are not asked for.
"""

import json
import os
import sys
import time
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything that looks

import open_clip
import torch

from cloc.errors import UserError
from cloc.models.tower_build import make_tower

REASONS = {
    "CoCa towers end in an attentional pooler": "replaces its tokens",
    "open_clip cannot build model.tower.config": "its text tower is on a hub",
}


def look(name):
    """None where tokens, embeddings and texts have their shapes; else why it is refused."""
    try:
        with torch.device("meta"):
            tower = make_tower(name)
            size = tower.image_size
            pixels = torch.empty(2, 3, size, size, dtype=torch.uint8)
            texts = torch.zeros(3, tower.context_length, dtype=torch.long)
    except UserError as error:
        return next((why for start, why in REASONS.items() if str(error).startswith(start)), error)
    tokens, pooled, *_ = tower.images(pixels)
    found = (tokens.shape, pooled.shape, tower.texts(texts).shape)
    places = tower.grid[0] * tower.grid[1]
    expected = ((2, places, tower.width), (2, tower.dim), (3, tower.dim))
    return None if found == expected else f"{found}, expected {expected}"


def run(names=()):
    """How many work, how many are refused for which reason, and what is wrong with the others."""
    warnings.simplefilter("ignore")
    began, refused, wrong, works = time.perf_counter(), {}, [], 0
    for name in names or open_clip.list_models():
        why = look(name)
        if why is None:
            works += 1
        elif why in REASONS.values():
            refused[why] = refused.get(why, 0) + 1
        else:
            wrong.append(f"{name}: {why}")
    seconds = round(time.perf_counter() - began)
    return {
        "what": "architectures",
        "works": works,
        "refused": refused,
        "wrong": wrong,
        "seconds": seconds,
    }


if __name__ == "__main__":
    found = run(sys.argv[1:])
    print(json.dumps(found))
    sys.exit(bool(found["wrong"]))
