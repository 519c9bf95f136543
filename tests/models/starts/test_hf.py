"""Folders that transformers itself wrote, as starts: the same answers, or a clear error."""

import copy
import json
import shutil
from functools import partial

import pytest
import torch
from huggingface_hub import snapshot_download

from cloc.errors import UserError
from cloc.models import transformers_folder
from cloc.models.starts.hf import CLIPS_SPECIAL, read
from cloc.models.tower_build import make_tower
from tests.helpers.hf import make_clip, make_siglip, write_tokenizer
from tests.helpers.hub import local_hub
from tests.helpers.models import CONTEXT, random_pixels

MEAN, STD = [0.5, 0.4, 0.3], [0.3, 0.2, 0.25]
WORDS = ["a photo of a dog", "two red stars left of a blue ring", "x"]


def edit(path, **change):
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))


def pixels_file(folder, **change):
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"image_mean": MEAN, "image_std": STD, **change})
    )


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """transformers' own folder of a CLIP, with a processor's file beside it."""
    folder = tmp_path_factory.mktemp("clip")
    make_clip().save_pretrained(folder)
    pixels_file(folder)
    return folder


@pytest.fixture(scope="module")
def siglip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("siglip")
    make_siglip(text={"vocab_size": 400}).save_pretrained(folder)
    write_tokenizer(folder)
    return folder


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The repositories of a hub on this machine."""
    with local_hub() as (address, repositories):
        own = partial(snapshot_download, endpoint=address, cache_dir=tmp_path / "cache")
        monkeypatch.setattr(transformers_folder, "snapshot_download", own)
        yield repositories


@pytest.fixture
def copy_of(tmp_path):
    def make(folder):
        return shutil.copytree(folder, tmp_path / "copy")

    return make


def tower_of(start):
    tower = make_tower(start.config, mean=start.mean, std=start.std).eval()
    tower.clip.load_state_dict(start.state)  # strict: all keys
    tower.folder = start.folder
    return tower


@torch.no_grad()
def compare(tower, model, tokens, *, post_norm):
    """Embeddings and un-pooled tokens, on the same normalised pixels and the same tokens."""
    seen = random_pixels(0, 2, size=tower.image_size)
    x = (seen / 255 - tower.mean) / tower.std
    out = model(pixel_values=x, input_ids=tokens)
    ours = tower.images(seen)
    torch.testing.assert_close(ours.pooled, out.image_embeds, rtol=0, atol=1e-5)
    torch.testing.assert_close(tower.texts(tokens), out.text_embeds, rtol=0, atol=1e-5)
    last = out.vision_model_output.last_hidden_state
    if post_norm:  # transformers normalises the class token alone
        last = model.vision_model.post_layernorm(last)[:, 1:]
    torch.testing.assert_close(ours.tokens, last, rtol=0, atol=1e-5)
    scale = tower.clip.logit_scale.exp()
    logits = scale * ours.pooled @ tower.texts(tokens).T + (tower.clip.logit_bias or 0)
    torch.testing.assert_close(logits, out.logits_per_image, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("act", "vision"),
    [
        ("quick_gelu", {}),
        ("gelu", {"image_size": 48, "layer_norm_eps": 1e-6}),
        ("gelu_pytorch_tanh", {"num_hidden_layers": 3}),
    ],
)
def test_a_clip_answers_as_in_transformers(tmp_path, act, vision):
    model = make_clip(act, vision=vision)
    model.save_pretrained(tmp_path)
    start = read(tmp_path)
    assert start.folder is None  # open_clip's own tokenizer
    assert (start.mean, start.std) == (None, None)
    tower = tower_of(start)
    tokens = tower.tokenizer()(WORDS, CONTEXT)
    compare(tower, model, tokens, post_norm=True)


@pytest.mark.parametrize("size", [32, 64])  # the size in the trunk's name, and another
def test_a_siglip_answers_as_in_transformers(tmp_path, size):
    model = make_siglip(text={"vocab_size": 400}, vision={"image_size": size})
    model.save_pretrained(tmp_path)
    write_tokenizer(tmp_path)
    start = read(tmp_path)
    assert start.mean == start.std == (0.5, 0.5, 0.5)  # SigLIP's own where no file says more
    tower = tower_of(start)
    assert tower.image_size == size
    tokens = tower.tokenizer()(WORDS, CONTEXT)
    assert tokens[2].tolist() == [17] + [1] * (CONTEXT - 1)  # the folder's words and padding
    compare(tower, model, tokens, post_norm=False)


def test_the_pictures_mean_and_std_are_the_folders(clip, copy_of):
    start = read(clip)
    assert (start.mean, start.std) == (tuple(MEAN), tuple(STD))
    folder = copy_of(clip)
    inside = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").unlink()
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": inside}))
    assert read(folder).mean == tuple(MEAN)


def test_weights_are_float32_in_whatever_precision_they_were_saved(tmp_path):
    model = make_clip()
    model.half().save_pretrained(tmp_path)
    state = read(tmp_path).state
    assert {value.dtype for value in state.values()} == {torch.float32}
    theirs = model.state_dict()["vision_model.embeddings.class_embedding"]
    assert state["visual.class_embedding"].equal(theirs.float())


def same(a, b):
    return a.keys() == b.keys() and all(a[name].equal(b[name]) for name in a)


def test_weights_in_several_files_and_in_a_pickle(clip, tmp_path):
    wanted = read(clip).state
    model = make_clip()
    model.save_pretrained(tmp_path / "shards", max_shard_size="1MB")
    assert len(list((tmp_path / "shards").glob("model-*.safetensors"))) > 1
    assert same(read(tmp_path / "shards").state, wanted)
    pickled = tmp_path / "pickled"
    model.config.save_pretrained(pickled)
    torch.save(model.state_dict(), pickled / "pytorch_model.bin")
    assert same(read(pickled).state, wanted)


def test_clips_byte_pairs_are_known_by_their_vocabulary(clip, copy_of):
    from open_clip.tokenizer import SimpleTokenizer

    from cloc.transformers_layout.tokenizer import write_tokenizer as write_clips

    folder = copy_of(clip)
    write_clips(SimpleTokenizer(), {}, folder, context_length=CONTEXT)
    assert read(folder).folder is None  # with open_clip's names of the marks
    written = json.loads((folder / "tokenizer.json").read_text())["model"]
    vocabulary = {CLIPS_SPECIAL.get(word, word): i for word, i in written["vocab"].items()}
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "CLIPTokenizer"}')
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    merges = "".join(f"{first} {second}\n" for first, second in written["merges"])
    (folder / "merges.txt").write_text(f"#version: 0.2\n{merges}")
    assert read(folder).folder is None  # with transformers'
    vocabulary["!"], vocabulary['"'] = 1, 0
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    start = read(folder)  # another vocabulary of the same size
    assert start.folder == folder
    assert start.config["text_cfg"]["hf_tokenizer_name"] == "copy"


def test_a_siglip_is_cleaned_as_open_clip_cleans_it(siglip):
    start = read(siglip)
    assert start.folder == siglip
    assert start.config["text_cfg"]["tokenizer_kwargs"] == {"clean": "canonicalize"}
    tower = tower_of(start)
    assert tower.tokenizer()(["A photo!"], CONTEXT).equal(tower.tokenizer()(["a photo"], CONTEXT))


class Ran:
    """Would leave a file behind if anybody unpickled it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_pickle_with_code_in_it_is_refused_and_does_not_run(clip, tmp_path):
    folder = shutil.copytree(clip, tmp_path / "copy")
    (folder / "model.safetensors").unlink()
    torch.save({"x": Ran(tmp_path / "ran")}, folder / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"pytorch_model.bin holds more than tensors.*safetensors"):
        read(folder)
    assert not (tmp_path / "ran").exists()
    torch.save({"x": [torch.ones(1)]}, folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="is not a mapping of names to tensors"):
        read(folder)


