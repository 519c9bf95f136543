"""Who started a process, what the first of them decides for all, and layouts that cannot be run."""

import os
import subprocess
import threading
import time

import pytest
import torch
from lightning.pytorch.plugins.environments import LightningEnvironment, SLURMEnvironment
from omegaconf import OmegaConf
from timm.optim import muon

from cloc.checkpoints.locations import place_of
from cloc.cli import prepare, train
from cloc.cli.build import parts
from cloc.cli.config.compose import compose_config
from cloc.cli.launch import first_process, layout
from cloc.cli.launch.cpu import tune_for_cpu
from cloc.cli.launch.first_process import decided, environment, freeze, kept_if_begun
from cloc.cli.launch.peers import JOB, Peers, find_peers
from cloc.cli.tasks import train as train_task
from cloc.errors import UserError
from tests.helpers.commands import ROOT
from tests.helpers.launches import batch, free_port, torchrun

RUN = ["experiment=smoke", "steps=2", "eval.every=0", "data.num_workers=0", "checkpoint_every=2"]
SAY = (
    "+logger.say._target_=tests.helpers.launches.Say",
    "+logger.say.word=${now:%f}",  # a rank that composed its own config would have another
    "+logger.say.folder=said",
    "+trust=[tests.helpers.launches]",
)
SHELL = {  # of salloc with eight tasks, and of a batch script
    "SLURM_JOB_ID": "12345",
    "SLURM_JOB_NAME": "zsh",
    "SLURM_NTASKS": "8",
    "SLURM_NTASKS_PER_NODE": "4",
    "SLURM_NNODES": "2",
}
TASK = {
    **SHELL,
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1",
    "MASTER_ADDR": "node1",
}
HAND = {
    "RANK": "5",
    "LOCAL_RANK": "1",
    "WORLD_SIZE": "8",
    "MASTER_ADDR": "node1",
    "MASTER_PORT": "29500",
}
TORCHRUN = {**HAND, "LOCAL_WORLD_SIZE": "4", "TORCHELASTIC_RUN_ID": "none"}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, Peers()),
        (SHELL, Peers()),
        ({**SHELL, "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}, Peers()),
        ({**TASK, "SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}, Peers()),  # srun --pty
        (TASK, Peers("srun", 5, 8, 2)),
        (TORCHRUN, Peers("torchrun", 5, 8, 2)),
        ({**TASK, **TORCHRUN}, Peers("torchrun", 5, 8, 2)),  # srun torchrun
        (HAND, Peers("RANK and WORLD_SIZE", 5, 8, None)),
        ({"RANK": "0", "WORLD_SIZE": "1"}, Peers()),
        ({JOB: "x", "LOCAL_RANK": "1", "WORLD_SIZE": "2"}, Peers("Lightning", 1)),
        ({JOB: "x", "LOCAL_RANK": "0"}, Peers()),
    ],
)
def test_the_environment_says_who_started_a_process(environ, expected):
    assert find_peers(dict(environ)) == expected


def test_a_task_of_srun_looks_as_if_torchrun_had_started_it():
    environ = dict(TASK)
    find_peers(environ)
    names = ("RANK", "LOCAL_RANK", "GROUP_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_PORT")
    assert [environ[name] for name in names] == ["5", "1", "1", "8", "4", "22345"]


def test_the_shell_of_salloc_is_no_slurm_job(monkeypatch):
    for name, value in SHELL.items():
        monkeypatch.setenv(name, value)
    assert SLURMEnvironment.detect()  # which would wait for seven others that never come
    assert isinstance(environment(find_peers(os.environ)), LightningEnvironment)
    for peers in (Peers("srun", 5, 8, 2), Peers("torchrun", 0, 2, 1)):
        assert not isinstance(environment(peers), SLURMEnvironment)  # it would requeue by itself


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"RANK": "0", "WORLD_SIZE": "2"}, "without LOCAL_RANK, MASTER_ADDR, MASTER_PORT in the"),
        ({"LOCAL_RANK": "1"}, "LOCAL_RANK=1 without RANK; start with torchrun or srun"),
        ({**TASK, "MASTER_ADDR": ""} | {"SLURM_STEP_NUM_TASKS": "7"}, "7 tasks on 2 nodes; set --"),
        ({k: v for k, v in TASK.items() if k != "MASTER_ADDR"}, "srun without MASTER_ADDR in the"),
        ({**TORCHRUN, "LOCAL_WORLD_SIZE": "3"}, "8 processes, 3 of them on this node; start as"),
    ],
)
def test_an_environment_of_half_a_launch_is_refused(environ, says):
    with pytest.raises(UserError, match=says):
        find_peers(dict(environ))


