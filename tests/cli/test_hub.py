"""The upload of an exported folder, to a hub on this machine."""

import pytest

from cloc.cli.tasks.hub import push
from cloc.errors import UserError
from tests.helpers.hub import local_hub


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "out/region_head").mkdir(parents=True)
    (tmp_path / "out/README.md").write_text("---\nlicense: mit\n---\n# a card\n")
    (tmp_path / "out/region_head/weights.safetensors").write_bytes(bytes(range(256)))
    return tmp_path / "out"


def at(address, monkeypatch):
    for module in ("huggingface_hub.constants", "huggingface_hub.hf_api"):
        monkeypatch.setattr(f"{module}.ENDPOINT", address, raising=False)
    monkeypatch.setenv("HF_TOKEN", "hf_x")


def test_every_file_arrives_as_it_is(folder, monkeypatch):
    with local_hub() as (address, repositories):
        at(address, monkeypatch)
        said = push(folder, "somebody/model")
    assert said == f"pushed to {address}/somebody/model"
    assert set(repositories) == {"somebody/model"}
    assert repositories["somebody/model"] == {
        "README.md": (folder / "README.md").read_bytes(),
        "region_head/weights.safetensors": bytes(range(256)),
    }


def test_an_upload_that_is_refused_says_how_to_go_on_and_leaves_the_folder(folder, monkeypatch):
    before = sorted(folder.rglob("*"))
    with local_hub(status=403) as (address, _):
        at(address, monkeypatch)
        says = r"push=somebody/model failed .*; .*out is whole: log in .*hf upload somebody/model"
        with pytest.raises(UserError, match=says):
            push(folder, "somebody/model")
    assert sorted(folder.rglob("*")) == before


def test_no_hub_at_all_is_one_line_too(folder, monkeypatch):
    at("http://127.0.0.1:9", monkeypatch)
    with pytest.raises(UserError, match=r"push=somebody/model failed"):
        push(folder, "somebody/model")


def test_a_repository_has_an_owner(folder):
    with pytest.raises(UserError, match=r"push=model; write push=ORG/NAME"):
        push(folder, "model")
