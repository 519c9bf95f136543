"""An exported folder through transformers' own classes, and back through ours."""

import copy
import json
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

import cloc
from cloc.errors import UserError
from cloc.export.formats import hf as module
from cloc.export.formats.hf import HF
from cloc.export.parity import answers, embeddings, run_usage
from cloc.export.weights import round_weights
from cloc.models.build import build_model
from cloc.models.embedder import ModelEmbedder
from cloc.models.starts.hf import read
from cloc.models.tower_build import make_tower
from cloc.transformers_layout import tokenizer as tokenizer_files
from tests.helpers.hf import TINY_SIGLIP, make_clip, make_siglip, write_tokenizer
from tests.helpers.models import (
    CLOC_PARTS,
    CONVOLUTIONAL,
    EVA,
    NATIVE,
    make_model,
)
from tests.helpers.models import SIGLIP as WITH_CLASS_TOKEN
from tests.helpers.probe import probe_of

MEAN, STD = (0.5, 0.4, 0.3), (0.3, 0.2, 0.25)
TEXTS = [
    "a photo of a dog",
    "Hello, WORLD! it's 2 dogs!!! café naïve 日本 😀",
    "  two\n spaces ",
    "",
]
QUICK = {**NATIVE, "quick_gelu": True}


def model_on(config, **parts):
    torch.manual_seed(0)
    tower = {"config": copy.deepcopy(config), "image_size": 48, "mean": MEAN, "std": STD}
    tower["background"] = [9, 8, 7]
    model = build_model(tower, **copy.deepcopy(parts))
    with torch.no_grad():  # biases start as zeros, where a mix-up would not show
        for parameter in model.tower.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return model


def export(model, folder, **options):
    folder.mkdir(exist_ok=True)
    HF(**options).export(model, folder, probe_of(model))
    return folder


@pytest.fixture(scope="module")
def model():
    return model_on(NATIVE, **CLOC_PARTS)


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    training = model.tower.training
    folder = export(model, tmp_path_factory.mktemp("export"))
    assert model.tower.training is training
    return folder


