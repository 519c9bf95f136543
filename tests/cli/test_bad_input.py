"""Bad input through the real commands: one line that names the thing and the cure, exit code 1."""

import json
import sys
import tarfile
from dataclasses import replace

import pytest

from cloc.checkpoints.locations import place_of
from cloc.cli import evaluate, export, prepare, train
from cloc.cli.config.compose import compose_config
from cloc.cli.launch.resume import step_to_resume
from cloc.cli.tasks import evaluate as evaluate_task
from cloc.data.shards.index import write_index
from cloc.data.shards.writer import write_shards
from cloc.errors import UserError
from cloc.models.build import build_model
from cloc.models.embedder import ModelEmbedder
from tests.helpers.commands import start
from tests.helpers.shards import make_record, write_tar

TINY = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "patch_size": 16, "width": 64, "layers": 1},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1},
}


NO_WEIGHT = [f"weights.{name}=0.0" for name in ("image_text", "region_text", "grounding")]


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards") / "scenes"
    sizes = ("train=32", "val=4", "novel=0", "samples_per_shard=16")
    prepare.main(["import=scenes", f"out={folder}", *sizes])
    return folder


@pytest.fixture
def smoke(shards, tmp_path):
    """Overrides of a short run in a folder of its own, without processes of its own."""
    return [
        "experiment=smoke",
        f"runs={tmp_path}/runs",
        f"data.train={shards}/train",
        "eval.every=0",
        "steps=1",
        "data.num_workers=0",
    ]


def with_box(shards, folder, box):
    """A shard set whose only annotation has the box `box`, written as JSON text."""
    with tarfile.open(shards / "train/shard-000000.tar") as tar:
        image, text = (tar.extractfile(member).read() for member in tar.getmembers()[:2])
    data = json.loads(text)
    data["regions"][0]["box"] = json.loads(box)
    folder.mkdir()
    path = write_tar(folder / "bad.tar", {"a.png": image, "a.json": json.dumps(data).encode()})
    write_index(path)
    return str(path)


@pytest.mark.parametrize(
    ("box", "says"),
    [
        ("[30, 5, 10, 20]", r"bad\.tar.*a: region 0: box \[30, 5, 10, 20\] is reversed or empty"),
        (
            "[NaN, 5, 10, 20]",
            r"bad\.tar.*a: region 0: box \[nan, 5, 10, 20\] .* not a finite number",
        ),
    ],
)
def test_a_bad_box_names_its_sample(shards, smoke, tmp_path, box, says):
    path = with_box(shards, tmp_path / "bad", box)
    with pytest.raises(UserError, match=f"{says}.*; fix or drop the region"):
        train.main([*smoke, f"data.train={path}"])


@pytest.mark.rare
@pytest.mark.slow
def test_a_bad_box_in_a_worker_is_one_line_of_a_real_run(shards, smoke, tmp_path):
    path = with_box(shards, tmp_path / "bad", "[NaN, 5, 10, 20]")
    done = start("train", *smoke, f"data.train={path}", "data.num_workers=1", cwd=tmp_path)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[-1].startswith(f"error: data.train={path}: {path}"), lines[-1]
    assert "not a finite number; fix or drop the region" in lines[-1]
    assert len(lines) == 1, done.stderr


@pytest.mark.rare
@pytest.mark.slow
@pytest.mark.dist
def test_a_bad_box_on_one_of_two_ranks_is_one_line_and_the_other_rank_says_so(
    shards, smoke, tmp_path
):
    path = with_box(shards, tmp_path / "bad", "[NaN, 5, 10, 20]")
    both = f"data.train=[{shards}/train/shard-000000.tar,{path}]"
    done = start("train", *smoke, both, "trainer.devices=2", "trainer.strategy=ddp", cwd=tmp_path)
    assert done.returncode == 1
    other = "error: another process of this run has ended; its own message says why"
    lines = [line for line in done.stderr.splitlines() if line != other]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith(f"error: {path}")


