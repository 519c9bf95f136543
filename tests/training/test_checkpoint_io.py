"""State to a folder and back, while training goes on; what goes wrong is said at once."""

import errno
import json
import threading
from concurrent.futures import wait

import pytest
import torch
from safetensors.torch import load_file

from cloc.checkpoints import folder
from cloc.checkpoints.folder import HashedFile, newest
from cloc.checkpoints.locations import place_of
from cloc.errors import UserError
from cloc.training.checkpoint_io import CheckpointFolders, copied
from tests.helpers.checkpoints import replace_file, save, tiny

STATE = {
    "loops": {"fit": {"n": 3}},
    "optimizer_states": [{"state": {0: {"exp": torch.arange(4.0)}}}],
}


@pytest.fixture
def folders(tmp_path):
    return CheckpointFolders(place_of(tmp_path))


def fill_the_disk(monkeypatch, after=0):
    """Every write past so many bytes fails; returns what makes room again."""
    written, write = [0], HashedFile.write

    def full(self, data):
        written[0] += memoryview(data).nbytes
        if written[0] > after:
            self.error = OSError(errno.ENOSPC, "No space left on device")
            raise self.error
        return write(self, data)

    monkeypatch.setattr(folder.HashedFile, "write", full)
    return lambda: monkeypatch.setattr(folder.HashedFile, "write", write)


def test_what_was_saved_comes_back(folders):
    model = tiny()
    save(folders, model, 5, **STATE)
    found = folders.load_checkpoint(folders.path(5))
    weights = found.pop("state_dict")
    assert weights.keys() == {"model.weight", "model.bias"}
    assert torch.equal(weights["model.weight"], model.weight)
    state = found.pop("optimizer_states")
    assert torch.equal(state[0]["state"][0]["exp"], torch.arange(4.0))
    assert found == {"global_step": 5, "loops": STATE["loops"]}


def test_a_folder_holds_the_weights_once_and_the_models_description(folders):
    save(folders, tiny(), 5, **STATE)
    folder = folders.place.staging / "step-00000005"
    assert load_file(folder / "model.safetensors").keys() == {"weight", "bias"}
    assert json.loads((folder / "cloc_config.json").read_text()) == {"size": 4}
    assert torch.load(folder / "trainer.ckpt", weights_only=True)["state_dict"] == {}


def test_what_is_no_weight_of_the_model_comes_back_too(folders):
    module = {"model.weight": torch.ones(2), "average.weight": torch.zeros(2)}
    folders.save_checkpoint({"global_step": 1, "state_dict": module, "cloc_config": {}}, "")
    folders.finish()
    found = folders.load_checkpoint(folders.path(1))["state_dict"]
    assert {name: value.tolist() for name, value in found.items()} == {
        "model.weight": [1, 1],
        "average.weight": [0, 0],
    }


def test_what_changes_after_the_save_is_not_saved(folders, monkeypatch):
    """Training goes on while the thread writes; the next save waits for it."""
    go, model, write = threading.Event(), tiny(), HashedFile.write
    before = model.weight.detach().clone()

    def slow(self, data):
        go.wait(10)
        return write(self, data)

    monkeypatch.setattr(folder.HashedFile, "write", slow)
    module = {"model.weight": model.weight}
    state = {"global_step": 1, "state_dict": module, "cloc_config": {}, "lists": [{"at": [1]}]}
    folders.save_checkpoint(state, "")
    with torch.no_grad():
        model.weight.zero_()
    state["lists"][0]["at"].append(2)
    folders.poll()  # nothing has gone wrong by now
    assert folders.place.steps() == []
    go.set()
    folders.finish()
    found = folders.load_checkpoint(folders.path(1))
    assert torch.equal(found["state_dict"]["model.weight"], before)
    assert found["lists"] == [{"at": [1]}]


def test_copies_use_the_memory_of_the_last_ones():
    value = {"a": [torch.ones(3), (torch.zeros(2), 5)], "b": "text"}
    first = copied(value)
    value["a"][0] += 1
    second = copied(value, first)
    assert second["a"][0] is first["a"][0]
    assert second["a"][1][0] is first["a"][1][0]
    assert second["a"][0].tolist() == [2, 2, 2]
    assert (second["a"][1][1], second["b"]) == (5, "text")
    other = copied({"a": [torch.ones(4)], "b": torch.ones(1)}, second)
    assert (other["a"][0].tolist(), other["b"].tolist()) == ([1] * 4, [1])
    assert second["a"][0].tolist() == [2, 2, 2]


def test_the_newest_stay(folders):
    for step in (1, 2, 3):
        save(folders, tiny(), step)
    assert folders.place.steps() == [2, 3]
    with pytest.raises(UserError, match="checkpoint_keep is 0, expected 1 or more"):
        CheckpointFolders(folders.place, keep=0)


def test_a_step_is_removed_and_what_is_none_stays(folders):
    for step in (1, 2):
        save(folders, tiny(step), step)
    for path in (folders.path(1), folders.path(7), "elsewhere"):
        folders.remove_checkpoint(path)
    assert folders.place.steps() == [2]


@pytest.mark.parametrize("after", [0, 100, 400, 1500])
def test_a_full_disk_is_one_line_and_leaves_the_last_one_whole(folders, monkeypatch, after):
    save(folders, tiny(), 4)
    fill_the_disk(monkeypatch, after)
    says = r"step-00000008 could not be saved: the disk is full; step-00000004 is whole\. Make room"
    with pytest.raises(UserError, match=says) as error:
        save(folders, tiny(), 8)
    assert "\n" not in str(error.value)
    assert newest(folders.place) == (4, [])
    assert [path.name for path in folders.place.staging.iterdir()] == ["step-00000004"]


def test_an_error_of_the_thread_is_raised_by_whoever_comes_first(folders, monkeypatch):
    room = fill_the_disk(monkeypatch)
    says = "could not be saved: the disk is full; there is none before it"
    for ask in (folders.poll, folders.finish, lambda: save(folders, tiny(), 2)):
        folders.save_checkpoint({"global_step": 1, "state_dict": {}, "cloc_config": {}}, "")
        wait([folders.writing])
        with pytest.raises(UserError, match=says):
            ask()
        folders.poll()  # it is raised once
    folders.save_checkpoint({"global_step": 1, "state_dict": {}, "cloc_config": {}}, "")
    folders.teardown()  # keeps silent: the run has an error of its own
    room()
    folders.writing = None
    save(folders, tiny(), 3)
    assert folders.place.steps() == [3]


def test_nothing_in_a_folder_is_run(folders, tmp_path):
    save(folders, tiny(), 1)
    for name in ("trainer.ckpt", "model.safetensors"):
        kept = replace_file(tmp_path, 1, name, b"cos\nsystem\n(S'true'\ntR.")
        with pytest.raises(UserError, match=r"step-00000001 cannot be read as a checkpoint \("):
            folders.load_checkpoint(folders.path(1), weights_only=False)
        replace_file(tmp_path, 1, name, kept)
    with pytest.raises(UserError, match=r"x\.ckpt is not the name of a checkpoint"):
        folders.load_checkpoint("x.ckpt")
