"""The command: anybody's encoder in, figures with what stands beside them out."""

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from cloc.cli import evaluate
from cloc.cli.config.compose import compose_config
from cloc.cli.tasks import evaluate as evaluate_task
from cloc.errors import UserError
from cloc.models.embedder import ModelEmbedder
from tests.helpers.encoders import save_open_clip
from tests.helpers.models import SIGLIP, make_model
from tests.helpers.ranks import run_ranks
from tests.helpers.shards import encode, flat, make_shards, write_tar
from tests.helpers.suites import lay_out
from tests.helpers.vectors import Vectors


@pytest.mark.parametrize("name", ["gpu", "cuda"])
def test_a_device_that_is_not_there_is_refused(clip, shards, tmp_path, monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=f"device={name}.* give device=cpu"):
        evaluate.main([*words(clip, shards, tmp_path), f"device={name}"])


@pytest.mark.parametrize("text", ["eval: [1", "eval: {splits: ", "steps: 1", "[1]"])
def test_a_damaged_configuration_of_the_run_is_named(tmp_path, text):
    (tmp_path / "config.yaml").write_text(text)
    cfg = compose_config("evaluate", [f"run={tmp_path}"])
    with pytest.raises(UserError, match=r"config\.yaml is damaged.*; restore it, or move it away"):
        evaluate_task.chosen_splits(cfg)


def test_captioned_tars_are_told_the_key_that_reads_them(tmp_path):
    write_tar(tmp_path / "a.tar", {"a.jpg": encode(flat(8, 8), "JPEG"), "a.txt": b"cat"})
    given = ["run=nowhere", f"splits.val={tmp_path}", f"index_folder={tmp_path}/indexes"]
    with pytest.raises(UserError, match="trained on with data=captions, and given to") as error:
        evaluate_task.chosen_splits(compose_config("evaluate", given))
    [word] = [word for word in str(error.value).split() if word.startswith("parse.path=")]
    [split] = evaluate_task.chosen_splits(compose_config("evaluate", [*given, word]))
    assert split.examples[0].captions == ("cat",)
    compose_config("prepare", ["pipeline=vesl", f"input={tmp_path}", "out=x", word])
    cfg = compose_config("train", ["experiment=smoke", "data=captions", f"data.train={tmp_path}"])
    assert cfg.data.parse.path == word.partition("=")[2]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return save_open_clip(tmp_path_factory.mktemp("encoder") / "clip", resize_mode="shortest")


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return make_shards(tmp_path_factory.mktemp("data") / "set", shards=2, each=6)


def words(clip, shards, out):
    return [
        f"model=open_clip:{clip}",
        f"splits.val={shards}",
        f"out={out}",
        "extractors=[crop,roi]",
    ]


def read(folder):
    names = ("metrics.json", "metrics_detail.json")
    return [json.loads((folder / name).read_text()) for name in names]


def test_an_encoder_of_somebody_else_is_measured_in_its_own_frame(
    clip, shards, tmp_path, monkeypatch
):
    torch.backends.cuda.enable_flash_sdp(True)
    evaluate.main([*words(clip, shards, tmp_path / "a"), "limit=7"])
    # without it a large frame's attention matrices are all in memory
    assert torch.backends.cuda.flash_sdp_enabled()
    metrics, detail = read(tmp_path / "a")
    assert set(metrics) == set(detail)
    assert "region_retrieval@crop" in metrics
    assert "region_retrieval" not in metrics  # it has no regions of its own
    one = detail["region_retrieval@roi"]
    assert one["frame"] == "own: crop 32x32, bicubic"
    assert one["partial"] == "limit=7, not all of the data"
    assert one["data"] == str(shards)
    # pictures of 20 x 10, of which a crop shows the middle half
    assert one["boxes"]["count"] > one["boxes"]["cut"] > 0
    figure = one["metrics"]["r2t_r@1"]
    assert figure["value"] == metrics["region_retrieval@roi"]["r2t_r@1"]
    assert figure["low"] <= figure["value"] <= figure["high"]
    files = sorted(path.name.split("-")[1] for path in (tmp_path / "a/features").iterdir())
    assert files == ["crop", "own", "roi"]

    # more than there are is all of them
    evaluate.main([*words(clip, shards, tmp_path / "b"), "limit=999"])
    assert {detail["partial"] for detail in read(tmp_path / "b")[1].values()} == {""}

    # again: the encoder is asked nothing, and the figures are the same
    monkeypatch.setattr(ModelEmbedder, "images", pytest.fail)
    monkeypatch.setattr(ModelEmbedder, "texts", pytest.fail)
    evaluate.main([*words(clip, shards, tmp_path / "a"), "limit=7"])
    assert read(tmp_path / "a")[0] == metrics


