"""`resume=auto`: from the newest checkpoint that is whole, else from the beginning."""

import json
import shutil
import uuid

import pytest
import torch
from safetensors.torch import load_file

import cloc
from cloc.cli import prepare, train
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


def test_a_resume_that_is_refused_changes_nothing_and_the_same_command_goes_on(
    run, trained, monkeypatch
):
    """Also on a machine where `precision: auto` would be another one."""
    folder, go_on = run
    before = {name: (folder / name).read_bytes() for name in ("config.yaml", "provenance.json")}
    with pytest.raises(UserError, match=r"optimizer\.lr=50000000"):
        go_on("resume_changes=[optimizer.lr]", "optimizer.lr=5e7")
    assert (folder / "config.yaml").read_bytes() == before["config.yaml"]
    assert "changes" not in json.loads((folder / "provenance.json").read_text())
    was = json.loads(before["provenance.json"])["precision"]
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: was == "32-true")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: was == "32-true")
    go_on()
    assert json.loads((folder / "provenance.json").read_text())["precision"] == was
    assert_same(folder, trained[1])


@pytest.mark.parametrize(
    "left",
    [
        pytest.param("no checkpoint", marks=pytest.mark.rare),
        "a half written one",
        pytest.param("no run folder", marks=pytest.mark.rare),
    ],
)
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


def rates(run):
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return {line["step"]: line["optim/lr"] for line in lines if "optim/lr" in line}


def test_a_finished_run_goes_on_for_more_steps_with_another_rate_and_schedule(
    trained, tmp_path, capsys
):
    given, whole = trained
    shutil.copytree(whole, tmp_path / "runs/smoke")
    run = tmp_path / "runs/smoke"
    other = ["steps=6", "optimizer.lr=0.002", "schedule.warmup=5"]
    command = [*given, f"runs={tmp_path}/runs", "resume=auto", *other]
    says = (
        r"smoke was begun with other settings \(optimizer.lr was .*, is 0.002; schedule.warmup was "
        r".*; steps was 3, is 6\); give the same ones with resume=auto, go on with other ones by "
        r"resume=auto resume_changes=\[steps,optimizer.lr,schedule\], or choose another name="
    )
    with pytest.raises(UserError, match=says):
        train.main(command)
    train.main([*command, "resume_changes=[steps,optimizer.lr,schedule]"])
    assert steps(run) == [4, 5, 6]
    found = rates(run)
    assert sorted(found) == list(range(6))
    expected = [0.002 * (step + 1) / 5 if step < 5 else 0.002 for step in range(6)]
    assert [found[step] for step in (3, 4, 5)] == pytest.approx(expected[3:])
    config = (run / "config.yaml").read_text()
    assert "steps: 6\n" in config
    changes = json.loads((run / "provenance.json").read_text())["changes"]
    assert [(row["step"], row["key"], row["to"]) for row in changes] == [
        (3, "optimizer.lr", 0.002),
        (3, "schedule.warmup", 5),
        (3, "steps", 6),
    ]
    capsys.readouterr()
    train.main(command)  # nothing is changed by now
    train.main([*command, "resume_changes=[optimizer.lr]", "optimizer.lr=0.1"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("smoke is finished: 6 of 6 steps")
    assert lines[1].endswith("smoke is finished: 6 of 6 steps; with a larger steps= it goes on")
    with pytest.raises(UserError, match=r"steps=4, but .*smoke has made 6; give more"):
        train.main([*command, "steps=4", "resume_changes=[steps]"])


def test_what_is_listed_and_unchanged_changes_nothing(run, trained):
    folder, go_on = run
    go_on("resume_changes=[steps,optimizer.lr,schedule]")
    assert_same(folder, trained[1])
    assert "changes" not in json.loads((folder / "provenance.json").read_text())


@pytest.mark.parametrize(
    ("listed", "says"),
    [
        ("[batch_size]", r"batch_size cannot change within a run \(other samples would stand"),
        ("[seed]", r"seed cannot change .* \(the order of the samples follows from it\)"),
        ("[data.shuffle]", r"data\.shuffle cannot change .* \(the order of the samples"),
        ("[optimizer]", r"optimizer cannot change .* of it optimizer\.lr alone can\); choose from"),
        ("[rates.factors]", r"rates\.factors cannot change .* \(the optimizer's state is in other"),
        ("[weights]", r"weights cannot change within a run \(it would be another objective\)"),
        ("[optimizer.lt]", r"optimizer\.lt is not a key; choose from steps, optimizer\.lr and sch"),
        ("steps", r"resume_changes=steps; give a list of texts, such as \[a,b\]"),
    ],
)
def test_what_cannot_be_changed_exactly_is_refused_with_the_reason(run, listed, says):
    with pytest.raises(UserError, match=says):
        run[1](f"resume_changes={listed}")


def test_changes_are_for_a_run_that_goes_on(trained, tmp_path):
    with pytest.raises(UserError, match=r"resume_changes=\['steps'\] is for a run that goes on"):
        train.main([*trained[0], f"runs={tmp_path}", "resume_changes=[steps]"])


def test_a_key_that_cannot_change_is_named_beside_one_that_can(run):
    with pytest.raises(UserError, match=r"resume_changes=\[steps\], the same batch_size, or choos"):
        run[1]("steps=5", "batch_size=8")


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Four shards of eight scenes."""
    place = tmp_path_factory.mktemp("shards")
    sizes = ("train=32", "val=0", "novel=0", "samples_per_shard=8")
    prepare.main(["import=scenes", f"out={place}/scenes", *sizes])
    return place / "scenes/train"


@pytest.mark.parametrize("spec", ["{0}", pytest.param("{0}/*.tar", marks=pytest.mark.rare)])
def test_a_run_goes_on_without_a_shard_that_is_gone(shards, trained, tmp_path, spec, capsys):
    folder = shutil.copytree(shards, tmp_path / "set")
    given = [*trained[0], f"data.train={spec.format(folder)}", f"runs={tmp_path}/runs"]
    train.main([*given, "steps=2"])
    (folder / "shard-000001.tar").unlink()
    (folder / "shard-000001.idx").unlink()
    again = [*given, "steps=6", "resume=auto", "resume_changes=[steps]"]
    with pytest.raises(UserError, match=r"data\.skip_shards=FILE"):
        train.main(again)
    (tmp_path / "skip.txt").write_text("shard-000001.tar\nshard-000009.tar\n")
    (tmp_path / "keys.txt").write_text("nobody\n")
    lists = (f"data.skip_shards={tmp_path}/skip.txt", f"data.skip_keys={tmp_path}/keys.txt")
    capsys.readouterr()
    train.main([*again, *lists, "data.drop_budget=0.0"])
    assert capsys.readouterr().err == (
        f"data.skip_shards={tmp_path}/skip.txt: no shard is shard-000009.tar\n"
        f"data.skip_keys={tmp_path}/keys.txt: no sample is nobody among those of this command\n"
    )
    drops = json.loads((tmp_path / "runs/smoke/drops.json").read_text())
    assert drops["samples"] == 24
    assert drops["skipped"] > 0
    assert drops["dropped"] == []


@pytest.mark.parametrize("name", ["config.yaml", "provenance.json", "shards.json"])
def test_a_damaged_file_of_the_run_is_named(run, name):
    folder, go_on = run
    (folder / name).write_text('{"a": [')
    with pytest.raises(UserError, match=f"{name} is damaged.*restore it, or choose another name="):
        go_on()
