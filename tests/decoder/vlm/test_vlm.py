"""Opening: what transformers reads, and what is refused in one line."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from cloc.decoder.vlm import vlm as opening
from cloc.decoder.vlm.vlm import open_vlm
from cloc.errors import UserError
from tests.decoder.vlm.test_joint import mllama

CPU = torch.device("cpu")


@pytest.fixture
def copy(folders, tmp_path):
    return shutil.copytree(folders["llava"], tmp_path / "copy")


def test_weights_are_those_of_the_folder_in_their_own_number_type(vlm, folders, tmp_path):
    kind = {"llava": "llava", "qwen2_vl": "qwen2", "qwen3_vl": "qwen3"}[vlm.model.config.model_type]
    stored = load_file(folders[kind] / "model.safetensors")
    own = {float(weight.double().sum()) for weight in vlm.model.state_dict().values()}
    assert {float(weight.double().sum()) for weight in stored.values()} <= own
    assert not vlm.model.training
    assert vlm.device == CPU
    half = shutil.copytree(folders[kind], tmp_path / "half")
    short = {name: weight.bfloat16() for name, weight in stored.items()}
    save_file(short, half / "model.safetensors", metadata={"format": "pt"})
    changed(half / "config.json", dtype="bfloat16")
    assert open_vlm(f"hf:{half}", device=CPU).model.dtype == torch.bfloat16


def test_a_name_of_the_hub_is_read_by_the_same_function_at_one_commit(folders, monkeypatch):
    asked = []

    def described(name):
        asked.append(name)
        return folders["llava"]

    def read(transformers, folder, at):
        asked.append(at)
        raise UserError("far enough")

    monkeypatch.setattr(opening, "described", described)
    monkeypatch.setattr(opening, "_read", read)
    with pytest.raises(UserError, match="far enough"):
        open_vlm("hf:llava-hf/llava-1.5-7b-hf", device=CPU)
    name = "llava-hf/llava-1.5-7b-hf"
    assert asked == [name, {"pretrained_model_name_or_path": name, "revision": "llava"}]


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("llava", "vlm=llava; write vlm=hf:FOLDER or hf:ORG/NAME"),
        ("hf:", "vlm=hf:; write vlm=hf:FOLDER"),
        ("timm:x", "vlm=timm:x; write vlm=hf:FOLDER"),
        ("hf:nowhere", "vlm=hf:nowhere: there is no such folder; write hf:FOLDER or hf:ORG/NAME"),
    ],
)
def test_what_is_no_folder_is_one_line(spec, says):
    with pytest.raises(UserError, match=says):
        open_vlm(spec, device=CPU)


def test_a_name_that_the_hub_does_not_give(monkeypatch):
    def described(name):
        raise OSError("no\nnetwork")

    monkeypatch.setattr(opening, "described", described)
    with pytest.raises(UserError, match=r"and the hub gives none \(no network\)"):
        open_vlm("hf:someone/nothing", device=CPU)


def changed(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_code_of_its_own_is_never_run(copy):
    changed(copy / "config.json", auto_map={"AutoModel": "mine.Model"})
    with pytest.raises(UserError, match="it asks for code of its own"):
        open_vlm(f"hf:{copy}", device=CPU)


def test_weights_that_are_not_whole_are_refused(copy):
    weights = load_file(copy / "model.safetensors")
    gone = next(name for name in weights if "q_proj" in name and "language" in name)
    del weights[gone]
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"the weights lack .*q_proj.*; take the whole model"):
        open_vlm(f"hf:{copy}", device=CPU)


def test_a_folder_that_is_no_vlm_or_lacks_a_file_is_one_line(copy):
    kept = (copy / "processor_config.json").read_text()
    (copy / "processor_config.json").unlink()
    with pytest.raises(UserError) as told:
        open_vlm(f"hf:{copy}", device=CPU)
    assert "\n" not in str(told.value)
    (copy / "processor_config.json").write_text(kept)
    changed(copy / "config.json", model_type="bert")
    with pytest.raises(UserError, match="cannot be read by transformers: ") as told:
        open_vlm(f"hf:{copy}", device=CPU)
    assert "\n" not in str(told.value)


def test_a_model_with_cross_attention_is_refused_before_its_weights_are_read(tmp_path):
    with torch.device("meta"):
        mllama().config.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="its words see pictures by cross-attention"):
        open_vlm(f"hf:{tmp_path}", device=CPU)


def test_without_transformers_it_says_what_to_install(monkeypatch, folders):
    def missing(name):
        raise ImportError("No module named 'transformers'")

    monkeypatch.setattr(opening, "import_module", missing)
    with pytest.raises(UserError, match=r"pip install 'cloc-pretrain\[hf\]'"):
        open_vlm(f"hf:{folders['llava']}", device=CPU)
