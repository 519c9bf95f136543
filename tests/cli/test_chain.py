"""The whole chain through the real commands, on one process and on two, and its continuation."""

import json
import math
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import open_clip
import PIL.Image
import pytest
import torch
from safetensors.torch import load_file

import cloc
from cloc.cli import evaluate, train
from cloc.cli.launch.resume import check_data
from cloc.errors import UserError
from tests.helpers.commands import Stopped, succeed

pytestmark = pytest.mark.slow

PREPARE = ("import=scenes", "out=data/smoke", "train=64", "val=24", "novel=24")
CLIP = ("losses=[image_text]", "model.region_head=null", "model.region_scale=null")
COUNT = (
    "+losses.seen._target_=tests.helpers.commands.CountImages",
    "+weights.seen=0.0",
    "+trust=[tests.helpers.commands]",
)
STEPS = 8
LAST = "checkpoints/step-00000008"
REGION = ("region_classification", "region_retrieval", "relational_regions")
IMAGE = ("image_text_retrieval", "spatial_relations")


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """The folder everything is in, and what each command printed."""
    place = tmp_path_factory.mktemp("chain")
    printed = {"prepare": succeed("prepare", *PREPARE, "samples_per_shard=16", cwd=place).stdout}
    two = ("name=two", "trainer.devices=2", "trainer.strategy=ddp", "data.num_workers=0", *COUNT)
    with ThreadPoolExecutor() as meanwhile, chdir(place):
        ranks = meanwhile.submit(succeed, "train", "experiment=smoke", *two, cwd=place)
        printed["train"] = succeed("train", "experiment=smoke", *COUNT, cwd=place).stdout
        in_process("name=clip", *CLIP, "model.box_head=null")
        evaluate.main(["run=runs/clip", "limit=8", "gallery=2"])
        both = ("run=runs/smoke", "twin=runs/clip", "gallery=2")
        printed["evaluate"] = succeed("evaluate", *both, cwd=place).stdout
        export = ("run=runs/smoke", "format=open_clip", "out=runs/smoke/open_clip")
        printed["export"] = succeed("export", *export, cwd=place).stdout
        runs = ("runs/smoke", "runs/clip")
        printed["compare"] = succeed("compare_runs", *runs, cwd=place).stdout
        ranks.result()
    return SimpleNamespace(place=place, run=place / "runs/smoke", printed=printed)


def in_process(*overrides):
    """The train command without a process of its own; its reader is this process too."""
    train.main(["experiment=smoke", "data.num_workers=0", *overrides])


def rows(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_run_folder_holds_what_the_design_names(chain):
    assert names(chain.run) == [
        "cases.html",
        "cases.npz",
        "checkpoints",
        "config.yaml",
        "drops.json",
        "features",
        "first_batch.png",
        "metrics.json",
        "metrics.jsonl",
        "metrics_detail.json",
        "open_clip",
        "provenance.json",
        "report.html",
    ]
    assert names(chain.run / "checkpoints") == ["step-00000004", "step-00000008"]
    files = ["cloc_config.json", "digest.json", "model.safetensors", "trainer.ckpt"]
    assert names(chain.run / "checkpoints/step-00000008") == files


def test_each_command_says_what_it_made(chain):
    prepared = chain.printed["prepare"]
    assert prepared.splitlines()[0].strip() == "data/smoke/"
    for split in ("novel", "train", "val"):
        assert re.search(rf"│ {split} +│", prepared)
    assert chain.printed["train"] == (
        "runs/smoke: 8 steps; measure it with python scripts/evaluate.py run=runs/smoke\n"
    )
    assert "runs/smoke/report.html" in chain.printed["evaluate"]
    assert chain.printed["export"].startswith("runs/smoke/open_clip: README.md, open_clip_config")
    compared = chain.printed["compare"]
    assert "region_classification@crop/novel" in compared
    assert "parameters trained" in compared
    assert "images/s" in compared
    assert "runs/smoke: open runs/smoke/report.html" in compared


def test_every_step_is_a_line_of_metrics(chain):
    found = rows(chain.run)
    trained = [row for row in found if "train/loss" in row]
    assert [row["step"] for row in trained] == list(range(STEPS))
    for name in ("image_text", "region_text", "grounding", "region_text.masked_fraction"):
        assert all(math.isfinite(row[f"train/{name}"]) for row in trained)
    assert {"grad/image_tower", "optim/lr", "speed/images_per_s"} <= trained[0].keys()
    benchmarks = [row for row in found if "val/grounding.acc@0.5" in row]
    assert [row["step"] for row in benchmarks] == [4]  # and after step 8 comes the evaluation


def test_metrics_are_named_by_benchmark_extractor_and_split(chain):
    metrics = json.loads((chain.run / "metrics.json").read_text())
    expected = {
        "grounding",
        *REGION,
        *IMAGE,
        *(f"{n}@{e}" for n in REGION for e in ("crop", "roi")),
    }
    assert metrics.keys() == {f"{name}{split}" for name in expected for split in ("", "/novel")}
    for key, values in metrics.items():
        assert all(math.isfinite(value) for value in values.values()), key
        assert any(f"{metric}_chance" in values for metric in values), key
    assert {"top1", "class_mean", "within_image"} <= metrics["region_classification"].keys()
    assert {"r2t_r@1", "t2r_r@1"} <= metrics["region_retrieval@roi"].keys()
    assert {"acc@0.5", "miou", "acc@0.5_chance"} <= metrics["grounding/novel"].keys()


def test_a_clip_twin_is_measured_by_crops_and_roi(chain):
    metrics = json.loads((chain.place / "runs/clip/metrics.json").read_text())
    assert "region_classification" not in metrics
    assert "grounding" not in metrics
    assert {"region_classification@crop", "region_classification@roi/novel"} <= metrics.keys()


def test_the_report_is_one_file(chain):
    html = (chain.run / "report.html").read_text()
    fetched = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"'\s)>]+)""", html)
    assert fetched
    assert all(target.startswith(("data:", "#")) for target in fetched)
    assert "<script src" not in html
    assert "@import" not in html
    assert "smoke" in html
    assert "clip" in html


