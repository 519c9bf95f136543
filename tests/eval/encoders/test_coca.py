"""CoCa of open_clip, which no tower of ours can be: its own answers, in its own preprocessing."""

import json

import numpy as np
import open_clip
import PIL.Image
import pytest
import torch
from safetensors.torch import save_file

from cloc.errors import UserError
from cloc.eval.conformance import check
from cloc.eval.encoders.encoder import open_encoder
from cloc.eval.extractors import crop, roi

CPU = torch.device("cpu")
SMALL = {
    "embed_dim": 24,
    "vision_cfg": {
        **{"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
        **{"attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True},
    },
    "text_cfg": {
        **{"context_length": 20, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
        **{"embed_cls": True, "output_tokens": True},
    },
    "multimodal_cfg": {
        **{"context_length": 20, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
        "attn_pooler_heads": 2,
    },
    "custom_text": True,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("coca")
    torch.manual_seed(0)
    config = {key: value for key, value in SMALL.items() if key != "custom_text"}
    model = open_clip.CoCa(**config)
    for weight in model.parameters():  # one of them open_clip leaves as memory was
        torch.nn.init.normal_(weight, std=0.05)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    seen = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4], "interpolation": "bicubic"}
    told = {"model_cfg": SMALL, "preprocess_cfg": {**seen, "resize_mode": "squash"}}
    (folder / "open_clip_config.json").write_text(json.dumps(told))
    return folder


@pytest.fixture(scope="module")
def encoder(folder):
    return open_encoder(f"open_clip:{folder}", device=CPU)


@torch.no_grad()
def test_vectors_are_those_of_open_clip_itself(folder, encoder):
    model, _, see = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    image, words = PIL.Image.fromarray(pixels), ["a dog", "two red stars left of a cat"]
    wanted = model.eval().encode_image(see(image)[None], normalize=True)
    prepared = encoder.embedder.prepare([image], [np.zeros((0, 4), np.float32)])
    torch.testing.assert_close(encoder.embedder.images(prepared.images), wanted, atol=2e-3, rtol=0)
    tokens = open_clip.get_tokenizer(f"local-dir:{folder}")(words)
    given = encoder.embedder.texts(words)
    torch.testing.assert_close(given, model.encode_text(tokens, normalize=True))


def test_it_conforms_and_takes_the_extractors_that_show_pixels(encoder):
    assert encoder.frame == "own: squash 32x32, bicubic"
    assert not encoder.has_regions
    assert check(encoder.embedder).failing == []
    box = np.array([[2, 3, 20, 30]], np.float32)
    shown = crop.extractor(encoder.embedder)
    assert shown.regions(*shown.prepare([PIL.Image.new("RGB", (40, 40))], [box])).shape == (
        1,
        1,
        24,
    )
    with pytest.raises(UserError, match=r"roi: this encoder has no patches"):
        roi.extractor(encoder.embedder)
    with pytest.raises(UserError, match=r"CoCa has no regions of its own; take extractors=\[crop"):
        encoder.embedder.regions(*encoder.embedder.prepare([PIL.Image.new("RGB", (40, 40))], [box]))
    assert encoder.embedder.ground(torch.zeros(1), [["a"]]) is None
    assert encoder.embedder.tokens(["A"]) == encoder.embedder.tokens(["a"])


def test_another_frame_is_another_encoder_and_another_size_is_refused(folder, encoder):
    padded = open_encoder(f"open_clip:{folder}", frame="pad", device=CPU)
    assert (padded.frame, padded.digest == encoder.digest) == ("pad: pad 32x32, bicubic", False)
    with pytest.raises(UserError, match="image_size=64: the size of a CoCa is fixed"):
        open_encoder(f"open_clip:{folder}", image_size=64, device=CPU)