def in_threads(monkeypatch, ranks, decide):
    """What every rank was told, or its error; `ranks` in the order in which they come."""
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(free_port()))
    monkeypatch.setattr(first_process, "FIRST_S", 0.2)
    found = {}

    def one(rank):
        try:
            with decided(Peers("x", rank, len(ranks), 1), decide) as word:
                found[rank] = word
        except UserError as error:
            found[rank] = str(error)

    threads = [threading.Thread(target=one, args=[rank]) for rank in ranks]
    for thread in threads:
        thread.start()
        time.sleep(0.3)
    for thread in threads:
        thread.join(timeout=60)
    return [found[rank] for rank in sorted(ranks)]


ORDERS = pytest.mark.parametrize("ranks", [(2, 1, 0), (0, 1, 2)])


@ORDERS
def test_what_the_first_process_decides_is_told_to_all(monkeypatch, ranks):
    calls = []

    def decide():
        calls.append(1)
        return f"decided at {time.time()}\nby one: ü"

    found = in_threads(monkeypatch, ranks, decide)
    assert len(calls) == 1
    assert found[0].startswith("decided at ")
    assert found == [found[0]] * 3


@ORDERS
def test_if_the_first_process_refuses_all_end_within_seconds(monkeypatch, ranks):
    def decide():
        raise UserError("runs/x exists")

    began = time.monotonic()
    found = in_threads(monkeypatch, ranks, decide)
    assert found == ["runs/x exists", first_process.ENDED, first_process.ENDED]
    assert time.monotonic() - began < 8


def test_without_a_first_process_the_others_give_up(monkeypatch):
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(free_port()))
    monkeypatch.setattr(first_process, "WAIT_S", 1)
    with pytest.raises(UserError, match=r"nobody to meet at .*MASTER_PORT=\d+ .*within 1 s"):
        with decided(Peers("x", 1, 2, 1), lambda: ""):
            pass


def test_the_processes_that_lightning_starts_are_told_by_the_environment():
    with decided(Peers(), lambda: "word"):
        assert find_peers({**os.environ, "LOCAL_RANK": "1"}).by == "Lightning"
        with decided(Peers("Lightning", 1), pytest.fail) as word:
            assert word == "word"
    assert JOB not in os.environ


def test_a_run_folder_is_made_by_one_run_only(tmp_path):
    freeze(tmp_path / "runs/x", "a: 1\n", fresh=True)
    with pytest.raises(UserError, match="x exists; continue it with resume=auto, or choose"):
        freeze(tmp_path / "runs/x", "a: 2\n", fresh=True)
    assert (tmp_path / "runs/x/config.yaml").read_text() == "a: 1\n"
    freeze(tmp_path / "runs/x", "a: 2\n", fresh=False)
    assert (tmp_path / "runs/x/config.yaml").read_text() == "a: 2\n"
    assert len(list((tmp_path / "runs/x").iterdir())) == 1
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot be made \(Not a directory\); set runs= to a"):
        freeze(tmp_path / "file/x", "", fresh=True)


def stop(path):
    path.touch()
    raise KeyboardInterrupt


@pytest.mark.parametrize(("leaves", "kept"), [("config.yaml", False), ("metrics.jsonl", True)])
def test_a_run_that_fails_before_it_begins_leaves_no_folder(tmp_path, leaves, kept):
    freeze(tmp_path / "x", "", fresh=True)
    with pytest.raises(KeyboardInterrupt), kept_if_begun(tmp_path / "x"):
        stop(tmp_path / "x" / leaves)
    assert (tmp_path / "x").exists() == kept