def test_another_frame_keeps_vectors_of_its_own_and_says_so(clip, shards, tmp_path):
    evaluate.main([*words(clip, shards, tmp_path), "frame=pad", "features=false"])
    _, detail = read(tmp_path)
    assert detail["region_retrieval@roi"]["frame"] == "pad: pad 32x32, bicubic"
    assert detail["region_retrieval@roi"]["boxes"]["cut"] == 0
    assert not (tmp_path / "features").exists()


def test_patches_are_left_out_where_a_single_one_means_nothing(capsys):
    embedder = ModelEmbedder(make_model(SIGLIP, region_head=None))
    assert list(evaluate_task.chosen_extractors(embedder, None, asked=True)) == ["crop"]
    assert capsys.readouterr().err.startswith("left out: roi: ")
    with pytest.raises(UserError, match="roi: "):
        evaluate_task.chosen_extractors(embedder, ["roi"], asked=True)
    assert evaluate_task.chosen_extractors(embedder, None, asked=False) == {}
    assert capsys.readouterr().err == ""


def test_a_split_without_a_name_is_told_how_it_is_given():
    with pytest.raises(UserError, match=r"^splits=data/val; give splits.NAME=VALUE$"):
        compose_config("evaluate", ["run=nowhere", "splits=data/val"])


def test_no_benchmark_is_told_before_an_encoder_is_asked(clip, shards, tmp_path):
    with pytest.raises(UserError, match=r"^benchmarks=\[\]; give one or more, or leave it out$"):
        evaluate.main([*words(clip, shards, tmp_path), "benchmarks=[]"])


