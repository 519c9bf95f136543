"""SigLIP 2 of variable resolution: a tiny one of transformers, made here."""

import json
import shutil

import numpy as np
import PIL.Image
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from transformers import Siglip2ImageProcessor, Siglip2Model

from cloc.errors import UserError
from cloc.eval.conformance import check
from cloc.eval.encoders.encoder import open_encoder
from tests.helpers.encoders import save_naflex

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_naflex(tmp_path_factory.mktemp("naflex"))


def test_pictures_keep_their_aspect_and_boxes_are_fractions_of_the_picture(folder):
    encoder = open_encoder(f"hf:{folder}", device=CPU)
    assert encoder.frame == "own: NaFlex, 64 patches at most"
    photos = [PIL.Image.new("RGB", (80, 20), (255, 0, 0)), PIL.Image.new("RGB", (30, 60))]
    boxes = [np.array([[20, 5, 40, 20]], np.float32), np.zeros((0, 4), np.float32)]
    prepared = encoder.embedder.prepare(photos, boxes)
    assert prepared.boxes[0, 0].tolist() == [0.25, 0.25, 0.5, 1.0]
    assert prepared.valid.tolist() == [[True], [False]]
    wide, tall = encoder.embedder.pixels(prepared.images)
    assert wide.shape[2] > 3 * wide.shape[1]
    assert tall.shape[1] > tall.shape[2]
    assert wide.shape[1] * wide.shape[2] <= 64 * 16
    assert wide[0].mean() > wide[1].mean()  # red, as the picture


def test_boxes_are_where_the_patches_show_them(folder):
    assert check(open_encoder(f"hf:{folder}", device=CPU).embedder).failing == []


def test_answers_are_those_of_transformers(folder):
    embedder = open_encoder(f"hf:{folder}", device=CPU).embedder
    rng = np.random.default_rng(0)
    photos = [
        PIL.Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8))
        for size in ((40, 24), (16, 70))
    ]
    model = Siglip2Model.from_pretrained(folder).eval()
    processor = Siglip2ImageProcessor.from_pretrained(folder)
    with torch.no_grad():
        seen = model.get_image_features(**processor(images=photos, return_tensors="pt"))
        seen = getattr(seen, "pooler_output", seen)
    x = embedder.prepare(photos, [np.zeros((0, 4), np.float32)] * 2).images
    torch.testing.assert_close(embedder.images(x), F.normalize(seen, dim=-1))
    alone = embedder.prepare(photos[1:], [np.zeros((0, 4), np.float32)]).images
    torch.testing.assert_close(embedder.images(alone)[0], embedder.images(x)[1])
    words = embedder.texts(["A dog", "a dog"])
    assert words.shape == (2, 32)
    assert words[0].equal(words[1])  # read in lower case
    assert embedder.tokens(["A dog"]) == embedder.tokens(["a dog"])
    assert embedder.tokens([]) == []


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda f: cut(f / "model.safetensors"), r"cannot be read by transformers: .*header"),
        (lambda f: vision_alone(f / "model.safetensors"), r"the weights lack text_model\..*whole"),
        (
            lambda f: (f / "tokenizer.json").unlink(),
            r"has no tokenizer; put its tokenizer\.json or",
        ),
        (lambda f: processor(f, patch_size=8), r"cannot be read by transformers: mat1 and mat2"),
        (lambda f: processor(f, max_num_patches=0), r"cannot be read by transformers: "),
        (lambda f: (f / "config.json").write_text(STRANGE), r"cannot be read by transformers: "),
    ],
    ids=["cut", "vision alone", "no tokenizer", "patches", "no patches", "strange"],
)
def test_a_folder_whose_files_do_not_fit_is_a_line(folder, tmp_path, spoil, says, capfd):
    shutil.copytree(folder, tmp_path / "spoilt")
    spoil(tmp_path / "spoilt")
    capfd.readouterr()
    with pytest.raises(UserError, match=says) as error:
        open_encoder(f"hf:{tmp_path}/spoilt", device=CPU)
    assert "\n" not in str(error.value)
    assert capfd.readouterr().err == ""


STRANGE = '{"model_type": "siglip2", "text_config": {"hidden_size": "a"}}'


def cut(path):
    path.write_bytes(path.read_bytes()[:999])


def vision_alone(path):
    kept = {k: v for k, v in load_file(path).items() if not k.startswith("text_model.")}
    save_file(kept, path, metadata={"format": "pt"})


def processor(folder, **change):
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))


def test_what_it_cannot_do_is_said(folder, tmp_path):
    embedder = open_encoder(f"hf:{folder}", device=CPU).embedder
    assert embedder.ground(torch.zeros(0), [["a"]]) is None
    with pytest.raises(UserError, match="a NaFlex model has no regions of its own"):
        embedder.regions(torch.zeros(0), torch.zeros(0, 1, 4), torch.zeros(0, 1) > 0)
    with pytest.raises(UserError, match=r"frame=crop: .* sees every picture in its own aspect"):
        open_encoder(f"hf:{folder}", frame="crop", device=CPU)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "siglip2"}))
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(UserError, match=r"cannot be read by transformers") as error:
        open_encoder(f"hf:{tmp_path}", device=CPU)
    assert "\n" not in str(error.value)
