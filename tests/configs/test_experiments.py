"""Every experiment builds, down to its half-applied parts, and every config file composes."""

import inspect
import re
from functools import cache

import lightning as L
import pytest
import torch
import yaml
from omegaconf import OmegaConf

from cloc.cli.build.parts import make_data, make_module
from cloc.cli.config.compose import compose_config, make, plain
from cloc.cli.config.folders import CONFIGS
from cloc.data.datamodule import RegionData
from cloc.data.samples.training_view import View
from cloc.decoder.build import attach
from cloc.models.build import build_model
from cloc.models.start_folder import keep
from tests.cli.test_check_values import check_kinds
from tests.helpers.checkpoints import save_run
from tests.helpers.hf import unigram

NAMES = sorted(path.stem for path in (CONFIGS / "experiment").glob("*.yaml"))
# What only the command can know: where the data lies.
PLACES = {name: ["data.train=somewhere"] for name in NAMES}
PLACES["coco_mini"] = ["data.root=somewhere"]
COMMON = ["name=x", "steps=10", "batch_size=8", "data.train=somewhere"]
# The keys of a run. One more or one less shows here, and a typo in a file fails.
KEYS = {
    *("name", "runs", "seed", "resume", "resume_changes"),
    *("steps", "batch_size", "region_context"),
    *("model", "data", "losses", "weights", "optimizer", "schedule", "trainer", "logger"),
    *("benchmarks", "eval", "checkpoint_every", "log_every", "accumulate", "peak_tflops"),
    *("failures", "checkpoints", "checkpoint_minutes", "checkpoint_keep"),
    *("rates", "ema", "compile", "recompute", "patch_dropout"),
    *("start", "freeze", "lora", "decoder", "retention"),
}


@cache
def _experiment(name):
    return compose_config("train", [f"experiment={name}", *PLACES[name]])