ALONE, TWO, FOUR = Peers(), Peers("torchrun", 0, 2, 1), Peers("srun", 0, 4, 2)
SOMEHOW = Peers("RANK and WORLD_SIZE", 0, 4, None)


@pytest.mark.parametrize(
    ("peers", "overrides", "expected"),
    [
        (ALONE, [], (1, 1)),
        (ALONE, ["trainer.devices=8"], (8, 1)),
        (TWO, [], (2, 1)),
        (TWO, ["trainer.devices=2"], (2, 1)),
        (FOUR, ["trainer.num_nodes=auto"], (2, 2)),
        (FOUR, ["trainer.num_nodes=2"], (2, 2)),
        (SOMEHOW, [], (4, 1)),
        (SOMEHOW, ["trainer.num_nodes=2"], (2, 2)),
    ],
)
def test_auto_is_what_the_launcher_started(peers, overrides, expected):
    cfg = compose_config("train", [*RUN, *overrides])
    layout.settle_layout(cfg, peers)
    assert (cfg.trainer.devices, cfg.trainer.num_nodes) == expected
    assert cfg.trainer.accelerator == "cpu"


@pytest.mark.parametrize(
    ("tiles", "vectors", "expected"),
    [(False, False, "32-true"), (True, False, "bf16-mixed"), (False, True, "bf16-mixed")],
)
def test_bf16_is_for_cpus_that_have_products_of_it(monkeypatch, tiles, vectors, expected):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: tiles)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: vectors)
    cfg = compose_config("train", [*RUN, "trainer=cpu"])
    layout.settle_layout(cfg, ALONE)
    assert cfg.trainer.precision == expected
    assert layout.chosen_precision("auto", "cuda") == "bf16-mixed"
    assert layout.chosen_precision("64-true", "cpu") == "64-true"


@pytest.mark.parametrize(("tiles", "expected"), [(False, torch.float32), (True, torch.bfloat16)])
def test_muon_orthogonalizes_in_bf16_where_the_cpu_has_products_of_it(monkeypatch, tiles, expected):
    """Emulated they take thirty times as long."""
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: tiles)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    before = muon.zeropower_via_newtonschulz  # perhaps tuned by a training in this process
    monkeypatch.setattr(muon, "zeropower_via_newtonschulz", getattr(before, "func", before))
    tune_for_cpu()
    seen = []
    products = torch.addmm
    monkeypatch.setattr(
        torch, "addmm", lambda x, *a, **k: seen.append(x.dtype) or products(x, *a, **k)
    )
    weight = torch.nn.Parameter(torch.randn(8, 8))
    weight.grad = torch.randn(8, 8)
    muon.Muon([weight], lr=0.1).step()
    assert set(seen) == {expected}


@pytest.mark.parametrize(
    ("peers", "overrides", "expected"),
    [
        (ALONE, ["trainer=gpu"], (1, 1)),
        (ALONE, ["trainer=gpu", "trainer.devices=[1,3]"], ([1, 3], 1)),
        (ALONE, ["trainer.accelerator=auto"], (4, 1)),
        (ALONE, ["trainer=ddp"], (4, 1)),
        (TWO, ["trainer=ddp"], (2, 1)),
        (FOUR, ["trainer=multinode"], (2, 2)),
    ],
)
def test_without_a_launcher_auto_is_all_gpus(monkeypatch, peers, overrides, expected):
    monkeypatch.setattr(layout, "num_gpus", lambda: 4)
    cfg = compose_config("train", [*RUN, *overrides])
    layout.settle_layout(cfg, peers)
    assert (cfg.trainer.devices, cfg.trainer.num_nodes) == expected
    assert cfg.trainer.accelerator == "gpu"


