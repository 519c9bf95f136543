"""What `bench.py` answers about speed: tax, race, doctor, GPU. No speed is asserted."""

import json
import subprocess
import sys
import time
from functools import partial

import open_clip
import pytest
import torch

from cloc import dist
from cloc.cli import prepare
from cloc.cli.bench import command as bench
from cloc.cli.bench import measurements as answers
from cloc.cli.bench import open_clip_trainer
from cloc.cli.bench import race as race_bench
from cloc.cli.bench import region_cost as tax_bench
from cloc.cli.bench.doctor import limiter, loading, samples_per_s
from cloc.cli.bench.gpu import utilisation
from cloc.cli.bench.positions import ENCODINGS, positions
from cloc.cli.bench.region_cost import phrases_per_image
from cloc.cli.bench.stages import Machine, Stages, exchange_rate
from cloc.cli.bench.startup import SHOWN, imports_of
from cloc.cli.bench.step import in_turns, parts_of, spread
from cloc.cli.config.compose import compose_config
from cloc.cli.tasks import train as train_task
from cloc.data.sources import cloc_regions
from cloc.errors import UserError
from tests.helpers.encoders import save_open_clip
from tests.helpers.models import NATIVE
from tests.helpers.shards import make_shards


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """Overrides of a tiny experiment on its own shards."""
    folder = tmp_path_factory.mktemp("bench") / "scenes"
    prepare.main(["import=scenes", f"out={folder}", "train=32", "val=0", "novel=0"])
    return ["experiment=smoke", f"data.train={folder}/train", "data.num_workers=0", "batch_size=4"]


def answer(capsys, *overrides):
    bench.main(list(overrides))
    printed = capsys.readouterr().out.splitlines()
    return json.loads(printed[-1]), printed[:-1]


@pytest.mark.rare
@pytest.mark.slow
def test_the_tax_in_flops_of_the_papers_model_is_within_its_target(capsys):
    """Four regions of an image, all phrases distinct: what one step may cost at most."""
    found, _ = answer(capsys, "what=tax", "experiment=cloc_paper_vit_b16", "repeat=0")
    over = {name: values["all_distinct"] for name, values in found["flops_over_clip"].items()}
    assert over["clip"] == 1
    assert over["cloc"] <= 1.25
    assert 2.0 < over["literal"] < 2.3
    assert found["gflop_per_image"]["clip"]["all_distinct"] == pytest.approx(123, abs=1)
    assert found["tokens_of_a_phrase"] == {"cloc": 16, "literal": 77, "clip": 77}
    assert over["cloc"] < found["with_losses_over_clip"]["cloc"] <= 1.25  # at 32,768 images


@pytest.mark.rare
def test_the_tax_with_the_phrases_of_real_batches_and_in_time(smoke, capsys, monkeypatch):
    monkeypatch.setattr(tax_bench, "SAMPLED", 8)
    found, _ = answer(capsys, "what=tax", *smoke, "repeat=2", "images=2")
    real, worst = (found["phrases_per_image"][k] for k in ("of_the_data", "all_distinct"))
    assert 0 < real < worst == 4
    flops = found["flops_over_clip"]["cloc"]
    assert 1 < flops["of_the_data"] < flops["all_distinct"]
    assert found["images_per_s"].keys() == {"cloc", "literal", "clip"}
    assert all(values["median"] > 0 for values in found["time_over_clip"].values())
    assert found["batch_size"] == 2


@pytest.mark.rare
def test_the_losses_cost_of_an_image_grows_with_the_batch():
    """What allows counting it on a part; `COUNTED` images are all in one part."""
    cfg = compose_config("train", ["experiment=cloc_paper_vit_b16", "data.train=none"])
    form = tax_bench.forms(cfg)["cloc"]
    two, eight = (tax_bench.loss_flops(form, images) for images in (32, 128))
    assert eight == 4 * two > 0


def test_phrases_are_counted_without_the_padding_of_their_table(smoke):
    """32 scenes have far fewer distinct phrases than the table's 64 rows a bucket."""
    cfg = compose_config("train", smoke)
    stream = iter(parts_of(cfg, steps=1).data.train_dataloader())
    batch = next(stream)
    distinct = {tuple(row) for row in batch.phrases.tolist() if any(row)}
    assert len(batch.phrases) > len(distinct)
    assert phrases_per_image(cfg, steps=1) < 4


