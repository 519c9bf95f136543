"""`resume=auto`: from the newest checkpoint that is whole, else from the beginning."""

import shutil
import uuid

import prepare
import pytest
import torch
import train
from safetensors.torch import load_file

import cloc
from cloc.errors import UserError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of three steps that kept a checkpoint of each, and its overrides."""
    place = tmp_path_factory.mktemp("resume")
    prepare.main(["import=scenes", f"out={place}/scenes", "train=32", "val=0", "novel=0"])
    sizes = ("steps=3", "batch_size=4", "data.num_workers=0", "eval.every=0", "log_every=1")
    saves = ("checkpoint_every=1", "checkpoint_keep=3")
    given = ["experiment=smoke", *sizes, *saves, f"data.train={place}/scenes/train"]
    train.main([*given, f"runs={place}/runs"])
    return given, place / "runs/smoke"


@pytest.fixture
def run(trained, tmp_path):
    """A copy that lacks the last checkpoint: it was stopped after step 2. `go_on` continues it."""
    given, whole = trained
    shutil.copytree(whole, tmp_path / "runs/smoke")
    shutil.rmtree(tmp_path / "runs/smoke/checkpoints/step-00000003")

    def go_on(*overrides):
        train.main([*given, f"runs={tmp_path}/runs", "resume=auto", *overrides])

    return tmp_path / "runs/smoke", go_on


def flip(path):
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 4
    path.write_bytes(raw)


def steps(run):
    return sorted(int(path.name[-8:]) for path in (run / "checkpoints").iterdir())


def assert_same(run, whole):
    name = "checkpoints/step-00000003/model.safetensors"
    ours, theirs = load_file(run / name), load_file(whole / name)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_taken(run, trained, capsys):
    folder, go_on = run
    flip(folder / "checkpoints/step-00000002/trainer.ckpt")
    go_on()
    assert capsys.readouterr().err == (
        f"{folder}/checkpoints/step-00000002 is damaged: trainer.ckpt has other content than was "
        "saved; going on from step 1\n"
    )
    assert steps(folder) == [1, 2, 3]
    assert_same(folder, trained[1])


def test_none_that_is_whole_is_an_error(run):
    folder, go_on = run
    for step in (1, 2):
        flip(folder / f"checkpoints/step-0000000{step}/model.safetensors")
    with pytest.raises(UserError, match=r"^no checkpoint is whole \(.*2 is damaged: .*1 is dam"):
        go_on()


@pytest.mark.parametrize("left", ["no checkpoint", "a half written one", "no run folder"])
def test_a_run_that_was_stopped_before_its_first_checkpoint_begins(run, trained, left):
    """The same command works on the first start and on every restart."""
    folder, go_on = run
    shutil.rmtree(folder if left == "no run folder" else folder / "checkpoints")
    if left == "a half written one":
        (folder / "checkpoints/step-00000001.partial").mkdir(parents=True)
    go_on()
    assert steps(folder) == [1, 2, 3]
    assert_same(folder, trained[1])


def test_checkpoints_behind_a_url(trained, tmp_path, capsys):
    given, whole = trained
    url = f"memory://{uuid.uuid4()}/smoke"
    there = [*given, f"checkpoints={url}", f"runs={tmp_path}"]
    train.main(there)
    theirs = cloc.load(whole).model.state_dict()
    found = cloc.load(tmp_path / "smoke").model.state_dict()
    assert all(torch.equal(value, theirs[key]) for key, value in found.items())
    assert [path.name for path in (tmp_path / "smoke/checkpoints").iterdir()] == ["elsewhere.txt"]
    train.main([*there, "resume=auto"])
    assert capsys.readouterr().out.endswith("smoke is finished: 3 of 3 steps\n")
    with pytest.raises(
        UserError, match=r"checkpoints=memory://.* has those of another run; choose"
    ):
        train.main([*there, "name=other"])
