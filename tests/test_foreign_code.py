"""Folders of strangers that bring code: it is refused by name and never run, whoever reads them."""

import builtins
import json
import re
import shutil
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

import huggingface_hub
import pytest
import torch
import transformers

import cloc
from cloc.errors import UserError
from cloc.export.formats.open_clip import OpenCLIP
from cloc.foreign_code import described, refuse_code, unasked
from cloc.models.load import load_model
from cloc.models.start import read_start
from cloc.models.start_folder import FOLDER, keep
from cloc.models.tokenizers import make_tokenizer
from cloc.models.tower_build import make_tower
from cloc.transformers_layout.tokenizer import write_tokenizer
from data_prep.pretrained import load_pretrained
from tests.helpers.hf import make_clip
from tests.helpers.hub import local_hub
from tests.helpers.models import CONTEXT, NATIVE, make_model
from tests.helpers.probe import probe_of

CODE = """
from pathlib import Path
Path({mark!r}).touch()
from transformers import BertConfig as Config, BertTokenizer as Tokenizer
"""
MAPS = {
    "tokenizer_config.json": {"auto_map": {"AutoTokenizer": ["code.Tokenizer", None]}},
    "config.json": {"auto_map": {"AutoConfig": "code.Config"}, "model_type": "mine"},
    "processor_config.json": {"auto_map": {"AutoProcessor": "code.Processor"}},
    "preprocessor_config.json": {"auto_map": {"AutoImageProcessor": "code.Pictures"}},
    "deep.json": {"a": [{"b": {"auto_map": {"AutoTokenizer": "code.Tokenizer"}}}]},
    "inner/config.json": {"auto_map": {"AutoConfig": "code.Config"}},
}


@pytest.fixture
def mark(tmp_path):
    """A file that is there if any of the code below has run; its folder brings the code."""
    return tmp_path / "it has run"


@pytest.fixture(autouse=True)
def _nobody_answers_yes(monkeypatch, mark):
    """A person who would say yes to whatever is asked, and a cache of modules of their own."""
    monkeypatch.setattr(builtins, "input", lambda *_: "y")
    cache = mark.parent / "modules"
    monkeypatch.setattr(transformers.dynamic_module_utils, "HF_MODULES_CACHE", str(cache))
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    assert not mark.exists(), "code of a stranger has run"


def attack(folder, mark, *names):
    """Writes code into `folder` and what asks for it into these of its files."""
    folder.mkdir(exist_ok=True)
    (folder / "code.py").write_text(CODE.format(mark=str(mark)))
    for name in names:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        before = json.loads(path.read_text()) if path.is_file() else {}
        path.write_text(json.dumps({**before, **MAPS[name]}))
    return folder


def test_the_attack_works_where_it_is_trusted(tmp_path, monkeypatch):
    """Else the other tests would show nothing."""
    other = tmp_path / "trusted"
    folder = attack(tmp_path / "folder", other, "tokenizer_config.json", "config.json")
    with suppress(Exception):  # it has no vocabulary
        transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    assert other.exists()


@pytest.mark.parametrize("name", MAPS)
def test_every_file_that_asks_is_refused_by_name(tmp_path, mark, name):
    folder = attack(tmp_path / "folder", mark, name)
    with pytest.raises(UserError, match=rf"{name}: it asks for code of its own \(auto_map\)"):
        refuse_code(folder)


def test_words_of_a_vocabulary_and_empty_maps_ask_for_nothing(tmp_path):
    (tmp_path / "vocab.json").write_text('{"auto_map": 5, "trust_remote_code": 6}')
    (tmp_path / "config.json").write_text('{"auto_map": {}, "trust_remote_code": false}')
    (tmp_path / "broken.json").write_text("{")
    refuse_code(tmp_path)
    (tmp_path / "more.json").write_text("[" * 100_000)
    with pytest.raises(UserError, match=r"more\.json is nested too deep"):
        refuse_code(tmp_path)