@pytest.mark.parametrize("features", ["true", "false"])
def test_a_place_where_nothing_can_be_written_is_told_before_anything_is_read(
    features, clip, shards, tmp_path, monkeypatch
):
    monkeypatch.setattr(evaluate_task, "open_encoder", pytest.fail)
    (tmp_path / "file").write_text("x")
    for out in ("file", "file/out"):
        with pytest.raises(
            UserError, match=rf"^out={tmp_path}/{out}: {tmp_path}/file is no folder"
        ):
            evaluate.main([*words(clip, shards, tmp_path / out), f"features={features}"])
    monkeypatch.setattr("os.access", lambda place, mode: False)
    with pytest.raises(UserError, match=rf"^out={tmp_path}/a: {tmp_path} cannot be written"):
        evaluate.main([*words(clip, shards, tmp_path / "a"), f"features={features}"])
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_encoder_whose_boxes_lie_elsewhere_is_not_scored(clip, shards, tmp_path, monkeypatch):
    prepare = ModelEmbedder.prepare

    def swapped(self, images, boxes=None):
        found = prepare(self, images, boxes)
        return found._replace(boxes=found.boxes[..., [1, 0, 3, 2]])

    monkeypatch.setattr(ModelEmbedder, "prepare", swapped)
    with pytest.raises(UserError, match=r"is not scored: .* x and y are swapped"):
        evaluate.main(words(clip, shards, tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", ["model", "text_encoder"])
def test_a_factory_runs_only_where_the_command_line_trusts_its_package(key, shards, tmp_path):
    """Not `os.getcwd`, and no package that nobody named."""
    other = [] if key == "model" else ["model=open_clip:ViT-B-32/openai"]
    for name in ("os.getcwd", "tests.helpers.vectors.Vectors", "tests.helpers.vectors:Vectors"):
        given = [f"{key}=module:{name}", *other, f"splits.val={shards}", f"out={tmp_path}/out"]
        with pytest.raises(UserError, match=rf"^{key}=module:{name} is "):
            evaluate.main(given)
    assert not (tmp_path / "out").exists()


def test_a_tower_without_texts_needs_those_of_another(shards, tmp_path):
    save_file(timm.create_model("test_vit").state_dict(), tmp_path / "trunk.safetensors")
    model = f"model=timm:test_vit,{tmp_path}/trunk.safetensors"
    with pytest.raises(UserError, match=rf"^{model} has no text tower; give text_encoder="):
        evaluate.main([model, f"splits.val={shards}", f"out={tmp_path}/out"])
    assert not (tmp_path / "out").exists()


def test_a_trusted_factory_is_measured(shards, tmp_path):
    given = ["model=module:tests.helpers.vectors.Vectors", "+trust=[tests]", "extractors=[crop]"]
    evaluate.main([*given, f"splits.val={shards}", f"out={tmp_path}/out"])
    assert "image_text_retrieval" in read(tmp_path / "out")[0]


class OfAnyDigest(Vectors):
    digest = "../../sha256:ab/cd"


def test_a_digest_of_ones_own_names_no_folder(shards, tmp_path):
    given = [f"model=module:{__name__}.OfAnyDigest", "+trust=[tests]", "extractors=[crop]"]
    evaluate.main([*given, f"splits.val={shards}", f"out={tmp_path}/a/out"])
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    kept = [path.is_file() for path in (tmp_path / "a/out/features").iterdir()]
    assert kept == [True, True]


def test_classes_may_be_called_as_their_folders(clip, tmp_path):
    """`null` as the comment of the key has it, and no file of that name."""
    root = Path(__file__).parents[1] / "eval/regions/zero_shot/folders"
    name = "benchmarks.zero_shot"
    given = ["benchmarks=[zero_shot]", f"{name}.root={root}", f"{name}.classnames=null"]
    evaluate.main([f"model=open_clip:{clip}", *given, f"out={tmp_path}/a"])
    assert read(tmp_path / "a")[0]["zero_shot"]["top1_chance"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("root", ["null", "3", "[a]", ""])
def test_a_root_is_a_text(clip, tmp_path, root):
    """Whatever stands there: a folder may have such a name."""
    given = ["benchmarks=[whatsup_a]", f"benchmarks.whatsup_a.root={root}", f"out={tmp_path}/a"]
    says = rf"^{re.escape(root)}/controlled_images_dataset\.json: no such file"
    with pytest.raises(UserError, match=says if root else r"whatsup_a\.root=; give a text$"):
        evaluate.main([f"model=open_clip:{clip}", *given])


def test_two_splits_of_one_name_are_told(clip, shards, tmp_path):
    given = [*words(clip, shards, tmp_path), "splits.val=other"]
    says = r"^splits\.val=.* and splits\.val=other: two splits of one name; give each its own"
    with pytest.raises(UserError, match=says):
        evaluate.main(given)


def test_benchmarks_that_an_encoder_cannot_do_are_named(clip, tmp_path):
    root = Path(__file__).parents[1] / "eval/regions/referring"
    name = "refcoco_box_head"
    given = [f"benchmarks.{name}.root={root}", f"benchmarks.{name}.sets=[refcoco]"]
    says = rf"^benchmarks=\[{name}\]: none has anything to measure of this enc.*; nothing was"
    with pytest.raises(UserError, match=says):
        evaluate.main(
            [f"model=open_clip:{clip}", f"benchmarks=[{name}]", *given, f"out={tmp_path}/a"]
        )
    assert not (tmp_path / "a").exists()


def test_a_benchmark_with_pictures_of_its_own_needs_no_split(clip, tmp_path):
    given = ["benchmarks=[whatsup_a]", f"benchmarks.whatsup_a.root={tmp_path}/none"]
    with pytest.raises(UserError, match="none"):
        evaluate.main([f"model=open_clip:{clip}", f"out={tmp_path}", *given])


def _measures_with_the_others(rank, given, folder):
    evaluate.main(given)
    assert rank or (folder / "metrics.json").is_file()


def test_ranks_share_the_work_and_write_the_figures_of_one_process(clip, shards, tmp_path):
    evaluate.main([*words(clip, shards, tmp_path / "one"), "features=false"])
    several = words(clip, shards, tmp_path / "two")
    run_ranks(_measures_with_the_others, several, tmp_path / "two", world=2)
    (one, _), (two, _) = read(tmp_path / "one"), read(tmp_path / "two")
    assert set(one) == set(two)
    for key, values in one.items():
        assert two[key] == pytest.approx(values, abs=1e-6), key


def test_a_benchmark_with_files_of_its_own_is_of_no_split(clip, shards, tmp_path):
    lay_out("whatsup_a", tmp_path / "suite")
    own = ["benchmarks=[whatsup_a,region_retrieval]", "limit=999"]
    own += [f"benchmarks.whatsup_a.root={tmp_path}/suite"]
    evaluate.main([*words(clip, shards, tmp_path / "out"), *own])
    detail = read(tmp_path / "out")[1]
    assert "data" not in detail["whatsup_a"]
    assert "boxes" not in detail["whatsup_a"]
    assert detail["whatsup_a"]["partial"].startswith("limit=999")
    assert detail["region_retrieval@crop"]["data"] == str(shards)
    told = [detail[key]["about"]["data_digest"] for key in ("whatsup_a", "region_retrieval@crop")]
    assert len({*told}) == 2
    assert all(told)


@pytest.mark.rare
@pytest.mark.slow
def test_interrupted_by_ctrl_c_it_ends_without_a_word_and_goes_on_where_it_was(clip, tmp_path):
    script = Path(__file__).parents[2] / "scripts/evaluate.py"
    given = [f"model=open_clip:{clip}", "benchmarks=[wherebench1_quick]"]
    command = [sys.executable, str(script), *given, f"out={tmp_path}/out"]
    with (tmp_path / "said").open("w") as said:
        run = subprocess.Popen(command, stdout=said, stderr=said, start_new_session=True)
        while not rows_of(tmp_path / "out"):
            assert run.poll() is None
            time.sleep(0.05)
        os.killpg(run.pid, signal.SIGINT)  # as a terminal sends it, to all
        assert run.wait(60) == 130
    assert (tmp_path / "said").read_text() == ""
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["features"]
    kept = rows_of(tmp_path / "out")
    evaluate.main([*given, f"out={tmp_path}/out"])
    assert kept < rows_of(tmp_path / "out")
    evaluate.main([*given, f"out={tmp_path}/whole"])
    assert read(tmp_path / "out")[0] == read(tmp_path / "whole")[0]


def rows_of(out):
    """What is kept there, of all files."""
    found = set()
    for path in out.glob("features/*.sqlite"):
        with contextlib.suppress(sqlite3.OperationalError):  # it is being made
            rows = sqlite3.connect(path).execute("select kind, asked from rows")
            found |= {(path.name, *row) for row in rows}
    return found


def test_patches_in_another_order_stand_beside_every_figure(
    clip, shards, tmp_path, capsys, monkeypatch
):
    given = [*words(clip, shards, tmp_path / "a"), "limit=6", "permuted=true"]
    evaluate.main(given)
    told = capsys.readouterr().out
    assert "patches" in told
    assert "tokens" in told
    metrics, detail = read(tmp_path / "a")
    for key, values in metrics.items():
        for metric in [name for name in values if "_psi_" in name]:
            name, kind = metric.split("_psi_")
            line = values[f"{name}_permuted_{kind}"]
            assert values[metric] == pytest.approx((values[name] - line) / values[name])
            assert detail[key]["metrics"][metric]["value"] == values[metric]
    crops, whole = metrics["region_retrieval@crop"], metrics["image_text_retrieval"]
    for values, metric in ((crops, "r2t_r@1"), (whole, "i2t_r@1")):
        assert f"{metric}_permuted_patches" in values
        assert values[f"{metric}_permuted_tokens"] == values[metric]  # one vector a picture
    kinds = {p.name.split("-")[1] for p in (tmp_path / "a/features").iterdir()}
    assert {"own", "crop", "roi", "own~patches", "roi~patches", "roi~tokens"} <= kinds

    monkeypatch.setattr(ModelEmbedder, "images", pytest.fail)  # again: nothing is asked
    evaluate.main(given)
    assert read(tmp_path / "a")[0] == metrics


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("permuted=yes", r"permuted=yes; give true or false"),
        ("permuted=tokens", r"permuted=tokens; give true or false"),
        ("permuted=[patches]", r"permuted=\[patches\]; give true or false"),
        ("permute=true", r"permute is not a key of this command; did you mean permuted"),
    ],
)
def test_permuted_is_true_or_false(clip, shards, tmp_path, given, says):
    with pytest.raises(UserError, match=says):
        evaluate.main([*words(clip, shards, tmp_path), given])


def test_an_encoder_whose_patches_nobody_knows_is_not_shuffled(shards, tmp_path):
    given = ["model=module:tests.helpers.vectors.Vectors", "+trust=[tests]", "extractors=[crop]"]
    with pytest.raises(UserError, match=r"^permuted=true: it is not known how module:.* divides"):
        evaluate.main([*given, f"splits.val={shards}", f"out={tmp_path}/out", "permuted=true"])
    assert not (tmp_path / "out").exists()