def test_provenance_says_where_the_numbers_come_from(chain):
    facts = json.loads((chain.run / "provenance.json").read_text())
    assert re.fullmatch(r"([0-9a-f]{40}(\+changes)?)?", facts["git_commit"])
    assert facts["seed"] == 0
    assert facts["devices"] == 1
    assert facts["data"]["samples"] == {"train": 64}
    assert re.fullmatch("[0-9a-f]{64}", facts["data"]["digest"])


def test_checkpoints_hold_nothing_that_runs(chain):
    for run in ("smoke", "two"):
        path = chain.place / "runs" / run / LAST / "trainer.ckpt"
        state = torch.load(path, weights_only=True)
        assert state["global_step"] == STEPS
        assert state["state_dict"] == {}  # the weights lie beside it, once


def test_what_is_exported_is_what_was_trained(chain):
    mine, exported = cloc.load(chain.run), cloc.load(chain.run / "open_clip")
    image = PIL.Image.open(chain.run / "first_batch.png").convert("RGB")
    boxes = np.array([[10, 10, 60, 50]], np.float32)
    for embedder in (mine, exported):
        assert embedder.ground(embedder.prepare([image], [boxes]).images, [["a star"]])
    x, b, valid = mine.prepare([image], [boxes])
    assert torch.equal(mine.images(x), exported.images(x))
    assert torch.equal(mine.regions(x, b, valid), exported.regions(x, b, valid))
    assert torch.equal(mine.texts(["a star"]), exported.texts(["a star"]))
    theirs, _, preprocess = open_clip.create_model_and_transforms(
        f"local-dir:{chain.run / 'open_clip'}"
    )
    with torch.no_grad():
        vector = theirs.eval().encode_image(preprocess(image)[None], normalize=True)
    torch.testing.assert_close(vector, mine.images(x), atol=2e-2, rtol=0)  # PIL against our resize


def test_two_ranks_make_one_run(chain):
    assert names(chain.place / "runs") == ["clip", "smoke", "two"]
    facts = json.loads((chain.place / "runs/two/provenance.json").read_text())
    assert facts["devices"] == 2
    trained = [row for row in rows(chain.place / "runs/two") if "train/loss" in row]
    assert [row["step"] for row in trained] == list(range(STEPS))  # one rank writes


def test_two_ranks_see_the_same_number_of_images_in_a_step(chain):
    for run in ("smoke", "two"):
        found = rows(chain.place / "runs" / run)
        assert {r["train/seen.images"] for r in found if "train/loss" in r} == {16}


def test_an_interrupted_run_goes_on_to_the_same_weights(chain):
    with chdir(chain.place):
        stop = ("+logger.stop._target_=tests.helpers.commands.StopAt", "+logger.stop.step=6")
        with pytest.raises(Stopped):
            in_process("name=cut", *COUNT, *stop)
        cut = chain.place / "runs/cut"
        assert names(cut / "checkpoints") == ["step-00000004"]
        in_process("name=cut", *COUNT, "resume=auto")
    assert (cut / "metrics.jsonl").is_file()
    weights = [load_file(run / LAST / "model.safetensors") for run in (chain.run, cut)]
    assert weights[0].keys() == weights[1].keys()
    assert [
        name for name in weights[0] if not torch.equal(weights[0][name], weights[1][name])
    ] == []


def test_a_finished_run_ends_at_once(chain, capsys):
    before = {path: path.stat().st_mtime_ns for path in chain.run.rglob("*")}
    with chdir(chain.place):
        train.main(["experiment=smoke", *COUNT, "resume=auto"])
    assert capsys.readouterr().out == "runs/smoke is finished: 8 of 8 steps\n"
    assert {path: path.stat().st_mtime_ns for path in chain.run.rglob("*")} == before


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ((), "runs/smoke exists; continue it with resume=auto, or choose another name="),
        (("resume=yes",), "resume=yes; choose resume=auto or leave it out"),
        (("resume=auto", "optimizer.lr=1.0"), "other settings .optimizer.lr was 0.001, is 1.0.;"),
        (("resume=auto", "steps=9"), "other settings .steps was 8, is 9.; give the same ones"),
    ],
)
def test_a_run_is_not_written_over(chain, overrides, says):
    with chdir(chain.place), pytest.raises(UserError, match=says):
        train.main(["experiment=smoke", *COUNT, *overrides])


def test_a_run_goes_on_with_its_own_shards_only(chain, tmp_path):
    with chdir(chain.place):
        digest = json.loads(Path("runs/smoke/provenance.json").read_text())["data"]["digest"]
        check_data(Path("runs/smoke"), digest)
        with pytest.raises(
            UserError, match=r"^data\.train: runs/smoke was begun with other shards"
        ):
            check_data(Path("runs/smoke"), "0" * 64)


def test_nothing_was_left_out_of_the_scenes(chain):
    counts = json.loads((chain.run / "drops.json").read_text())
    assert (counts["samples"], counts["dropped"]) == (STEPS * 16, [])
    assert counts["boxes"] > 100