def hugging_face(name, **options):
    text = {**NATIVE["text_cfg"], "hf_tokenizer_name": str(name), "tokenizer_kwargs": options}
    return {**NATIVE, "text_cfg": text}


def test_no_option_of_a_tokenizer_but_the_known_ones(tmp_path, mark):
    folder = attack(tmp_path / "folder", mark, "tokenizer_config.json")
    for options in ({"trust_remote_code": True}, {"code_revision": "x"}, {"clean": ["lower"]}):
        [key] = options
        with pytest.raises(
            UserError,
            match=rf"tokenizer_kwargs\.{key}=.* there are clean \(canon",
        ):
            make_tokenizer(hugging_face(folder, **options))
        with pytest.raises(UserError, match=rf"tokenizer_kwargs\.{key}="):
            make_tower(hugging_face(folder, **options))
    own = {**NATIVE, "text_cfg": {**NATIVE["text_cfg"], "tokenizer_kwargs": {"bpe_path": "x"}}}
    with pytest.raises(UserError, match=r"tokenizer_kwargs\.bpe_path='x' is no option"):
        make_tokenizer(own)
    with pytest.raises(UserError, match=r"tokenizer_config\.json: it asks for code"):
        make_tokenizer(hugging_face(folder))


@pytest.fixture
def exported(tmp_path):
    folder = tmp_path / "exported"
    folder.mkdir()
    model = make_model(region_head=None)
    OpenCLIP().export(model, folder, probe_of(model))
    return folder


def test_an_open_clip_folder_brings_no_code(tmp_path, mark, exported):
    config = json.loads((exported / "open_clip_config.json").read_text())
    asks = hugging_face("anything", trust_remote_code=True)
    for change in (asks, hugging_face("anything"), NATIVE):
        folder = tmp_path / "changed"
        shutil.copytree(exported, folder, dirs_exist_ok=True)
        text = json.dumps({**config, "model_cfg": change})
        (folder / "open_clip_config.json").write_text(text)
        attack(folder, mark, "tokenizer_config.json", "config.json")
        for read in (cloc.load, lambda path: make_tower(start=f"open_clip:{path}").tokenizer()):
            with pytest.raises(UserError, match="asks for code of its own"):
                read(folder)
        shutil.rmtree(folder)


def test_a_text_tower_of_transformers_brings_no_code(tmp_path, mark, exported):
    elsewhere = attack(tmp_path / "elsewhere", mark, "config.json")
    text = {"hf_model_name": str(elsewhere), "hf_tokenizer_name": str(elsewhere)}
    with pytest.raises(UserError, match=r"elsewhere/config\.json: it asks for code"):
        make_tower({"embed_dim": 24, "vision_cfg": NATIVE["vision_cfg"], "text_cfg": text})
    path = exported / "open_clip_config.json"
    config = json.loads(path.read_text())
    config["model_cfg"]["text_cfg"] |= text
    path.write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"elsewhere/config\.json: it asks for code"):
        cloc.load(exported)


@pytest.mark.parametrize("place", ["local-dir:{}", "hf-hub:somebody/model", "{}"])
def test_a_trunk_of_timm_is_a_name_and_no_place(tmp_path, place):
    name = place.format(tmp_path)
    config = {**NATIVE, "vision_cfg": {"timm_model_name": name, "image_size": 32}}
    with pytest.raises(UserError, match=r"timm has no model .*start=timm:NAME,FILE"):
        make_tower(config)
    with pytest.raises(UserError, match=r"timm has no model"):
        read_start(f"timm:{name}")


def test_a_folder_of_transformers_brings_no_code(tmp_path, mark):
    folder = tmp_path / "hf"
    make_clip().save_pretrained(folder)
    write_tokenizer(make_model().tower.tokenizer(), {}, folder, context_length=CONTEXT)
    for name in ("tokenizer_config.json", "preprocessor_config.json", "inner/config.json"):
        changed = tmp_path / "changed"
        shutil.copytree(folder, changed)
        attack(changed, mark, name)
        for read in (cloc.load, lambda path: read_start(f"hf:{path}")):
            with pytest.raises(UserError, match=rf"{name}: it asks for code"):
                read(changed)
        shutil.rmtree(changed)