def names_in(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


WHOLE = {"config.json", "model.safetensors", "preprocessor_config.json", "parity.json"}
TOKENIZER = {"tokenizer_config.json", "tokenizer.json"}
REGION_HEAD = {"region_head/cloc_config.json", "region_head/region_head.safetensors"}


def test_what_the_folder_holds(model, folder):
    assert names_in(folder) == WHOLE | TOKENIZER | REGION_HEAD
    described = json.loads((folder / "region_head" / "cloc_config.json").read_text())
    assert described == json.loads(json.dumps(model.description))
    head = load_file(folder / "region_head" / "region_head.safetensors")
    wanted = model.region_state()
    assert head.keys() == wanted.keys()
    assert all(head[name].equal(value) for name, value in wanted.items())


def test_loaded_back_every_answer_is_exactly_the_models(model, folder):
    ours, theirs = ModelEmbedder(model), cloc.load(folder)
    assert theirs.model.tower.background == (9, 8, 7)
    probe = probe_of(model)
    valid = torch.ones(probe.boxes.shape[:2], dtype=torch.bool)
    asked = [TEXTS] * len(probe.images)
    for embedder in (ours, theirs):
        assert embedder.model.tower.preprocess == {"mean": list(MEAN), "std": list(STD)}
    assert ours.images(probe.images).equal(theirs.images(probe.images))
    assert ours.texts(TEXTS).equal(theirs.texts(TEXTS))
    regions = [x.regions(probe.images, probe.boxes, valid) for x in (ours, theirs)]
    assert regions[0].equal(regions[1])
    found = [torch.stack(x.ground(probe.images, asked)) for x in (ours, theirs)]
    assert found[0].equal(found[1])
    assert theirs.model.tower.scale().equal(model.tower.scale())


@torch.no_grad()
@pytest.mark.parametrize("config", [QUICK, TINY_SIGLIP], ids=["quick_gelu", "siglip"])
def test_transformers_gives_the_same_embeddings(tmp_path, config):
    """Of pixels that its own processor has prepared, at a size that is not the trunk's own."""
    import transformers

    model = model_on(config).eval()
    folder = export(model, tmp_path / "out")
    parity = json.loads((folder / "parity.json").read_text())
    assert parity["loader"] == f"transformers {transformers.__version__}"
    assert set(parity["outputs"]) == {"image", "text"}
    theirs = transformers.AutoModel.from_pretrained(folder)
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    probe = probe_of(model)
    x = processor(images=list(probe.images), return_tensors="pt")["pixel_values"]
    tokens = model.tower.tokenizer()(TEXTS, model.tower.context_length)
    out = theirs(pixel_values=x, input_ids=tokens)
    ours = model.tower.images(probe.images)
    torch.testing.assert_close(ours.pooled, out.image_embeds, rtol=0, atol=1e-5)
    text = model.tower.texts(tokens)
    torch.testing.assert_close(text, out.text_embeds, rtol=0, atol=1e-5)
    bias = model.tower.bias()
    logits = model.tower.scale() * ours.pooled @ text.T + (0 if bias is None else bias)
    torch.testing.assert_close(logits, out.logits_per_image, rtol=0, atol=1e-4)


@torch.no_grad()
def test_the_exported_tokenizer_writes_the_same_texts(model, folder):
    """Up to and with the end token, which is pooled; behind it transformers repeats the end."""
    import transformers

    processor = transformers.AutoProcessor.from_pretrained(folder)
    tower = model.tower.eval()
    options = {"padding": "max_length", "truncation": True, "return_tensors": "pt"}
    theirs = processor(text=[*TEXTS, "word " * 99], **options)["input_ids"]
    ours = tower.tokenizer()([*TEXTS, "word " * 99], tower.context_length)
    assert theirs.shape == ours.shape
    ends = ours.argmax(1)
    assert theirs.argmax(1).equal(ends)
    before = torch.arange(ours.shape[1]) <= ends[:, None]
    assert ours[before].equal(theirs[before])
    assert tower.texts(ours).equal(tower.texts(theirs))


@torch.no_grad()
@pytest.mark.parametrize(
    ("config", "cls"),
    [(NATIVE, "CLIPVisionModelWithProjection"), (TINY_SIGLIP, "SiglipVisionModel")],
)
def test_the_image_tower_alone(tmp_path, config, cls):
    """Whatever the text tower is."""
    import transformers

    config = copy.deepcopy(config)
    causal = not config["text_cfg"].get("no_causal_mask")
    config["text_cfg"]["pool_type"] = "last" if causal else "first"
    model = model_on(config, **CLOC_PARTS).eval()
    with pytest.raises(UserError, match=r"pool_type"):
        export(model, tmp_path / "out")
    folder = export(model, tmp_path / "out", vision_only=True)
    assert names_in(folder) == WHOLE | REGION_HEAD
    assert set(json.loads((folder / "parity.json").read_text())["outputs"]) == {"image"}
    theirs, info = getattr(transformers, cls).from_pretrained(folder, output_loading_info=True)
    assert not any(info.values())
    x = torch.randn(2, 3, 48, 48)
    out = theirs(pixel_values=x)
    image = out.image_embeds if config is not TINY_SIGLIP and "image_embeds" in out else out[1]
    ours = model.tower.clip.encode_image(x)
    torch.testing.assert_close(ours, image, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("config", [NATIVE, TINY_SIGLIP], ids=["native", "siglip"])
def test_a_picture_in_trainings_frame_passes_the_processor_unchanged(tmp_path, config):
    """And any other is framed as the class does it, at the model's own size."""
    import transformers

    model = model_on(config)
    folder = export(model, tmp_path / "out")
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    frames = probe_of(model).images
    x = processor(images=list(frames), return_tensors="pt")["pixel_values"]
    wanted = (frames / 255 - model.tower.mean) / model.tower.std
    torch.testing.assert_close(x, wanted, rtol=0, atol=1e-6)
    wide = torch.zeros(3, 50, 90, dtype=torch.uint8)
    assert processor(images=[wide], return_tensors="pt")["pixel_values"].shape[2:] == (48, 48)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (EVA, "timm_pool=token"),
        (WITH_CLASS_TOKEN, "has 1 class or register tokens"),
        (CONVOLUTIONAL["resnet"], "OpenAI's ResNet"),
        (CONVOLUTIONAL["convnext"], "convnext_atto"),
        ({**NATIVE, "init_logit_bias": -10}, "CLIPModel has no bias of its logits"),
    ],
)
def test_a_model_without_a_twin_is_refused_and_nothing_is_written(tmp_path, config, reason):
    model = make_model(config, region_head=None)
    with pytest.raises(UserError, match=f"transformers has no class for this model .*{reason}"):
        export(model, tmp_path / "out")
    assert not names_in(tmp_path / "out")


def test_a_weight_that_no_class_has_a_place_for_is_refused(tmp_path):
    model = make_model(region_head=None)
    model.tower.clip.visual.register_parameter("rope", torch.nn.Parameter(torch.ones(1)))
    with pytest.raises(UserError, match=r"transformers' class has no place for .* visual.rope"):
        export(model, tmp_path / "out")


