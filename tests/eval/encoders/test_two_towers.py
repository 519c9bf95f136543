"""The pictures of one encoder with the texts of another."""

import numpy as np
import PIL.Image
import pytest
import timm
import torch
from safetensors.torch import save_file

from cloc.errors import UserError
from cloc.eval.encoders.encoder import Encoder, of_model, open_encoder
from cloc.eval.encoders.two_towers import joined
from tests.helpers.models import NATIVE, make_model
from tests.helpers.vectors import Vectors

CPU = torch.device("cpu")


def test_texts_of_another_encoder_of_the_same_space():
    vision, text = (
        of_model(make_model(NATIVE, seed, region_head=None), f"m{seed}", device=CPU)
        for seed in (0, 1)
    )
    both = joined(vision, text)
    prepared = vision.embedder.prepare([PIL.Image.new("RGB", (9, 9))], [np.zeros((0, 4))]).images
    assert both.embedder.images(prepared).equal(vision.embedder.images(prepared))
    assert both.embedder.texts(["a dog"]).equal(text.embedder.texts(["a dog"]))
    assert both.embedder.tokens(["A"]) == text.embedder.tokens(["A"])
    assert both.name == "m0 with the texts of m1"
    assert both.digest not in ("", vision.digest, text.digest)
    other = Encoder(Vectors(4), "mine", None, "own", "")
    with pytest.raises(UserError, match="m0 embeds pictures in 24 dimensions and mine texts in 4"):
        joined(vision, other)


def test_a_tower_of_timms_has_the_texts_of_another_or_none(tmp_path):
    save_file(timm.create_model("test_vit").state_dict(), tmp_path / "trunk.safetensors")
    spec = f"timm:test_vit,{tmp_path}/trunk.safetensors"
    vision, again = (open_encoder(spec, device=CPU) for _ in range(2))
    assert vision.digest == again.digest  # no random weight is in it
    assert not vision.has_texts
    with pytest.raises(UserError, match=r"timm:test_vit,.* has no text tower; give text_encoder="):
        vision.embedder.texts(["a"])
    wide = NATIVE | {"embed_dim": 1000}
    text = of_model(make_model(wide, region_head=None), "mine", device=CPU)
    both = joined(vision, text)
    assert both.has_texts
    assert both.embedder.texts(["a dog"]).equal(text.embedder.texts(["a dog"]))
    with pytest.raises(UserError, match=r"has no text tower"):
        joined(text, vision)
