"""What is read is what is fetched: repositories of every shape, from a hub on this machine."""

import io
import json
from functools import partial

import pytest
import torch
from huggingface_hub import snapshot_download
from safetensors.torch import save

from cloc.errors import UserError
from cloc.models import transformers_folder
from cloc.models.transformers_folder import fetch_description, fetch_weights, read_weights
from tests.helpers.hub import local_hub

PARTS = {"a": torch.arange(3.0)}, {"b": torch.ones(2, 2)}
WHOLE = PARTS[0] | PARTS[1]
DESCRIBED = {
    name: json.dumps({"name": name}).encode()  # the cache holds equal contents once
    for name in (
        *("config.json", "preprocessor_config.json", "processor_config.json", "tokenizer.json"),
        *("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json"),
        *("vocab.txt", "merges.txt", "spiece.model", "tokenizer.model", "sentencepiece.bpe.model"),
    )
}
NEVER = {
    name: b"x"
    for name in (
        *("modeling.py", "README.md", "flax_model.msgpack", "tf_model.h5", "model.gguf"),
        *(
            "onnx/model.onnx",
            "onnx/config.json",
            "open_clip_model.safetensors",
            "training_args.bin",
        ),
        *("model.fp16.safetensors", "optimizer.bin", "trainer_state.json", "nested/config.json"),
    )
}


def pickled(state):
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def shards(stem, end, write):
    """Two files and their index."""
    names = [f"{stem}-0000{n}-of-00002.{end}" for n in (1, 2)]
    index = {"weight_map": {k: name for part, name in zip(PARTS, names, strict=True) for k in part}}
    files = {name: write(part) for part, name in zip(PARTS, names, strict=True)}
    return {f"{stem}.{end}.index.json": json.dumps(index).encode(), **files}


SINGLE = {"model.safetensors": save(WHOLE)}
SHARDED = shards("model", "safetensors", save)
PICKLE = {"pytorch_model.bin": pickled(WHOLE)}
PICKLES = shards("pytorch_model", "bin", pickled)
OTHER = {"pytorch_model.bin.index.json": PICKLES["pytorch_model.bin.index.json"]}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with local_hub() as (address, repositories):
        own = partial(snapshot_download, endpoint=address, cache_dir=tmp_path / "cache")
        monkeypatch.setattr(transformers_folder, "snapshot_download", own)
        yield repositories


def fetched(name):
    folder = fetch_description(name)
    fetch_weights(name, folder)
    return folder


@pytest.mark.parametrize(
    ("weights", "also", "indices"),
    [
        (SINGLE, {}, {}),
        (SINGLE, PICKLE, {}),
        (SINGLE, PICKLES, OTHER),
        (SHARDED, {}, {}),
        (SHARDED, PICKLES, OTHER),
        (SHARDED, SINGLE, {}),
        (PICKLE, {}, {}),
        (PICKLES, {}, {}),
        (PICKLES, PICKLE, {}),
    ],
)
def test_of_the_weights_the_form_that_is_read_is_fetched_and_no_other(hub, weights, also, indices):
    hub["a/b"] = {**NEVER, **also, **weights, **DESCRIBED}
    folder = fetched("a/b")
    assert set(hub.served) == {*DESCRIBED, *weights, *indices}
    assert len(hub.served) == len(set(hub.served))
    state = read_weights(folder)
    assert state.keys() == WHOLE.keys()
    assert all(state[name].equal(WHOLE[name]) for name in WHOLE)


@pytest.mark.parametrize("weights", [SINGLE, SHARDED, PICKLE, PICKLES])
def test_what_was_fetched_is_there_without_the_hub(tmp_path, monkeypatch, weights):
    with local_hub() as (address, repositories):
        own = partial(snapshot_download, endpoint=address, cache_dir=tmp_path)
        monkeypatch.setattr(transformers_folder, "snapshot_download", own)
        repositories["a/b"] = {**DESCRIBED, **weights}
        folder = fetched("a/b")
    assert fetched("a/b") == folder
    assert read_weights(folder).keys() == WHOLE.keys()


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "holds no weights: model.safetensors, model.safetensors.index.json, pytorch_model"),
        ({k: v for k, v in SHARDED.items() if "00001" not in k}, "00001.*is missing: the weights"),
        ({"model.safetensors": b"x"}, "model.safetensors is damaged"),
        ({"pytorch_model.bin": b"x"}, "holds more than tensors, or is damaged"),
        ({"pytorch_model.bin": pickled({"x": [1]})}, "is not a mapping of names to tensors"),
    ],
)
def test_a_repository_without_whole_weights_says_what_is_missing(hub, files, says):
    hub["a/b"] = {**DESCRIBED, **files}
    folder = fetched("a/b")
    with pytest.raises(UserError, match=says) as error:
        read_weights(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "name", ["../x.safetensors", "*.safetensors", "code.py", "a/b.safetensors", "model.bin", "?"]
)
def test_an_index_that_names_other_files_fetches_none(hub, name):
    index = json.dumps({"weight_map": {"a": name}}).encode()
    hub["a/b"] = {**DESCRIBED, **NEVER, "model.safetensors.index.json": index, "code.py": b""}
    folder = fetch_description("a/b")
    hub.served.clear()
    with pytest.raises(UserError, match="names no file of its folder"):
        fetch_weights("a/b", folder)
    assert hub.served == []


@pytest.mark.parametrize("status", [401, 403, 500])
def test_a_hub_that_refuses_is_one_line(tmp_path, monkeypatch, status):
    with local_hub(status=status) as (address, _):
        own = partial(snapshot_download, endpoint=address, cache_dir=tmp_path)
        monkeypatch.setattr(transformers_folder, "snapshot_download", own)
        with pytest.raises(
            UserError, match="hf:a/b: there is no such folder, and the hub"
        ) as error:
            fetched("a/b")
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="hf:a/b: there is no such folder, and the hub"):
        fetched("a/b")  # nobody answers
