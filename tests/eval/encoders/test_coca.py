"""CoCa of open_clip, which no tower of ours can be: its own answers, in its own preprocessing."""

import numpy as np
import open_clip
import PIL.Image
import pytest
import torch

from cloc.errors import UserError
from cloc.eval.conformance import check
from cloc.eval.encoders.encoder import open_encoder
from cloc.eval.extractors import crop, roi
from tests.helpers.encoders import save_coca

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_coca(tmp_path_factory.mktemp("coca"))


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
