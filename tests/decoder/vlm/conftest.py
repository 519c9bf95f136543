"""A tiny VLM of each layout, opened once."""

import numpy as np
import PIL.Image
import pytest
import torch

from cloc.decoder.vlm.asked import ask
from cloc.decoder.vlm.vlm import open_vlm
from tests.helpers.vlms import KINDS, save_vlm

QUESTIONS = ("where is the dog ?", "what is left of the red star ?", "what ?")


def photos():
    """Three of noise; Qwen sees each in a grid of its own."""
    draws = np.random.default_rng(0)
    sides = ((40, 24), (32, 32), (48, 16))
    return [PIL.Image.fromarray(draws.integers(0, 256, (*s, 3), np.uint8)) for s in sides]


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("vlms")
    return {kind: save_vlm(kind, root / kind) for kind in KINDS}


@pytest.fixture(scope="session")
def opened(folders):
    return {k: open_vlm(f"hf:{f}", device=torch.device("cpu")) for k, f in folders.items()}


@pytest.fixture(params=KINDS)
def vlm(request, opened):
    return opened[request.param]


@pytest.fixture
def asked(vlm):
    return ask(vlm, photos(), QUESTIONS)
