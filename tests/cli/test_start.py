"""Fine-tuning with the real command: a start, its resume without the place it came from, guards."""

import json
import re
import shutil

import pytest

from cloc.cli.build.start import adapt, model_settings
from cloc.cli.config.compose import compose_config, make
from cloc.errors import UserError
from cloc.models.build import build_model
from cloc.models.load import load_model
from tests.helpers.checkpoints import save_run
from tests.helpers.commands import start, succeed
from tests.helpers.models import NATIVE, SIGLIP, make_model

SHARDS = ("train=64", "val=24", "novel=0", "samples_per_shard=16")
SMALL = (
    "logger=[jsonl]",
    *("data.num_workers=0", "data.train=data/smoke/train", "batch_size=16", "log_every=1"),
    *("eval.splits={val: data/smoke/val}", "eval.limit=16", "eval.every=2", "checkpoint_every=2"),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("start")
    succeed("prepare", "import=scenes", "out=data/smoke", *SHARDS, cwd=place)
    succeed("train", "experiment=finetune_start", "name=clip", "steps=2", *SMALL, cwd=place)
    return place


def tune(place, name, *more, recipe="joint"):
    given = (f"experiment=finetune_{recipe}", f"name={name}", "start=run:runs/clip", *SMALL)
    return start("train", *given, *more, cwd=place)


def begin(cfg, folder):
    model = build_model(**model_settings(cfg, folder, resumed=False))
    adapt(cfg, model, make(cfg.losses))


def rows(place, name):
    text = (place / f"runs/{name}/metrics.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.rare
@pytest.mark.slow
def test_frozen_towers_stay_the_starts_exactly_on_two_ranks(place):
    done = tune(place, "frozen", "steps=3", "trainer.devices=2", recipe="frozen")
    assert done.returncode == 0, done.stderr
    own, clip = (load_model(place / "runs" / name).tower for name in ("frozen", "clip"))
    for name, value in clip.state_dict().items():
        assert own.state_dict()[name].equal(value), name
    left = [v for row in rows(place, "frozen") for k, v in row.items() if k[:10] == "retention/"]
    assert left
    assert set(left) == {1.0}


@pytest.mark.rare
@pytest.mark.slow
def test_regions_alone_train_on_two_ranks(place):
    """Nothing reads the captions then, nor the projection of whole images."""
    losses = "losses=[region_text_scenes,grounding_scenes]"
    at_once = ("rates.wait.image_tower=0", "rates.wait.text_tower=0")
    done = tune(place, "regions", "steps=3", "trainer.devices=2", losses, *at_once)
    assert done.returncode == 0, done.stderr
    own, clip = (load_model(place / "runs" / name).tower.clip for name in ("regions", "clip"))
    assert own.visual.proj.equal(clip.visual.proj)
    assert not own.visual.conv1.weight.equal(clip.visual.conv1.weight)


@pytest.mark.rare
@pytest.mark.slow
def test_a_stopped_run_goes_on_without_the_place_its_start_came_from(place):
    options = ("steps=4", "losses=[image_text,region_text_scenes,grounding_scenes,distill_image]")
    lora = ("lora={rank: 2, alpha: 4, targets: [mlp.c_fc]}",)
    assert tune(place, "whole", *options, *lora).returncode == 0
    shutil.copytree(place / "runs/whole", place / "runs/part")
    for folder in (place / "runs/part/checkpoints").glob("step-00000004*"):
        shutil.rmtree(folder)
    (place / "runs/clip").rename(place / "runs/elsewhere")
    try:
        done = tune(place, "part", *options, *lora, "resume=auto")
    finally:
        (place / "runs/elsewhere").rename(place / "runs/clip")
    assert done.returncode == 0, done.stderr
    whole, part = (load_model(place / "runs" / name) for name in ("whole", "part"))
    for name, value in whole.state_dict().items():
        assert part.state_dict()[name].equal(value), name


@pytest.mark.slow
def test_what_is_wrong_is_one_line_and_leaves_nothing(place):
    done = tune(place, "wrong", "steps=2", "freeze=[tower]")
    assert done.returncode == 1
    assert re.search("freeze=.'tower'.: tower is none of image_tower, text_tower", done.stderr)
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (place / "runs/wrong").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["start=run:nowhere"], "nowhere holds no checkpoint: there is no such folder"),
        (["model=scenes_vit"], r"has an architecture of its own .*choose model=from_start"),
        (["start=null"], r"give model\.tower\.config for random weights or start="),
        (["start=open_clip:ViT-B-33,x"], r"open_clip has no model 'ViT-B-33'"),
        (["lora={rank: 2}"], r"lora=.'rank': 2.; it has rank, alpha and targets"),
    ],
)
def test_a_start_that_cannot_be_is_named(tmp_path, options, says):
    save_run(tmp_path, make_model(region_head=None), step=1)
    given = ("experiment=finetune_joint", f"start=run:{tmp_path}", *options)
    cfg = compose_config("train", list(given))
    with pytest.raises(UserError, match=says):
        begin(cfg, tmp_path)