def no_config(folder):
    (folder / "config.json").unlink()


def no_json(folder):
    (folder / "config.json").write_text("{")


def no_weights(folder):
    (folder / "model.safetensors").unlink()


def damaged(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def other_size(folder):
    config = json.loads((folder / "config.json").read_text())
    config["vision_config"]["image_size"] = 64
    edit(folder / "config.json", **config)


def other_depth(folder):
    config = json.loads((folder / "config.json").read_text())
    config["vision_config"]["num_hidden_layers"] = 3
    edit(folder / "config.json", **config)


def lost_shard(folder):
    index = {"weight_map": {"logit_scale": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def shard_elsewhere(folder):
    index = {"weight_map": {"logit_scale": "../other/model.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def no_parts(folder):
    edit(folder / "config.json", text_config=3)


def uneven_heads(folder):
    config = json.loads((folder / "config.json").read_text())
    config["vision_config"]["num_attention_heads"] = 0
    edit(folder / "config.json", **config)


def timms(folder):
    (folder / "config.json").write_text('{"architecture": "vit_base_patch16_224"}')


def mixed_acts(folder):
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["hidden_act"] = "gelu"
    edit(folder / "config.json", **config)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            no_config,
            r"config.json does not exist; hf: takes a folder that CLIPModel or",
        ),
        (no_json, r"config.json is not JSON"),
        (
            lambda f: edit(f / "config.json", model_type="blip"),
            r"model_type='blip' is unknown here; hf: takes a folder that CLIPModel or SiglipModel",
        ),
        (
            lambda f: edit(f / "config.json", model_type="siglip2"),
            r"NaFlex.*have model_type siglip",
        ),
        (
            lambda f: edit(f / "config.json", model_type="clip_vision_model"),
            r"a vision tower alone.*give the whole model.*or .*timm:NAME",
        ),
        (no_parts, r"config.json: 'int' object is not a mapping"),
        (uneven_heads, r"config.json: .*by zero"),
        (timms, r"model_type=None is no model of transformers' but timm's, an image tower alone"),
        (mixed_acts, r"config.json: the towers' hidden_act are gelu and quick_gelu"),
        (no_weights, r"holds no weights: model.safetensors, .* or pytorch_model.bin"),
        (damaged, r"model.safetensors is damaged"),
        (other_size, r"position_embedding.weight is \[17, 32\] .* asks for \[65, 32\]"),
        (other_depth, r"config.json needs .*layers.2.*is config.json of another model"),
        (lost_shard, r"model-00001-of-00002.safetensors is missing"),
        (shard_elsewhere, r"names no file of its folder"),
        (lambda f: pixels_file(f, do_normalize=False), r"do_normalize must be true"),
        (lambda f: pixels_file(f, image_mean=0.5), r"image_mean=0.5 are not three numbers"),
        (lambda f: pixels_file(f, image_std=[0.3, 0, 0.3]), r"image_std=.* not three positive nu"),
        (lambda f: pixels_file(f, image_std=[-1, 1, 1]), r"image_std=.* not three positive number"),
        (lambda f: pixels_file(f, image_std=[1, 1, float("inf")]), r"not three positive numbers"),
        (lambda f: pixels_file(f, image_mean=[1, 1, float("nan")]), r"not three finite numbers"),
        (lambda f: pixels_file(f, crop_size="a"), r"crop_size or .*'a' is no number of pixels"),
        (lambda f: pixels_file(f, size={"shortest_edge": -4}), r"read \(-4 is no number of pixels"),
        (lambda f: pixels_file(f, size={"shortest_edge": "a"}), r"read \('a' is no number of pix"),
        (lambda f: pixels_file(f, rescale_factor=0), r"rescale_factor=0 is no positive number"),
        (lambda f: pixels_file(f, rescale_factor="1"), r"rescale_factor='1' is no positive"),
    ],
)
def test_what_is_no_start_is_refused_with_the_reason(clip, copy_of, spoil, words):
    folder = copy_of(clip)
    spoil(folder)
    with pytest.raises(UserError, match=words) as error:
        read(folder)
    assert "\n" not in str(error.value)


def test_weights_of_a_vision_tower_alone_under_a_whole_configuration(clip, copy_of):
    from safetensors.torch import load_file, save_file

    folder = copy_of(clip)
    path = folder / "model.safetensors"
    vision = {k: v for k, v in load_file(path).items() if k.startswith("vision_model.")}
    save_file(vision, path)
    with pytest.raises(UserError, match=r"config.json needs .* and \d+ more, which the"):
        read(folder)


def test_a_tokenizer_that_is_code_or_is_not_there_or_does_not_fit(siglip, copy_of):
    folder = copy_of(siglip)
    write_tokenizer(folder, words=401)
    with pytest.raises(UserError, match=r"ids up to 400, but the text tower only 400"):
        read(folder)
    edit(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["code.Tokenizer", None]})
    with pytest.raises(UserError, match=r"asks for code of its own \(auto_map\), which"):
        read(folder)
    for strange in ({"model": 3}, {"model": {"vocab": {"a": 1}}}):
        (folder / "tokenizer_config.json").unlink(missing_ok=True)
        (folder / "tokenizer.json").write_text(json.dumps(strange))
        with pytest.raises(UserError, match=r"its tokenizer cannot be read: "):
            read(folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"a vocabulary of 400 words, but no tokenizer; put its"):
        read(folder)


def test_reading_changes_nothing_in_the_folder(clip):
    before = {path: path.stat().st_mtime_ns for path in clip.iterdir()}
    start = read(clip)
    config = copy.deepcopy(start.config)
    make_tower(start.config)
    assert start.config == config
    assert before == {path: path.stat().st_mtime_ns for path in clip.iterdir()}


def test_a_repository_of_the_hub_is_fetched_once_it_is_known_to_be_one(clip, hub):
    repository = {path.name: path.read_bytes() for path in clip.iterdir()}
    hub["somebody/model"] = dict(repository)
    assert same(read("somebody/model").state, read(clip).state)
    assert set(hub.served) == {"config.json", "preprocessor_config.json", "model.safetensors"}
    hub.served.clear()
    hub["somebody/blip"] = {**repository, "config.json": b'{"model_type": "blip"}'}
    with pytest.raises(UserError, match="model_type='blip' is unknown here"):
        read("somebody/blip")
    assert "model.safetensors" not in hub.served


def test_a_siglip_with_sentencepieces_file_is_fetched_whole(siglip, hub):
    files = {path.name: path.read_bytes() for path in siglip.iterdir()}
    hub["a/b"] = {
        **files,
        "spiece.model": b"x",
        "modeling.py": b"raise",
        "flax_model.msgpack": b"x",
    }
    start = read("a/b")
    assert (start.folder / "spiece.model").is_file()
    assert set(hub.served) == {*files, "spiece.model"}


def test_what_is_neither_a_folder_nor_on_the_hub_says_so(hub):
    with pytest.raises(UserError, match=r"hf:a/b: there is no such folder, .*hub gives none"):
        read("a/b")


@pytest.mark.parametrize("factor", [1, 1 / 127.5, 1 / 255])
@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_mean_and_std_are_of_pixels_whatever_the_processor_multiplies_them_with(
    request, copy_of, kind, factor
):
    """As transformers' own processor has it, its default mean and std included."""
    from transformers import CLIPImageProcessor, SiglipImageProcessor

    folder = copy_of(request.getfixturevalue(kind))
    make = {"clip": CLIPImageProcessor, "siglip": SiglipImageProcessor}[kind]
    seen = random_pixels(0, 1)
    for given in ({"image_mean": [127.5] * 3, "image_std": [50.0, 60.0, 70.0]}, {}):
        path = folder / "preprocessor_config.json"
        path.write_text(json.dumps({**given, "rescale_factor": factor}))
        still = {"do_resize": False, "do_center_crop": False, "return_tensors": "pt"}
        wanted = make(**given, rescale_factor=factor)(seen, **still)["pixel_values"]
        tower = tower_of(read(folder))
        torch.testing.assert_close((seen / 255 - tower.mean) / tower.std, wanted)


def test_names_as_people_copy_them(clip, hub, monkeypatch):
    hub["openai/model"] = {path.name: path.read_bytes() for path in clip.iterdir()}
    web = "https://huggingface.co/openai/model"
    for name in ("openai/model", "openai/model/", web, f"{web}/", f"{web}/tree/main"):
        assert read(name).mean == tuple(MEAN)
    monkeypatch.setenv("HOME", str(clip.parent))
    assert read(f"~/{clip.name}").mean == tuple(MEAN)
    for name in ("/no/such/folder", "~/none", "folder", "a/b/c"):
        with pytest.raises(UserError, match=r"there is no such folder; .* hf:FOLDER or hf:ORG/NA"):
            read(name)