def test_a_twin_has_nothing_to_tax(capsys):
    with pytest.raises(UserError, match="has no Prompter"):
        bench.main(["what=tax", "experiment=clip_paper_vit_b16"])


SLOW = Stages(  # a loader of one worker that the model waits for
    disk=1000, decode=100, workers=90, host_to_device=None, model=500, communication=None
)


@pytest.mark.parametrize(
    ("change", "machine", "name"),
    [
        ({}, Machine(1, 8), "workers"),
        ({}, Machine(0, 8), "workers"),
        ({"workers": 180}, Machine(2, 2), "decode"),
        ({"disk": 95}, Machine(1, 8), "disk"),
        ({"disk": 300, "workers": 280}, Machine(4, 8), "disk"),
        ({"model": 80}, Machine(1, 8), "model"),
        ({"host_to_device": 70}, Machine(1, 8), "host_to_device"),
        ({"communication": 60}, Machine(1, 8), "communication"),
        ({"communication": 60, "model": 50}, Machine(1, 8), "model"),
        ({"workers": 800}, Machine(8, 2), "decode"),  # seven ranks beside it want cores too
    ],
)
def test_the_slowest_stage_is_the_limiter(change, machine, name):
    assert limiter(SLOW._replace(**change), machine) == name


def test_the_whole_is_as_fast_as_its_slowest_part():
    assert samples_per_s(SLOW, Machine(1, 8)) == pytest.approx(90)
    # in one process loading and the step take turns
    assert samples_per_s(SLOW, Machine(0, 8)) == pytest.approx(1 / (1 / 90 + 1 / 500))
    # a copy comes before its step, the exchange of gradients goes on during it
    there = SLOW._replace(workers=1e6, decode=1e6, host_to_device=500, communication=1e4)
    assert samples_per_s(there, Machine(1, 8)) == pytest.approx(250)
    assert samples_per_s(there._replace(communication=40), Machine(1, 8)) == pytest.approx(40)
    assert loading(SLOW._replace(workers=800), Machine(8, 2)) == 200


def test_the_doctor_measures_every_stage_and_predicts_the_run(smoke, capsys):
    given = ["repeat=2", "price_per_hour=3", "trainer.devices=2"]
    found, printed = answer(capsys, "what=doctor", *smoke, *given)
    rates = found["samples_per_s_of_a_rank"]
    assert all(rates[name] > 0 for name in ("disk", "decode", "workers", "model"))
    assert rates["host_to_device"] is rates["communication"] is None  # one process without a GPU
    assert (found["ranks"], found["images_of_a_rank"]) == (2, 2)
    run = found["run"]
    assert run["samples"] == 8 * 4
    assert run["hours"] == pytest.approx(32 / found["predicted_samples_per_s"] / 3600, rel=1e-3)
    assert run["cost"] == pytest.approx(run["hours"] * 2 * 3, rel=1e-2)
    assert any(found["limiter"] in line for line in printed)


def slow(sample):
    """A source that takes its time."""
    time.sleep(0.2)
    return cloc_regions.parse(sample)


def slow_read(self, path, index, *, count):
    time.sleep(0.2)
    return READ(self, path, index, count=count)


READ = answers.doctor.__globals__["measure"].__globals__["Reader"].__call__


@pytest.mark.parametrize(
    ("cores", "name"), [pytest.param(1, "decode", marks=pytest.mark.rare), (8, "workers")]
)
def test_a_slow_source_is_named(smoke, capsys, monkeypatch, cores, name):
    monkeypatch.setattr("cloc.cli.bench.stages.num_cores", lambda: cores)
    path = ["data.parse.path=tests.cli.test_bench_speed.slow", "+trust=[tests]"]
    workers = [] if cores > 1 else ["data.num_workers=1"]
    monkeypatch.setattr("cloc.cli.bench.stages.loader_rate", one_batch)
    found, _ = answer(capsys, "what=doctor", *smoke, *path, *workers, "repeat=2")
    assert found["limiter"] == name