@pytest.mark.slow
def test_a_misspelt_override_is_one_line_of_a_real_run(tmp_path):
    done = start("train", "experiment=smoke", "optimizer.lt=1", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: optimizer.lt is not a key of this command; did you mean ")
    assert "optimizer.lr" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_missing_shard_is_named(shards, smoke, tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    for path in (shards / "train").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "shard-000001.tar").unlink()
    says = r"shard-000001\.tar is in the manifest but not on disk \(1 of 2 missing\); write the"
    with pytest.raises(UserError, match=f"{says} shards again or set data.train"):
        train.main([*smoke, f"data.train={folder}"])


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (
            ["rates={}"],
            r"rates={} leaves factors, .* as they are; write '~rates.factors' to take an",
        ),
        (["eval={evry: 3}"], "eval.evry is not a key of this command; did you mean eval.every"),
        (["eval={in_loop: {x: 2}}"], "eval={in_loop: {x: 2}}: keys are given where a list belongs"),
        (["batchsize=8"], "batchsize is not a key of this command; did you mean batch_size"),
        (["experiment=smok"], "smok.*smoke"),
        (["losses=[image_txt]"], "losses/image_txt.*Available: .*image_text,"),
        (["losses=[image_txt]", "logr=3"], "losses/image_txt"),  # the first of two
        (["benchmark=all"], "benchmark is not a key of this command; did you mean benchmarks"),
        (["resume=yes"], "resume=yes; choose resume=auto"),
        (
            ["model.region_head.kind=prompt", "model.box_head=null"],
            "kind='prompt'; choose prompter or roi_align",
        ),
        (["model.region_head.kind=roi_align"], "set model.region_head.kind=prompter"),
        (["region_context=[nope]"], r"region_context=.* give a number of tokens, or full"),
        (["region_context=short"], "region_context=short; give a number of tokens, or full"),
        (["retention.then=wait"], "retention.then=wait; choose stop or lower"),
        (["region_context=64"], "region_context is 64, expected 3 .* to 32"),
        (["data.view.max_regions=0"], "data.view.max_regions=0; give a whole number of 1 or more"),
        (["data.train=nowhere"], "data.train=nowhere: no shard at nowhere; set data.train to"),
        (["eval.every=1", "eval.splits.val=nowhere"], "eval.splits.val=nowhere: no shard"),
        (["trainer.precision=bf16-true"], "would round boxes .*; set trainer.precision=bf16-mixed"),
        (
            ["batch_size=1"],
            "batch_size=1: image_text compares the captions of a step with each other",
        ),
        (
            NO_WEIGHT,
            r"every loss has weight 0 \(.*image_text.*\), so nothing would be trained; set",
        ),
        (["data.skip_keys=nowhere"], "data.skip_keys=nowhere cannot be read .No such file"),
        (["accumulate=3"], "accumulate=3 does not divide a rank's batch of 16"),
        (["accumulate=0"], "accumulate=0; give a whole number of 1 or more"),
        (["accumulate=16", "trainer.devices=2"], "divide a rank's batch of 8"),
        (
            ["+trainer.accumulate_grad_batches=4"],
            "accumulate_grad_batches=4 would contrast every .*; set accumulate=4 instead, with",
        ),
        (["~weights.grounding"], r"losses\.grounding has no weight; the losses are"),
        (["weights.groundings=1"], r"weights\.groundings is of no loss; the losses are"),
    ],
)
def test_a_wrong_setting_names_its_key(smoke, overrides, says):
    with pytest.raises(UserError, match=says) as error:
        train.main([*smoke, *overrides])
    assert "\n" not in str(error.value)


def test_data_on_which_no_loss_has_anything_to_do_are_refused(smoke, tmp_path):
    bare = [replace(make_record(i), captions=(), regions=()) for i in range(16)]
    write_shards(bare, tmp_path / "bare", samples_per_shard=8)
    says = (
        r"no loss had anything to do in 16 samples: image_text reads captions, and there was none"
    )
    with pytest.raises(UserError, match=says):
        train.main([*smoke, "batch_size=8", "steps=9", f"data.train={tmp_path}/bare"])
    splits = ("eval.every=1", f"eval.splits.val={tmp_path}/bare")
    with pytest.raises(UserError, match="none of 16 samples has a caption or a region"):
        train.main([*smoke, "name=other", *splits])


def test_a_benchmark_that_is_not_there_is_named(smoke, shards):
    splits = ("eval.every=1", f"eval.splits.val={shards}/val", "eval.in_loop=[grounding, groundin]")
    with pytest.raises(UserError, match=r"in_loop=\['groundin'\]: unknown; choose from \['ground"):
        train.main([*smoke, *splits])


def test_a_loss_without_its_head_is_named(smoke):
    heads = ("model.region_head=null", "model.region_scale=null", "model.box_head=null")
    says = "the loss region_text needs .*region.*, which this model does not give; add model.region"
    with pytest.raises(UserError, match=says):
        train.main([*smoke, *heads])