def test_the_start_that_a_run_has_kept_brings_no_code(tmp_path, mark):
    model = make_model(region_head=None)
    keep(model.tower, tmp_path, description=model.description)
    kept = tmp_path / FOLDER
    path = kept / "cloc_config.json"
    description = json.loads(path.read_text())
    attack(kept, mark, "tokenizer_config.json")
    tower = {**description["tower"], "config": hugging_face("anything", trust_remote_code=True)}
    path.write_text(json.dumps({"tower": tower}))
    with pytest.raises(UserError, match="tokenizer_kwargs"):
        load_model(kept)
    path.write_text(json.dumps({"tower": {**tower, "config": hugging_face("anything")}}))
    with pytest.raises(UserError, match=r"tokenizer_config\.json: it asks for code"):
        cloc.load(kept)
    for place in ({"start": f"hf:{kept}"}, {"folder": str(kept)}):
        path.write_text(json.dumps({"tower": {**description["tower"], **place}}))
        with pytest.raises(UserError, match=rf"names another place \({next(iter(place))}\)"):
            load_model(kept)


def test_models_of_stages_bring_no_code(tmp_path, mark):
    for name in ("config.json", "processor_config.json", "inner/config.json"):
        folder = attack(tmp_path / name.replace("/", " "), mark, name)
        with pytest.raises(UserError, match=rf"model=.*{name}: it asks for code"):
            load_pretrained("AutoModel", str(folder), revision=None, device="cpu", dtype="float32")


def test_nobody_is_asked_whether_code_may_run(tmp_path, mark):
    """open_clip's text tower passes no trust_remote_code; transformers asks then, here "y"."""
    folder = attack(tmp_path / "folder", mark, "config.json")
    with unasked(), pytest.raises(ValueError, match="custom code"):
        transformers.AutoConfig.from_pretrained(folder)
    assert transformers.dynamic_module_utils.TIME_OUT_REMOTE_CODE > 0


def test_pickled_weights_are_tensors_alone(tmp_path, mark):
    class Runs:
        def __reduce__(self):
            return type(mark).touch, (mark,)

    state = {**make_model().tower.clip.state_dict(), "more": Runs()}
    torch.save(state, tmp_path / "weights.pt")
    for start in ("open_clip:ViT-B-32,{}", "open_clip:{}", "timm:vit_tiny_patch16_224,{}"):
        with pytest.raises(UserError, match=r"weights\.pt|Weights only"):
            read_start(start.format(tmp_path / "weights.pt"))


def test_every_file_that_a_tokenizer_of_transformers_reads_is_fetched(tmp_path, monkeypatch):
    """What happened: PhoBERT's bpe.codes stayed behind, and its tokenizer was another one."""
    sources = Path(transformers.__file__).parent.glob("models/*/tokenization*.py")
    lists = [re.findall(r"VOCAB_FILES_NAMES = {(.*?)}", s.read_text(), re.DOTALL) for s in sources]
    names = {name for found in lists for of in found for name in re.findall(r': "(.+?)"', of)}
    assert names > {"bpe.codes", "source.spm", "prophetnet.tokenizer", "vocab.json"}
    with local_hub() as (address, repositories):
        own = partial(
            huggingface_hub.snapshot_download, endpoint=address, cache_dir=tmp_path / "cache"
        )
        monkeypatch.setattr(huggingface_hub, "snapshot_download", own)
        for repository in ("somebody/model", "model"):
            left = {"pytorch_model.bin": b"", "code.py": b"", "model.safetensors": b""}
            repositories[repository] = {**dict.fromkeys(names, b"{}"), **left}
            assert {path.name for path in described(repository).iterdir()} == names