WRONG = [
    (ALONE, ["batch_size=15", "trainer.devices=2"], "batch_size=15 does not divide over 2 ranks"),
    (ALONE, ["batch_size=2", "trainer.devices=4"], "set batch_size to a multiple of 4, such as 4"),
    (FOUR, ["trainer.num_nodes=2", "batch_size=6"], "batch_size=6 does not divide over 4 ranks"),
    (TWO, ["accumulate=3"], "accumulate=3 does not divide a rank's batch of 8 .batch_size=16"),
    (ALONE, ["accumulate=0"], "accumulate=0; give a whole number of 1 or more"),
    (ALONE, ["trainer.devices=0"], "trainer.devices=0; set it to auto, to 1 or more"),
    (ALONE, ["trainer.devices=-1"], "trainer.devices=-1; set it to auto, to 1 or more"),
    (ALONE, ["trainer.devices=[0]"], r"devices=\[0\]; set it to .*, or on GPUs to a list"),
    (ALONE, ["trainer.devices=many"], "trainer.devices=many; set it to auto"),
    (TWO, ["trainer.devices=4"], "devices=4, but torchrun started 2 processes on a node; set"),
    (ALONE, ["trainer.num_nodes=2"], "num_nodes=2, but this process was started alone; start one"),
    (ALONE, ["trainer.num_nodes=0"], "trainer.num_nodes=0; set it to auto or to 1 or more"),
    (FOUR, [], "num_nodes=1, but srun started processes on 2 nodes; set trainer.num_nodes=2"),
    (FOUR, ["trainer.num_nodes=4"], "num_nodes=4, but srun started processes on 2 nodes; set"),
    (SOMEHOW, ["trainer.num_nodes=3"], "but RANK and WORLD_SIZE started 4 processes; set .* of 4"),
    (ALONE, ["trainer=gpu"], "but torch finds no GPU on this machine; set trainer=cpu"),
    (ALONE, ["trainer=ddp"], "but torch finds no GPU on this machine; set trainer=cpu"),
    (ALONE, ["trainer.accelerator=tpu"], "accelerator=tpu is unknown; choose from auto, cpu, gpu"),
    (ALONE, ["trainer.precision=fp8"], "precision=fp8 is unknown; choose from auto, 32-true"),
    (ALONE, ["trainer.precision=16-mixed"], "is for GPUs; set trainer.precision=bf16-mixed"),
    (ALONE, ["trainer.precision=16-true"], "would round boxes .*; set trainer.precision=bf16-mix"),
    (ALONE, ["trainer.strategy={nope: 1}"], "trainer.strategy=.*nope.* is unknown; choose from"),
    (ALONE, ["trainer.strategy=dpp"], "trainer.strategy=dpp is unknown; choose from auto, ddp"),
    (
        ALONE,
        ["seed=1,2"],
        r"seed=1,2 has several values; write key=\[a,b\] for a list; cloc-p",
    ),
    (
        ALONE,
        ["seed=range(1,3)"],
        r"seed=range.* several values; .*; cloc-pretrain train --multirun KEY=a,b m",
    ),
]


@pytest.mark.parametrize(("peers", "overrides", "says"), WRONG)
def test_an_impossible_layout_ends_before_anything_is_built(
    monkeypatch, tmp_path, peers, overrides, says
):
    monkeypatch.setattr(layout, "num_gpus", lambda: 0)
    monkeypatch.setattr(train, "find_peers", lambda environ: peers._replace(by=""))
    monkeypatch.setattr(parts, "build_model", pytest.fail)
    real = train_task.prepare
    monkeypatch.setattr(train_task, "prepare", lambda given, _, trust: real(given, peers, trust))
    with pytest.raises(UserError, match=says) as error:
        train.main([*RUN, f"runs={tmp_path}/runs", *overrides])
    assert "\n" not in str(error.value)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (
            ["trainer=ddp", "trainer.devices=8"],
            "=8, but torch finds 2 GPUs .*set trainer.dev",
        ),
        (["trainer=gpu", "trainer.devices=[0,2]"], r"=\[0, 2\], but torch finds 2 GPUs on this"),
        (["trainer=gpu", "trainer.devices=[1,1]"], r"=\[1, 1\]; set it to .* a list of different"),
    ],
)
def test_a_machine_has_no_more_gpus_than_it_has(monkeypatch, overrides, says):
    monkeypatch.setattr(layout, "num_gpus", lambda: 2)
    with pytest.raises(UserError, match=says):
        layout.settle_layout(compose_config("train", [*RUN, *overrides]), ALONE)