def test_an_existing_folder_is_refused(smoke, tmp_path):
    (tmp_path / "runs/smoke").mkdir(parents=True)
    with pytest.raises(UserError, match="smoke exists; continue it with resume=auto"):
        train.main(smoke)
    assert list((tmp_path / "runs/smoke").iterdir()) == []


def test_a_command_that_fails_can_be_corrected_and_given_again(smoke, tmp_path):
    for _ in range(2):
        with pytest.raises(UserError, match="no shard at nowhere"):
            train.main([*smoke, "data.train=nowhere"])
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_name_that_looks_like_a_number_is_a_name(smoke, tmp_path):
    train.main([*smoke, "name=7"])
    assert (tmp_path / "runs/7/config.yaml").is_file()


def test_a_run_stopped_before_its_first_checkpoint_begins_again(smoke, tmp_path):
    (tmp_path / "runs/smoke").mkdir(parents=True)
    cfg = compose_config("train", [*smoke, "resume=auto"])
    run = tmp_path / "runs/smoke"
    assert step_to_resume(cfg, run, place_of(run)) == 0


def test_a_run_that_does_not_end_at_a_multiple_leaves_its_last_state(smoke, tmp_path, capsys):
    train.main([*smoke, "checkpoint_every=4"])
    train.main([*smoke, "checkpoint_every=4", "resume=auto"])
    assert "smoke is finished: 1 of 1 steps" in capsys.readouterr().out
    (tmp_path / "runs/smoke/config.yaml").unlink()
    with pytest.raises(UserError, match=r"config\.yaml is missing, so the run cannot be continued"):
        train.main([*smoke, "checkpoint_every=4", "resume=auto"])


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ([], "give either run=runs/NAME or model=open_clip:NAME/TAG"),
        (["run={0}/nowhere"], "nowhere holds no checkpoint: there is no such folder"),
        (["run={0}"], "holds no checkpoint: train it first"),
        (["run={0}", "twin={0}/nowhere"], "twin=.*nowhere: no such run folder"),
        (["run={0}", "twin={0}"], "twin=.*: it has no metrics.json; cloc-pretrain evaluate run="),
        (["run={0}", "out={0}/x"], "out=.* goes with model="),
        (["model=open_clip:ViT-B-32"], "with model= give out=DIR too"),
        (["model=open_clip:ViT-B-32/x", "out={0}", "twin={0}"], "twin=.* is for the report of a"),
        (["model=open_clip:ViT-B-32/x", "out={0}", "wise_ft=0.5"], "wise_ft=0.5 is for a run"),
        (["model=open_clip:ViT-B-32", "out={0}"], "names no weights; write open_clip:ViT-B-32/TAG"),
    ],
)
def test_evaluate_says_what_to_measure_is_missing(tmp_path, overrides, says):
    with pytest.raises(UserError, match=says):
        evaluate.main([override.format(tmp_path) for override in overrides])


def test_evaluate_needs_data(tmp_path):
    cfg = compose_config("evaluate", [f"run={tmp_path}"])
    with pytest.raises(UserError, match=r"no data to measure on; give splits.val=SHARDS"):
        evaluate_task.chosen_splits(cfg)


def test_evaluate_knows_its_extractors():
    embedder = ModelEmbedder(build_model({"config": TINY}))
    with pytest.raises(UserError, match=r"extractors=\[box\]: unknown; choose from \['blur', 'cr"):
        evaluate_task.chosen_extractors(embedder, ["crop", "box"], asked=True)


def test_export_refuses_a_folder_that_exists_and_a_run_without_a_checkpoint(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="out exists; remove it or choose another out="):
        export.main([f"run={tmp_path}", f"out={tmp_path}/out"])
    with pytest.raises(UserError, match="holds no checkpoint"):
        export.main([f"run={tmp_path}", f"out={tmp_path}/new"])
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_user_error_is_one_line_and_exit_code_1(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["export.py", f"run={tmp_path}", "out=x"])
    with pytest.raises(SystemExit) as stop:
        export.run([f"run={tmp_path}", "out=x"])
    said = capsys.readouterr().err
    assert stop.value.code == 1
    assert said.startswith(f"error: run={tmp_path}: {tmp_path} holds no checkpoint")
    assert said.count("\n") == 1


def test_a_group_of_another_command_is_no_key_of_this_one():
    with pytest.raises(
        UserError, match="trainer is not a key of this command; its keys: benchmarks, run, "
    ):
        evaluate.main(["trainer=cpu"])