@pytest.mark.rare
def test_a_slow_disk_is_named(smoke, capsys, monkeypatch):
    monkeypatch.setattr("cloc.data.shards.reader.Reader.__call__", slow_read)
    found, _ = answer(capsys, "what=doctor", *smoke, "repeat=2")
    assert found["limiter"] == "disk"


def one_batch(data, *, warm, repeat):
    """In this process, where the test's own changes hold."""
    data.num_workers = 0
    batch = next(iter(data.train_dataloader()))
    return 4.9, batch


def test_several_ranks_exchange_as_many_numbers_as_are_trained(smoke, monkeypatch):
    sent = []
    monkeypatch.setattr(dist, "world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda x: sent.append(x.numel()))
    cfg = compose_config("train", smoke)
    rate = exchange_rate(cfg, torch.device("cpu"), images=4, repeat=2)
    trained = parts_of(cfg, steps=1).module.model.parameters()
    assert set(sent) == {sum(p.numel() for p in trained)}
    assert rate > 0


@pytest.mark.parametrize("given", ["price_per_hour=x", "price_per_hour=-1", "images=0", "images=a"])
def test_a_wrong_option_is_one_line(smoke, given):
    with pytest.raises(UserError, match=given.split("=")[0]):
        bench.main(["what=doctor", *smoke, given])


def test_an_option_of_another_question_is_refused(smoke):
    with pytest.raises(UserError, match=r"what=step does not read images=; its own options: none"):
        bench.main(["what=step", *smoke, "images=2"])


def test_without_a_gpu_its_figures_are_refused_in_one_line(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="no CUDA device; device=cpu images=2 makes a dry run"):
        bench.main(["what=gpu", "experiment=cloc_paper_vit_b16"])
    with pytest.raises(UserError, match=r"no CUDA device; add trainer=cpu"):
        bench.main(["what=doctor", "experiment=cloc_paper_vit_b16", "data.train=x"])


@pytest.mark.rare
def test_a_dry_run_of_the_gpus_figures_says_so(smoke, capsys):
    given = ["device=cpu", "images=2", "repeat=2", "peak_tflops=0.5"]
    found, printed = answer(capsys, "what=gpu", *smoke, *given)
    assert found["dry_run"]
    assert found["datasheet_tflops"] == 0.5
    assert found["models"].keys() == {"cloc", "clip"}
    assert sum("dry run, no figure" in line for line in printed) == 2
    for model in found["models"].values():
        spent = model["images_per_s"] * model["gflop_per_image"] * 1e9
        assert model["mfu"] == pytest.approx(spent / 0.5e12, rel=1e-2)


def test_mfu_is_of_the_datasheet_with_the_measured_product_beside_it():
    """The issue's bar: 2,900 images/s of 122 GFLOP are 36 % of 989 and 45 % of 790 TFLOP/s."""
    found = utilisation(2900, 122e9, peak=989e12, product=790e12)
    assert found["mfu"] == pytest.approx(0.358, abs=1e-3)
    assert found["of_product"] == pytest.approx(0.448, abs=1e-3)
    assert utilisation(2900, 122e9, peak=None, product=790e12)["mfu"] is None


def test_a_single_turn_has_no_spread():
    assert spread([2.0]) == {"median": 2.0, "q1": 2.0, "q3": 2.0}
    assert spread([1.0, 2.0, 3.0])["median"] == 2.0


def test_a_processors_clock_stands_while_others_run():
    [waited] = in_turns({"waits": partial(time.sleep, 0.05)}, 1)["waits"]
    [worked] = in_turns({"waits": partial(time.sleep, 0.05)}, 1, clock=time.process_time)["waits"]
    assert waited >= 0.05
    assert worked < 0.04


def test_positions_are_each_beside_learned_ones_in_turns(tmp_path, capsys):
    (tmp_path / "positions-tiny.json").write_text(json.dumps(NATIVE))
    open_clip.add_model_config(tmp_path / "positions-tiny.json")
    given = ["what=positions", "tower=positions-tiny", "images=2", "repeat=2"]
    found, _ = answer(capsys, *given)
    assert set(found["over_learned"]) == set(found["seconds"]) == set(ENCODINGS)
    assert found["over_learned"]["learned"]["median"] == 1
    assert found["load"] >= 0
    with pytest.raises(UserError, match="tower=nope: open_clip has no such model"):
        positions({"tower": "nope"}, repeat=1)


@pytest.fixture
def _both_sides_here(tmp_path, monkeypatch):
    """The two commands in this process, on a tower that takes no time."""
    (tmp_path / "race-tiny.json").write_text(json.dumps(NATIVE))
    open_clip.add_model_config(tmp_path / "race-tiny.json")
    monkeypatch.setattr(race_bench, "STEPS", 5)
    monkeypatch.setattr(race_bench, "WARMUP", 1)
    monkeypatch.setattr(race_bench, "LOG_EVERY", 2)
    monkeypatch.setattr(train_task, "build", train_task.build)  # put back afterwards
    main = open_clip_trainer.module("main")
    monkeypatch.setattr(main, "setup_logging", lambda *args: None)  # of every logger there is
    monkeypatch.setattr(main, "cosine_lr", main.cosine_lr)


@pytest.mark.rare
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*pin_memory", "ignore::ResourceWarning")
@pytest.mark.usefixtures("_both_sides_here")
def test_a_race_runs_both_commands_on_the_same_work(monkeypatch, capsys):
    sides = {"ours": race_bench.run_ours, "open_clip": race_bench.run_theirs}
    run = []

    def here(command, **settings):
        if command[0] != sys.executable:
            return RUN(command, **settings)
        _, _, _, side, path, *arguments = command
        run.append(side)
        clock = race_bench.Clock(path)
        train_task.build = BUILD  # each command would be a process of its own
        sides[side](clock, arguments)
        clock.write()
        return type("Done", (), {"returncode": 0})

    monkeypatch.setattr(race_bench.subprocess, "run", here)
    found, _ = answer(capsys, "what=race", "tower=race-tiny", "images=2", "repeat=1")
    assert run == ["open_clip", "ours"]
    for speeds in (found["images_per_s"], found["images_per_cpu_s"]):
        assert min(speeds["ours"]["median"], speeds["open_clip"]["median"]) > 0
        assert len(speeds["ratio_of_each_turn"]) == 1
    assert found["batch_size"] == 2


BUILD, RUN = train_task.build, subprocess.run


def test_a_races_ratio_is_of_the_medians_of_each_turn():
    speeds = {"ours": [[1, 2, 30], [8, 8, 8]], "open_clip": [[4, 4, 4], [2, 2, 2]]}
    found = race_bench.compared(speeds)
    assert found["ratio_of_each_turn"] == [0.5, 4.0]
    assert found["ours_over_open_clip"] == 2.25
    assert found["ours"]["median"] == 8


def test_an_unknown_tower_is_one_line():
    with pytest.raises(UserError, match="tower=x: open_clip has no such model"):
        bench.main(["what=race", "tower=x"])


def test_what_is_imported_is_told_by_package_the_slowest_first():
    found = imports_of("numpy")
    assert next(iter(found)) == "numpy"
    assert len(found) <= SHOWN
    assert list(found.values()) == sorted(found.values(), reverse=True)


def test_an_evaluation_is_measured_beside_its_encoder(tmp_path, capsys):
    folder = save_open_clip(tmp_path / "clip", resize_mode="squash")
    shards = make_shards(tmp_path / "set", shards=1, each=6)
    given = ["what=eval", f"shards={shards}", f"encoder=open_clip:{folder}", "repeat=3"]
    bench.main([*given, "images=5"])
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["images"] == 5
    assert found["mib"]["peak"] >= found["mib"]["before"] > 0
    whole, alone = (found["images_per_s"][k]["median"] for k in ("evaluation", "encoder_alone"))
    assert 0 < whole < alone * 1.5
    with pytest.raises(UserError, match="what=eval measures an encoder; give encoder="):
        bench.main(["what=eval", f"shards={shards}"])
    with pytest.raises(UserError, match="or eval with shards=DIR"):
        bench.main(["what=eval"])
