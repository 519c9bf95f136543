"""Every extractor, by its name, on real photographs through a tiny model with random weights."""

import json
from importlib import import_module
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from cloc.eval import extractors
from cloc.eval.extractors.image_space import ImageSpaceEmbedder
from cloc.models.embedder import ModelEmbedder
from tests.helpers.models import make_model
from tests.helpers.photos import MINI, NEEDS_MINI

SHARED = {"image_space"}
NAMES = sorted(p.stem for p in Path(extractors.__file__).parent.glob("*.py") if p.stem[0] != "_")


def photographs(count=3, most=4):
    """Pictures with two or more boxes each, and boxes [n, 4]."""
    file = MINI / "annotations/instances_train2017.json"
    data = json.loads(file.read_text())
    pictures, boxes = [], []
    for row in data["images"]:
        own = [a["bbox"] for a in data["annotations"] if a["image_id"] == row["id"]]
        found = np.array([[x, y, x + w, y + h] for x, y, w, h in own if w > 2 and h > 2])
        path = MINI / "train2017" / row["file_name"]
        if len(found) >= 2 and path.is_file():
            pictures.append(PIL.Image.open(path).convert("RGB"))
            boxes.append(found[:most].astype(np.float32))
        if len(pictures) == count:
            break
    assert len(pictures) == count
    return pictures, boxes


def filled(picture, boxes):
    masks = np.zeros((len(boxes), picture.height, picture.width), bool)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes.round().astype(int), strict=True):
        mask[y0:y1, x0:x1] = True
    return masks


@NEEDS_MINI
@pytest.mark.parametrize("name", [name for name in NAMES if name not in SHARED])
def test_it_runs_on_photographs(name):
    embedder = import_module(f"cloc.eval.extractors.{name}").extractor(ModelEmbedder(make_model()))
    pictures, boxes = photographs()
    if getattr(embedder, "takes_masks", False):
        masks = [filled(*one) for one in zip(pictures, boxes, strict=True)]
        prepared = embedder.prepare_masked(pictures, boxes, masks)
    else:
        prepared = embedder.prepare(pictures, boxes)
    found = embedder.regions(*prepared)[prepared.valid]
    assert len(found) == sum(map(len, boxes))
    torch.testing.assert_close(found.norm(dim=-1), torch.ones(len(found)))
    assert found.std(0).max() > 1e-4  # regions differ
    whole = embedder.images(prepared.images)
    assert whole.shape == (3, found.shape[1])
    assert embedder.texts(["a dog"]).shape == (1, found.shape[1])
    if isinstance(embedder, ImageSpaceEmbedder):
        assert embedder.ground(prepared.images, [["a dog"]] * 3) is None


def test_all_that_are_promised_are_there():
    promised = "crop crop_context blur red_circle roi roi_value mask_pool prompter".split()
    assert set(promised) <= set(NAMES)