def arguments(done):
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("script", ["train.sbatch", "torchrun.sbatch"])
def test_a_batch_file_hands_its_arguments_to_the_command(tmp_path, script):
    ranks = {"tasks": 4, "nodes": 2} if script == "train.sbatch" else {"tasks": 2, "nodes": 2}
    given = ("experiment=x", "name=a b")
    found = arguments(batch(script, *given, cwd=tmp_path, PYTHON="show", **ranks))
    own = ("resume=auto", "failures.requeue=true", "trainer.devices=auto", "trainer.num_nodes=auto")
    keys = [*own, *given]
    assert found.count("scripts/train.py") == ranks["tasks"]
    assert found[-len(keys) :] == keys
    if script == "torchrun.sbatch":
        assert {"--nnodes=2", "--nproc-per-node=1"} <= set(found)
        assert any(word.startswith("--rdzv-endpoint=127.0.0.1:") for word in found)


def test_a_sweep_starts_one_run_per_line_each_in_its_own_folder(tmp_path):
    (tmp_path / "sweep.txt").write_text("seed=1\nseed=2 name=mine")
    for line, seed in ((1, ["seed=1"]), (2, ["seed=2", "name=mine"])):
        place = {"tasks": 1, "SLURM_ARRAY_TASK_ID": str(line), "PYTHON": "show"}
        found = arguments(batch("sweep.sbatch", "sweep.txt", cwd=tmp_path, **place))
        assert found[-len(seed) - 1 :] == [*seed, f"name=lr-{line}"]
    done = batch("sweep.sbatch", "sweep.txt", cwd=tmp_path, tasks=1, SLURM_ARRAY_TASK_ID="3")
    assert done.returncode == 1
    assert done.stderr.startswith("error: sweep.txt has no line 3; set --array=1-")


def test_batch_files_ask_for_what_a_run_needs():
    for path in sorted((ROOT / "scripts/slurm").iterdir()):
        subprocess.run(["bash", "-n", path], check=True)
        asked = {line for line in path.read_text().splitlines() if line.startswith("#SBATCH")}
        needed = {"--signal=SIGUSR1@120", "--requeue", "--open-mode=append"}
        assert {f"#SBATCH {option}" for option in needed} <= asked
        assert not any("gpus-per-task" in line for line in asked)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with shards to launch runs in."""
    folder = tmp_path_factory.mktemp("launch")
    sizes = ("train=32", "val=2", "novel=2", "samples_per_shard=16")
    prepare.main(["import=scenes", f"out={folder}/data/smoke", *sizes])
    return folder


def one_run(place, runs, ranks):
    """Exactly one run folder, and what all ranks read is the config that lies there."""
    (run,) = (place / runs).iterdir()
    cfg = OmegaConf.load(run / "config.yaml")
    assert run.name == cfg.name
    said = [path.read_text() for path in (place / f"said-{runs}").iterdir()]
    assert said == [cfg.logger.say.word] * ranks
    assert cfg.trainer.devices * cfg.trainer.num_nodes == ranks
    assert place_of(run).steps()
    return cfg


def say(runs):
    return (*RUN, f"runs={runs}", "name=x", *SAY, f"logger.say.folder=said-{runs}")


@pytest.mark.rare
@pytest.mark.slow
@pytest.mark.dist
def test_torchrun_makes_one_run_with_one_config(place):
    done = torchrun(2, *say("elastic"), cwd=place)
    assert done.returncode == 0, done.stderr
    cfg = one_run(place, "elastic", 2)
    assert (cfg.trainer.devices, cfg.trainer.num_nodes, cfg.trainer.accelerator) == (2, 1, "cpu")


@pytest.mark.rare
@pytest.mark.slow
@pytest.mark.dist
def test_a_slurm_job_whose_tasks_start_apart_makes_one_run(place):
    done = batch("train.sbatch", *say("slurm"), cwd=place, tasks=2, nodes=2, STAGGER_S="1.5")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert one_run(place, "slurm", 2).trainer.num_nodes == 2
