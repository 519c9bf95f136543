"""How processes end: by a signal outside of training, after a child's end, by somebody's error."""

import signal
import subprocess
import sys
from datetime import timedelta
from types import SimpleNamespace

import lightning as L
import pytest
import torch.distributed as td
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.strategies.launchers import subprocess_script

from cloc.cli.build.guards import guards, own_processes
from cloc.cli.launch import failures
from cloc.errors import UserError
from tests.helpers.commands import ROOT
from tests.helpers.models import CONFIGS, CONVOLUTIONAL, make_model

CHILD = "subprocess.Popen([sys.executable, '-c', {code!r}])"


def start(code):
    """A process that runs `code`."""
    begins = "import os, signal, subprocess, sys, time\nfrom cloc.cli.launch import failures\n"
    return subprocess.Popen(
        [sys.executable, "-c", begins + code],
        env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.rare
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_outside_of_training_a_signal_ends_the_process_with_143(number):
    process = start("with failures.ends_well(): print('ready', flush=True); time.sleep(60)")
    process.stdout.readline()
    process.send_signal(number)
    assert process.communicate(timeout=60)[1] == ""
    assert process.returncode == 143


@pytest.mark.slow
@pytest.mark.parametrize(
    ("child", "code", "says"),
    [
        pytest.param("import sys; sys.exit(143)", 143, "", marks=pytest.mark.rare),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", 143, ""),
        # it has told its error itself
        pytest.param("import sys; sys.exit(1)", 1, "", marks=pytest.mark.rare),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
            1,
            "error: rank 2 was ended by SIGKILL (out of memory?)\n",
        ),
    ],
)
def test_the_end_of_a_child_ends_this_process_whatever_it_waits_for(child, code, says):
    children = ", ".join(CHILD.format(code=c) for c in ("import time; time.sleep(60)", child))
    process = start(f"failures.watch([{children}]); time.sleep(60)")
    assert process.communicate(timeout=60)[1] == says
    assert process.returncode == code


class Left(Exception):
    """In place of the end of the process."""


@pytest.fixture
def rank_1(monkeypatch):
    """This process is rank 1 of 2; the store is a real one."""
    store = td.TCPStore("127.0.0.1", 0, 2, True, timedelta(seconds=5), wait_for_workers=False)
    ours = SimpleNamespace(store=lambda: store, rank=lambda: 1, world_size=lambda: 2)
    monkeypatch.setattr(failures, "dist", ours)
    monkeypatch.setattr(failures, "signal", SimpleNamespace(signal=lambda *a: None))

    def leave(code):
        raise Left(code)

    monkeypatch.setattr(failures, "_leave", leave)
    return ours


def ended(error):
    with pytest.raises(Left) as left, failures.ends_well():
        raise error
    return left.value.args[0]


def test_the_first_error_is_told_and_no_other(rank_1, capsys):
    assert ended(UserError("a wrong setting")) == 1
    assert ended(ValueError("a consequence")) == 1
    assert ended(RuntimeError("[gloo] Connection closed by peer [127.0.0.1]:1")) == 1
    assert capsys.readouterr().err == "error: a wrong setting\n"


def test_an_error_that_is_no_users_is_told_with_its_place(rank_1, capsys):
    assert ended(ValueError("a bug")) == 1
    said = capsys.readouterr().err
    assert said.startswith("error on rank 1:\nTraceback")
    assert said.endswith("ValueError: a bug\n")


@pytest.mark.parametrize(
    "error", [RuntimeError("Connection reset by peer"), td.DistNetworkError("x")]
)
def test_a_lost_connection_gives_the_others_time_to_tell_their_error(rank_1, capsys, error):
    assert ended(error) == 1
    says = "error: another process of this run has ended without a word: killed, or out of memory\n"
    assert capsys.readouterr().err == says


def test_without_rank_0_only_rank_1_tells_it(rank_1, capsys):
    def store():
        raise td.DistNetworkError("no server")

    rank_1.store = store
    assert ended(RuntimeError("Connection closed by peer")) == 1
    assert "has ended without a word" in capsys.readouterr().err
    rank_1.rank = lambda: 2
    assert ended(RuntimeError("Connection closed by peer")) == 1
    assert capsys.readouterr().err == ""


def test_after_a_checkpoint_for_a_signal_the_code_is_143(rank_1):
    assert ended(SystemExit(143)) == 143
    with pytest.raises(SystemExit) as other, failures.ends_well():
        raise SystemExit(3)
    assert other.value.code == 3


def test_the_timeout_reaches_the_strategy_and_children_are_watched_by_us(monkeypatch):
    monkeypatch.setattr(subprocess_script, "_launch_process_observer", None)
    settings = {"accelerator": "cpu", "logger": False, "enable_checkpointing": False}
    trainer = L.Trainer(strategy="ddp", devices=2, **settings)
    own_processes(trainer, make_model(), timeout_s=7.0)
    assert isinstance(trainer.strategy, DDPStrategy)
    assert trainer.strategy._timeout == timedelta(seconds=7)
    assert subprocess_script._launch_process_observer is failures.watch
    with pytest.raises(UserError, match=r"failures\.timeout_s is 0\.0, expected a time above 0"):
        own_processes(trainer, make_model(), timeout_s=0.0)


@pytest.mark.parametrize("loader_s", [600.0, 1200.0])
def test_a_rank_that_waits_for_its_data_is_named_before_its_collective_ends(tmp_path, loader_s):
    says = rf"failures\.loader_s is {loader_s}, expected less than failures\.timeout_s, 600\.0;"
    settings = {"requeue": False, "give_up_after": 10, "compare_every": 100, "hang_s": 45.0}
    with pytest.raises(UserError, match=says):
        guards({**settings, "loader_s": loader_s, "timeout_s": 600.0}, tmp_path, print)
    assert guards({**settings, "loader_s": loader_s, "timeout_s": 1201.0}, tmp_path, print)


def synced(model, **given):
    """Whether DDP around `model` broadcasts buffers in every forward, by what it is given."""
    settings = {"accelerator": "cpu", "logger": False, "enable_checkpointing": False}
    trainer = L.Trainer(strategy=DDPStrategy(**given), devices=2, **settings)
    given = own_processes(trainer, model, timeout_s=7.0).strategy._ddp_kwargs
    # torch 2.14 has a new name, and warns of the old one
    return given.get("forward_sync_buffers", given.get("broadcast_buffers", True))


@pytest.mark.parametrize("kind", CONFIGS)
def test_buffers_that_stay_as_they_are_are_not_broadcast(kind):
    assert not synced(make_model(CONFIGS[kind]))


def test_statistics_of_batch_norms_and_what_is_asked_for_are():
    assert synced(make_model(CONVOLUTIONAL["resnet"], region_head=None))
    for name in ("forward_sync_buffers", "broadcast_buffers"):
        assert synced(make_model(), **{name: True})
