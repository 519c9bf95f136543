"""Anybody's encoder, opened in its own preprocessing."""

import numpy as np
import open_clip
import PIL.Image
import pytest
import timm
import torch
import torch.nn.functional as F
from timm.data import create_transform, resolve_model_data_config

from cloc.errors import UserError
from cloc.eval.encoders.encoder import chosen, of_model, open_encoder
from cloc.frame import Framing, framed
from cloc.models.starts.timm import framing_of
from tests.helpers.checkpoints import save_run
from tests.helpers.encoders import save_open_clip
from tests.helpers.models import make_model

CPU = torch.device("cpu")
NO_BOX = [np.zeros((0, 4), np.float32)]


def photo(width, height, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return PIL.Image.fromarray(pixels)


@pytest.mark.parametrize("resize_mode", ["shortest", "squash", "longest"])
def test_an_open_clip_folder_is_seen_as_open_clip_sees_it(tmp_path, resize_mode):
    folder = save_open_clip(tmp_path / "clip", resize_mode=resize_mode)
    encoder = open_encoder(f"open_clip:{folder}", device=CPU)
    theirs, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    photos = [photo(91, 40), photo(33, 120), photo(32, 32)]
    with torch.no_grad():
        pixels = torch.stack([preprocess(p) for p in photos])
        wanted = F.normalize(theirs.eval().encode_image(pixels), dim=-1)
        words = F.normalize(theirs.encode_text(tokenizer(["a dog", "two cats"])), dim=-1)
    found = encoder.embedder.images(encoder.embedder.prepare(photos, NO_BOX * 3).images)
    torch.testing.assert_close(found, wanted, rtol=0, atol=2e-5)
    torch.testing.assert_close(encoder.embedder.texts(["a dog", "two cats"]), words)
    kind = {"shortest": "crop", "squash": "squash", "longest": "pad"}[resize_mode]
    assert encoder.frame == f"own: {kind} 32x32, bicubic"
    assert not encoder.has_regions


def test_another_frame_is_chosen_at_the_same_size(tmp_path):
    folder = save_open_clip(tmp_path / "clip", resize_mode="shortest")
    for frame, geometry in (("pad", "pad"), ("squash", "squash"), ("crop", "crop")):
        encoder = open_encoder(f"open_clip:{folder}", frame=frame, device=CPU)
        assert encoder.framing == Framing(geometry, 32)
        assert encoder.frame == f"{frame}: {geometry} 32x32, bicubic"
    assert chosen("pad", Framing("crop", 32, "bilinear", shorter=40)) == Framing(
        "pad", 32, "bilinear"
    )
    with pytest.raises(UserError, match="frame=nope; choose own, pad, squash, crop"):
        of_model(make_model(), "mine", frame="nope", device=CPU)  # as of run=
    with pytest.raises(UserError, match="frame=letterbox; choose own, pad, squash, crop"):
        open_encoder(f"open_clip:{folder}", frame="letterbox", device=CPU)


@pytest.mark.parametrize("share", [1.0, 0.875, 0.9])
@pytest.mark.parametrize("mode", ["center", "squash", "border"])
def test_timms_preprocessing_is_its_own_to_the_pixel(share, mode):
    """Squashed or padded ones that show only a part are not told apart from centre crops."""
    data = {"input_size": (3, 32, 32), "crop_pct": share, "crop_mode": mode}
    if mode != "center" and share != 1:
        return
    data |= {"interpolation": "bicubic", "mean": (0, 0, 0), "std": (1, 1, 1)}
    transform = create_transform(**data, is_training=False)
    for size in ((91, 40), (33, 120), (32, 32), (57, 58)):
        ours, _ = framed(photo(*size), framing_of(data))
        theirs = (transform(photo(*size)) * 255).round().byte().permute(1, 2, 0).numpy()
        assert np.array_equal(ours, theirs), (size, mode, share)


def test_every_pretrained_timm_model_has_a_framing():
    known = {"pad", "squash", "crop"}
    for name in timm.list_models("vit_*")[::120]:
        with torch.device("meta"):
            data = resolve_model_data_config(timm.create_model(name))
        assert framing_of(data).geometry in known


def test_a_run_sees_the_long_side_padded_as_it_was_trained():
    encoder = of_model(make_model(), "runs/x", device=CPU)
    assert encoder.frame == "own: pad 32x32, bicubic"
    assert encoder.has_regions
    assert of_model(make_model(), "runs/x", device=CPU).digest == encoder.digest
    others = [of_model(make_model(seed=1), "y", device=CPU)]
    others.append(of_model(make_model(), "runs/x", frame="squash", device=CPU))
    assert len({encoder.digest, *(other.digest for other in others)}) == 3


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("nowhere", "model=nowhere: no such folder; write open_clip:NAME/TAG"),
        ("open_clip:", "model=open_clip:; write open_clip:NAME/TAG"),
        ("onnx:nowhere", "onnx:nowhere: no onnx_config.json there"),
        ("module:nowhere.factory", "module:nowhere.factory cannot be imported"),
        ("module:factory", "module:factory; write module:your.module.factory"),
        ("open_clip:", "write open_clip:NAME/TAG"),
    ],
)
def test_what_cannot_be_opened_is_one_line(spec, says):
    with pytest.raises(UserError, match=says) as error:
        open_encoder(spec, device=CPU)
    assert "\n" not in str(error.value)


def test_a_run_named_as_a_model_keeps_its_own_regions_also_at_another_size(tmp_path):
    model = make_model(seed=3)
    save_run(tmp_path / "run", model)
    ours = of_model(model, "x", device=CPU)
    named, larger = (
        open_encoder(f"run:{tmp_path}/run", image_size=size, device=CPU) for size in (None, 64)
    )
    boxes = [np.array([[5, 4, 60, 30]], np.float32)]
    answers = []
    for encoder in (ours, named, larger):
        assert encoder.has_regions
        prepared = encoder.embedder.prepare([photo(91, 40)], boxes)
        words = [["a dog"]]
        found = encoder.embedder.ground(prepared.images, words)
        answers.append((encoder.embedder.regions(*prepared), found[0]))
    for one, other in zip(answers[0], answers[1], strict=True):
        torch.testing.assert_close(one, other)
    assert larger.frame == "own: pad 64x64, bicubic"
    assert not torch.allclose(answers[2][0], answers[0][0])


def test_the_key_of_a_wrong_size_is_that_of_the_command(tmp_path):
    save_run(tmp_path / "run", make_model())
    with pytest.raises(UserError, match=r"^image_size=-3: give pixels"):
        open_encoder(f"run:{tmp_path}/run", image_size=-3, device=CPU)
    with pytest.raises(UserError, match=r"pixels; set image_size to a multiple of 8"):
        open_encoder(f"run:{tmp_path}/run", image_size=50, device=CPU)
    with pytest.raises(UserError, match=r"image_size=64: the size of .* is fixed; leave it null"):
        open_encoder(str(tmp_path), image_size=64, device=CPU)