def test_a_loss_that_needs_a_teacher_needs_a_start():
    losses = "losses=[image_text,region_text_scenes,grounding_scenes,distill_image]"
    cfg = compose_config("train", ["experiment=smoke", losses])
    with pytest.raises(
        UserError, match=r"a loss needs extra\.teacher_image: the teacher is the st"
    ):
        adapt(cfg, make_model(), make(cfg.losses))


@pytest.mark.parametrize(
    ("config", "losses", "says"),
    [
        (
            SIGLIP,
            "image_text_kept,region_text_scenes,grounding",
            "image_text is a softmax",
        ),
        (NATIVE, "image_text_sigmoid,region_text,grounding", "image_text_sigmoid needs a bias"),
    ],
)
def test_a_loss_of_the_other_family_is_refused_before_the_first_step(config, losses, says):
    cfg = compose_config("train", ["experiment=smoke", f"losses=[{losses}]", "region_context=full"])
    with pytest.raises(UserError, match=says):
        adapt(cfg, make_model(config), make(cfg.losses))
    regions = compose_config("train", ["experiment=smoke", "losses=[region_text,grounding]"])
    adapt(regions, make_model(config), make(regions.losses))


def test_the_comma_of_a_start_is_no_sweep():
    cfg = compose_config("train", ["experiment=smoke", "start=open_clip:ViT-B-16,openai"])
    assert cfg.start == "open_clip:ViT-B-16,openai"


@pytest.mark.parametrize("vocabulary", [None, "spiece.model"])
def test_a_resumed_run_reads_the_tokenizer_that_it_kept(tmp_path, vocabulary):
    given = [f"model.tower.vocabulary={vocabulary or 'null'}"]
    cfg = compose_config("train", ["experiment=cloc_paper_vit_b16", "data.train=x", *given])
    assert "folder" not in model_settings(cfg, tmp_path, resumed=True)["tower"]
    (tmp_path / "tokenizer").mkdir()
    tower = model_settings(cfg, tmp_path, resumed=True)["tower"]
    assert tower["folder" if vocabulary is None else "vocabulary"] == f"{tmp_path}/tokenizer"
    assert model_settings(cfg, tmp_path, resumed=False)["tower"]["vocabulary"] == vocabulary


@pytest.mark.parametrize("name", ["train", "show_batch"])
@pytest.mark.parametrize("choice", ["experiment=finetune_frozen", "model=from_start"])
def test_the_size_that_a_refusal_names_is_a_key_as_it_is_typed(name, choice):
    needed = ["name=x", "steps=1", "batch_size=1", "data.train=x"]
    words = [choice, *needed, "start=timm:test_vit", "model.tower.image_size=256"]
    cfg = compose_config(name, [*words, *(["out=x"] if name == "show_batch" else [])])
    assert cfg.model.tower.image_size == 256