def experiment(name):
    """A config of its own; it is composed once, which takes a second."""
    return _experiment(name).copy()


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A start: the scenes tower with random weights."""
    folder = tmp_path_factory.mktemp("run")
    cfg = compose_config("train", [*COMMON, "model=scenes_tower"])
    model = build_model(**plain(cfg.model))
    keep(model.tower, folder, description=model.description)
    attach(model, plain(experiment("scenes_vqa").decoder))
    save_run(folder / "answers", model)
    return folder / "start"


def built(cfg, kept):
    if cfg.decoder is not None and cfg.decoder.start is not None:
        cfg.decoder.start = str(kept.parent / "answers")
    if cfg.start is not None:
        cfg.start = f"run:{kept}"
        return build_model(**plain(cfg.model))
    with torch.device("meta"):  # shapes only, so a 1B-weight model costs nothing
        return build_model(**plain(cfg.model))


# of the large towers, which differ from the small one in numbers alone, tracing takes 20 s; and of
# a family whose members change a loss, one is enough here
FAMILY = re.compile(
    r".*_(l14|h14)|scenes_full_.*|finetune_(frozen|hard_neg\w+|scratch|start|vision)"
)
BUILT = [
    pytest.param(name, marks=pytest.mark.rare) if FAMILY.fullmatch(name) else name for name in NAMES
]


@pytest.mark.parametrize("name", BUILT)
def test_an_experiment_builds(name, kept):
    cfg = experiment(name)
    model = built(cfg, kept)
    module = make_module(cfg, model)
    configured = module.configure_optimizers()  # a misspelt argument of a partial raises only here
    assert configured["optimizer"].param_groups[0]["params"]
    assert configured["lr_scheduler"]["scheduler"].get_last_lr()[0] <= cfg.optimizer.lr
    trainer = make(cfg.trainer)
    inspect.signature(L.Trainer).bind(**trainer.keywords)
    assert trainer.func is L.Trainer
    data = make_data(cfg, model, steps=cfg.steps)
    assert isinstance(data, RegionData)
    for benchmark in cfg.benchmarks.values():
        assert callable(make(benchmark).run)
    assert set(cfg.eval.in_loop) <= set(cfg.benchmarks)


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_has_the_keys_of_a_run_and_no_others(name):
    cfg = experiment(name)
    assert set(cfg) == KEYS
    assert cfg.name == name


@pytest.mark.parametrize("name", NAMES)
def test_a_key_of_an_experiment_has_a_kind_and_a_default_is_of_its_kind(name):
    check_kinds("train", [f"experiment={name}"])


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_says_how_it_is_run_and_what_came_out(name):
    lines = (CONFIGS / "experiment" / f"{name}.yaml").read_text().splitlines()
    head = [line for line in lines[1:] if line.startswith("#")]
    assert lines[0] == "# @package _global_"
    assert any(f"scripts/train.py experiment={name}" in line for line in head)
    assert any(line.startswith("# Measured:") for line in head)


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_needs_the_heads_of_its_losses_and_trains_the_heads_it_has(name):
    """A head whose loss is off would hold weights without gradient, which DDP refuses."""
    cfg = experiment(name)
    assert (cfg.model.get("region_head") is not None) == ("region_text" in cfg.losses)
    assert (cfg.model.get("box_head") is not None) == ("grounding" in cfg.losses)


@pytest.mark.parametrize("size", ["b16", "l14", "h14"])
def test_the_papers_experiments_hold_what_the_paper_says_and_nothing_of_the_scenes(size):
    """arXiv 2410.02746, table A and section 3; what is not named there is off."""
    given = [f"experiment=cloc_paper_vit_{size}", "data.train=somewhere"]
    cfg = plain(compose_config("train", given))
    assert (cfg["batch_size"], cfg["steps"], cfg["schedule"]["warmup"]) == (32768, 439087, 2000)
    adam = {"lr": 5e-4, "betas": [0.9, 0.98], "weight_decay": 0.2}
    assert {key: cfg["optimizer"][key] for key in adam} == adam
    assert cfg["optimizer"]["_target_"] == "torch.optim.AdamW"
    source = cfg["data"]["sources"].pop("train")
    assert not cfg["data"]["sources"]
    view = make(source["view"])
    assert view == View(max_regions=4)
    assert (view.max_negatives, view.caption_weights, view.augment) == (0, {}, ())  # nothing added
    assert cfg["weights"] == {"image_text": 1.0, "region_text": 1.0, "grounding": 1.0}
    losses = make(cfg["losses"])
    region, box = losses["region_text"], losses["grounding"]
    assert (region.conflict, region.threshold, region.weight_by_coverage) == ("cosine", None, True)
    assert (box.kind, box.match, box.weight_by_coverage) == ("mse", "own", True)
    head = {"pool": "tokens", "num_heads": 1, "patch_positions": False, "join_corners": False}
    nothing_added = {"layers": None, "norm_balance": None}
    assert cfg["model"]["region_head"] == {"kind": "prompter", **head, **nothing_added}
    assert cfg["model"]["tower"]["norm_balance"] is None
    assert cfg["model"]["box_head"] == {"form": "corners"}
    rates = cfg["rates"]
    assert {*rates["factors"].values(), *rates["layer_decay"].values()} == {1.0}
    assert not rates["wait"]
    assert cfg["trainer"]["gradient_clip_val"] is None
    off = ("start", "lora", "freeze", "patch_dropout", "retention.benchmarks", "ema.decay")
    assert not any(OmegaConf.select(OmegaConf.create(cfg), key) for key in off)


@pytest.mark.parametrize("twin", ["cloc", "clip"])
def test_the_papers_experiments_take_its_tokenizer_where_the_file_is_given(tmp_path, twin):
    unigram().save(str(tmp_path / "tokenizer.json"))
    given = [f"experiment={twin}_paper_vit_b16", "data.train=somewhere"]
    cfg = compose_config("train", [*given, f"model.tower.vocabulary={tmp_path}/tokenizer.json"])
    with torch.device("meta"):
        towers = [
            build_model(**plain(c.model)).tower for c in (cfg, compose_config("train", given))
        ]
    assert [tower.clip.token_embedding.num_embeddings for tower in towers] == [32128, 49408]
    paper, clip = (tower.model_config["text_cfg"] for tower in towers)
    changed = {
        "vocab_size",
        "hf_tokenizer_name",
        "tokenizer_kwargs",
        "pool_type",
        "eos_id",
        "pad_id",
    }
    assert {k for k in paper if paper[k] != clip.get(k)} == changed
    assert towers[0].context_length == 77
    assert towers[0].tokenizer()(["A Red STAR"], 16).shape == (1, 16)


@pytest.mark.parametrize("twin", [name for name in NAMES if "clip" in name.split("_")])
def test_a_clip_twin_differs_by_its_regions_alone(twin):
    other = {"clip_paper": "cloc_paper"}.get(twin[:10], "")
    other = other + twin[10:] if other else twin.removesuffix("_clip")
    cfgs = [plain(experiment(name)) for name in (other, twin)]
    for cfg in cfgs:
        for key in ("name", "losses", "weights"):
            del cfg[key]
        cfg["model"] = cfg["model"]["tower"]
        cfg.pop("logger")  # holds the name
    assert cfgs[0] == cfgs[1]


def test_every_group_belongs_to_a_command():
    chosen = {
        next(iter(entry))
        for path in CONFIGS.glob("*.yaml")
        for entry in yaml.safe_load(path.read_text()).get("defaults", ())
        if isinstance(entry, dict)
    }
    groups = {path.name for path in CONFIGS.iterdir() if path.is_dir()}
    assert groups - {"engine", "stages"} <= {key.split("/")[0] for key in chosen}