@pytest.mark.parametrize("make", [make_clip, make_siglip])
def test_from_transformers_and_back_every_weight_is_the_same(tmp_path, make):
    made = make()
    made.save_pretrained(tmp_path / "theirs")
    start = read(tmp_path / "theirs")
    model = build_model({"config": start.config, "mean": MEAN, "std": STD})
    model.tower.clip.load_state_dict(start.state)
    folder = export(model, tmp_path / "ours")
    again = load_file(folder / "model.safetensors")
    wanted = load_file(tmp_path / "theirs" / "model.safetensors")
    assert again.keys() == wanted.keys()
    assert all(again[name].equal(value) for name, value in wanted.items())
    # and once more, through our own files
    twice = read(folder)
    assert twice.mean == MEAN
    assert twice.config == start.config
    assert all(twice.state[name].equal(value) for name, value in start.state.items())


def test_a_folders_own_tokenizer_goes_with_it(tmp_path):
    make_siglip(text={"vocab_size": 400}).save_pretrained(tmp_path / "theirs")
    write_tokenizer(tmp_path / "theirs")
    start = read(tmp_path / "theirs")
    model = build_model({"config": start.config})
    model.tower.folder = start.folder
    folder = export(model, tmp_path / "ours")
    assert {"tokenizer.json", "tokenizer_config.json"} <= names_in(folder)
    again = make_tower(start.config)
    again.folder = folder
    ours, theirs = (tower.tokenizer()(TEXTS, 12) for tower in (model.tower, again))
    assert ours.equal(theirs)


def test_a_siglip_with_clips_words_gets_no_tokenizer(tmp_path):
    """transformers' would pad with another id than the one that was trained, and it is read."""
    assert names_in(export(model_on(TINY_SIGLIP), tmp_path / "out")) == WHOLE


def test_weights_that_transformers_reads_otherwise_are_refused(tmp_path, monkeypatch):
    model = make_model(region_head=None)
    save = module.save_weights

    def swapped(state, path, **options):
        state = dict(state)
        name = "vision_model.encoder.layers.0.self_attn.{}_proj.weight"
        q, k = name.format("q"), name.format("v")
        state[q], state[k] = state[k], state[q]
        save(state, path, **options)

    monkeypatch.setattr(module, "save_weights", swapped)
    with pytest.raises(UserError, match=r"exported image differs by .*at most 1e-05 is right"):
        export(model, tmp_path / "out")
    assert not (tmp_path / "out" / "parity.json").exists()


def test_a_weight_that_transformers_would_make_up_is_refused(tmp_path, monkeypatch):
    """A temperature is in no embedding, so parity alone would not see it."""
    model = make_model(region_head=None)

    def lossy(state, path, **options):
        kept = {k: v.contiguous() for k, v in state.items() if k != "logit_scale"}
        save_file(kept, path, metadata={"format": "pt"})

    monkeypatch.setattr(module, "save_weights", lossy)
    with pytest.raises(UserError, match=r"CLIPModel does not take the weights .*logit_scale"):
        export(model, tmp_path / "out")


def test_transformers_says_nothing_and_is_left_as_it_was(model, tmp_path, capfd):
    from transformers.utils import logging

    changes = {False: logging.disable_progress_bar, True: logging.enable_progress_bar}
    level = logging.get_verbosity()
    for shown, change in changes.items():
        change()
        export(model, tmp_path / str(shown), vision_only=True)
        assert logging.is_progress_bar_enabled() is shown
        assert logging.get_verbosity() == level
    assert capfd.readouterr().err == ""


def test_without_transformers_the_extra_is_named(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UserError, match=r"needs the package transformers .*cloc-pretrain\[hf\]"):
        export(model, tmp_path / "out")
    assert not names_in(tmp_path / "out")


@pytest.mark.parametrize("precision", ["float16", pytest.param("bfloat16", marks=pytest.mark.rare)])
def test_half_weights_are_those_of_the_model_rounded_to_them(tmp_path, precision):
    model = make_model()
    round_weights(model, precision)
    HF(precision=precision).export(model, tmp_path, probe_of(model))
    stored = load_file(tmp_path / "model.safetensors")
    halves = [v for v in stored.values() if v.is_floating_point()]
    assert all(value.dtype == getattr(torch, precision) for value in halves)
    errors = json.loads((tmp_path / "parity.json").read_text())["outputs"]
    assert max(error["max_error"] for error in errors.values()) <= 1e-5
    # and so does the documented way to load them, in float32
    names = run_usage(module.USAGE, tmp_path, probe_of(model))
    assert names["model"].dtype == torch.float32
    ours = answers(model, probe_of(model))
    for name, value in embeddings(names).items():
        torch.testing.assert_close(value, ours[name], rtol=0, atol=1e-5)


def test_a_tokenizer_that_reads_texts_otherwise_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(tokenizer_files, "_cleaning", lambda how: [])
    with pytest.raises(UserError, match="exported text differs by"):
        export(make_model(region_head=None), tmp_path / "out")
    assert not (tmp_path / "out" / "parity.json").exists()
