"""An exported folder through open_clip's own loader and preprocessing, and back through ours."""

import json

import numpy as np
import open_clip
import PIL.Image
import pytest
import torch
from safetensors.torch import load_file, save_file

import cloc
from cloc.errors import UserError
from cloc.export.formats import open_clip as module
from cloc.export.formats.open_clip import OpenCLIP
from cloc.export.weights import round_weights
from cloc.models.build import build_model
from cloc.models.embedder import ModelEmbedder
from tests.helpers.models import CLOC_PARTS, EVA, NATIVE, make_model
from tests.helpers.photos import MINI
from tests.helpers.probe import probe_of

WORDS = ["a photo of a dog", "two red stars left of a blue ring", "x"]


def pictures():
    """Photographs where they are, else noise in shapes that do not divide evenly."""
    paths = sorted((MINI / "train2017").glob("*.jpg"))[:6]
    if paths:
        return [PIL.Image.open(path).convert("RGB") for path in paths]
    rng = np.random.default_rng(0)
    sizes = [(33, 71), (240, 57), (48, 48), (101, 100)]
    return [PIL.Image.fromarray(rng.integers(0, 256, (*s, 3), np.uint8)) for s in sizes]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    tower = {"config": NATIVE, "image_size": 48, "mean": (0.5, 0.4, 0.3), "std": (0.3, 0.2, 0.25)}
    tower["background"] = [9, 8, 7]
    return build_model(tower, **CLOC_PARTS)


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    training = model.tower.training
    OpenCLIP().export(model, folder, probe_of(model))
    assert model.tower.training is training
    return folder


@torch.no_grad()
def test_open_clip_gives_the_same_embeddings_of_real_pixels_and_words(model, folder):
    """Through its own preprocessing, from the picture on."""
    theirs, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    tokenize = open_clip.get_tokenizer(f"local-dir:{folder}")
    theirs.eval()
    ours = ModelEmbedder(model)
    x = ours.prepare(pictures(), [np.zeros((0, 4))] * len(pictures())).images
    images = theirs.encode_image(torch.stack([preprocess(p) for p in pictures()]), normalize=True)
    texts = theirs.encode_text(tokenize(WORDS), normalize=True)
    torch.testing.assert_close(ours.images(x), images, rtol=0, atol=1e-5)
    torch.testing.assert_close(ours.texts(WORDS), texts, rtol=0, atol=1e-5)


def test_loaded_back_every_answer_is_exactly_the_models(model, folder):
    ours, theirs = ModelEmbedder(model), cloc.load(folder)
    assert theirs.model.tower.background == (9, 8, 7)
    boxes = [np.array([[3, 4, p.width / 2, p.height - 1], [0, 0, 9, 9]]) for p in pictures()]
    x, framed, valid = ours.prepare(pictures(), boxes)
    for a, b in zip((x, framed, valid), theirs.prepare(pictures(), boxes), strict=True):
        assert a.equal(b)
    assert ours.images(x).equal(theirs.images(x))
    assert ours.texts(WORDS).equal(theirs.texts(WORDS))
    assert ours.regions(x, framed, valid).equal(theirs.regions(x, framed, valid))
    asked = [WORDS] * len(x)
    assert torch.stack(ours.ground(x, asked)).equal(torch.stack(theirs.ground(x, asked)))
    assert theirs.model.region_scale().equal(model.region_scale())
    assert theirs.model.tower.scale().equal(model.tower.scale())


def test_what_the_folder_holds(model, folder):
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert names == {
        "open_clip_config.json",
        "open_clip_model.safetensors",
        "region_head/cloc_config.json",
        "region_head/region_head.safetensors",
        "parity.json",
    }
    config = json.loads((folder / "open_clip_config.json").read_text())
    assert config["model_cfg"] == {
        **NATIVE,
        "vision_cfg": {**NATIVE["vision_cfg"], "image_size": 48},
    }
    assert config["preprocess_cfg"]["resize_mode"] == "longest"
    assert config["preprocess_cfg"]["mean"] == [0.5, 0.4, 0.3]
    described = json.loads((folder / "region_head" / "cloc_config.json").read_text())
    assert described == json.loads(json.dumps(model.description))


def test_a_loaded_export_exports_again(folder, tmp_path):
    again = cloc.load(folder).model
    OpenCLIP().export(again, tmp_path, probe_of(again))
    ours, theirs = ((f / "open_clip_config.json").read_text() for f in (folder, tmp_path))
    assert ours == theirs


@pytest.mark.parametrize("size", [None, 224])
def test_a_timm_tower_is_exported_at_its_own_size_and_refused_at_another(tmp_path, size):
    torch.manual_seed(0)
    model = build_model({"config": EVA, "image_size": size})
    if size == 224:  # the size in the trunk's name
        OpenCLIP().export(model, tmp_path, probe_of(model))
        errors = json.loads((tmp_path / "parity.json").read_text())["outputs"]
        assert set(errors) == {"image", "text"}
        assert max(error["max_error"] for error in errors.values()) <= 1e-5
    else:
        says = r"builds timm's vit_tiny_patch16_224 for .*, not image_size=32; choose format=timm"
        with pytest.raises(UserError, match=says):
            OpenCLIP().export(model, tmp_path, probe_of(model))


def test_weights_that_open_clip_reads_otherwise_are_refused(tmp_path, monkeypatch):
    model = make_model(region_head=None)
    other = make_model(seed=1, region_head=None).tower.clip.state_dict()
    monkeypatch.setattr(module, "save_weights", lambda state, path, **_: save_file(other, path))
    with pytest.raises(UserError, match=r"exported image differs by .*at most 1e-05 is right"):
        OpenCLIP().export(model, tmp_path, probe_of(model))
    assert not (tmp_path / "parity.json").exists()


def test_a_hugging_face_tokenizer_is_saved_beside_the_weights(tmp_path, monkeypatch):
    model = make_model(region_head=None)
    saved = []

    class Wrapped:
        save_pretrained = staticmethod(saved.append)

    words = model.tower.tokenizer()
    words.tokenizer = Wrapped()
    monkeypatch.setattr(model.tower, "tokenizer", lambda: words)
    OpenCLIP().export(model, tmp_path, probe_of(model))
    assert saved == [tmp_path]


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_half_weights_are_those_of_the_model_rounded_to_them(tmp_path, precision):
    model = make_model()
    round_weights(model, precision)
    OpenCLIP(precision=precision).export(model, tmp_path, probe_of(model))
    stored = load_file(tmp_path / "open_clip_model.safetensors")
    assert {value.dtype for value in stored.values()} == {getattr(torch, precision)}
    assert cloc.load(tmp_path).model.state_dict().keys() == model.state_dict().keys()
    for name, value in cloc.load(tmp_path).model.state_dict().items():
        assert value.equal(model.state_dict()[name]), name
