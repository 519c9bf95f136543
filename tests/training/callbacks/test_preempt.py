"""Signals to a run: the same step on all ranks, a checkpoint, exit code 143."""

import os
import signal
import stat

import lightning as L
import pytest
import torch.distributed as td
from lightning.fabric.plugins.environments import TorchElasticEnvironment

from cloc import dist
from cloc.training.callbacks.preempt import Preempt, Preempted, requeue_slurm_job
from tests.helpers.fit import fit, make_module
from tests.helpers.models import make_model, model_batch
from tests.helpers.ranks import run_ranks


class SignalAt(L.Callback):
    """Sends `number` to this process in the middle of step `step`, or while `hook` is called."""

    def __init__(self, number, step, *, hook="on_before_backward"):
        self.number, self.step = number, step
        setattr(self, hook, self.send)

    def send(self, trainer, *args):
        if trainer.global_step + 1 == self.step:
            os.kill(os.getpid(), self.number)


class Save:
    """Remembers the steps it was asked to save."""

    def __init__(self):
        self.steps = []

    def __call__(self, trainer):
        self.steps.append(trainer.global_step)


@pytest.fixture(autouse=True)
def _handlers_as_they_were():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    yield
    for number, handler in before.items():
        assert signal.getsignal(number) == handler
        signal.signal(number, handler)


def run(folder, *callbacks, steps=4, **settings):
    model = make_model()
    fit(make_module(model), [model_batch(model)] * steps, folder, callbacks=callbacks, **settings)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_one_process_saves_after_the_step_and_ends_with_143(tmp_path, capfd, number):
    save = Save()
    with pytest.raises(Preempted) as ended:
        run(tmp_path, SignalAt(number, 2), Preempt(save))
    assert save.steps == [2]
    assert ended.value.code == 143
    said = capfd.readouterr().err.splitlines()
    assert said[-1] == f"{number.name} after step 2: saved; resume=auto goes on from here"


def test_a_run_without_a_signal_ends_as_always(tmp_path):
    save = Save()
    run(tmp_path, Preempt(save))
    assert save.steps == []


def test_a_run_whose_last_step_comes_first_ends_as_always(tmp_path):
    save = Save()
    run(tmp_path, SignalAt(signal.SIGTERM, 5, hook="on_train_end"), Preempt(save))
    assert save.steps == []


def scontrol(folder, monkeypatch, *, code=0):
    """A stand-in on PATH that writes down how it was called."""
    script = folder / "bin/scontrol"
    script.parent.mkdir()
    script.write_text(
        f'#!/bin/sh\necho "$@" >> {folder}/asked\necho no such job >&2\nexit {code}\n'
    )
    script.chmod(script.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    return folder / "asked"


@pytest.mark.parametrize(
    ("number", "requeue", "asked"),
    [
        (signal.SIGUSR1, True, "requeue 17\n"),
        (signal.SIGUSR1, False, None),
        (signal.SIGTERM, True, None),  # somebody has cancelled the job
    ],
)
def test_sigusr1_requeues_the_job_once_after_the_checkpoint(
    tmp_path, monkeypatch, number, requeue, asked
):
    path = scontrol(tmp_path, monkeypatch)
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    # Slurm's own handler must not run either: Lightning takes the process for a task of the job
    for name, value in {"NTASKS": "1", "JOB_NAME": "x", "PROCID": "0", "LOCALID": "0"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    saves = []

    def save(trainer):
        saves.append(path.exists())

    with pytest.raises(Preempted):
        run(tmp_path, SignalAt(number, 2), Preempt(save, requeue=requeue))
    assert saves == [False]  # the checkpoint came first
    assert (path.read_text() if path.exists() else None) == asked


def test_an_element_of_an_array_is_requeued_by_itself(tmp_path, monkeypatch, capfd):
    path = scontrol(tmp_path, monkeypatch, code=1)
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "12")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    requeue_slurm_job()
    assert path.read_text() == "requeue 12_3\n"
    assert capfd.readouterr().err == "job 12_3 was not requeued: no such job\n"
    monkeypatch.setenv("PATH", "")
    requeue_slurm_job()
    assert "was not requeued: [Errno 2]" in capfd.readouterr().err


def test_outside_of_slurm_nothing_is_requeued(tmp_path, monkeypatch):
    path = scontrol(tmp_path, monkeypatch)
    for name in ("JOB_ID", "ARRAY_JOB_ID", "ARRAY_TASK_ID"):
        monkeypatch.delenv(f"SLURM_{name}", raising=False)
    requeue_slurm_job()
    assert not path.exists()


def several(rank, folder, number, target):
    """The signal goes to one rank; all save after the same step, and nothing is broadcast."""
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", GROUP_RANK="0")
    two = {"devices": 2, "strategy": "ddp", "plugins": [TorchElasticEnvironment()]}
    broadcasts = []
    whole = td.broadcast
    td.broadcast = lambda *a, **k: broadcasts.append(a) or whole(*a, **k)
    save = Save()
    signals = [SignalAt(number, 3)] if rank == target else []
    with pytest.raises(Preempted):
        run(folder, *signals, Preempt(save), steps=12, **two)
    assert save.steps in ([4], [5])
    assert dist.gather_objects(save.steps) == [save.steps] * 2
    assert len(broadcasts) < 6  # Lightning's, one a step, would be more


@pytest.mark.dist
@pytest.mark.parametrize("target", [0, 1])
def test_a_signal_to_one_of_two_ranks_ends_both_after_the_same_step(tmp_path, target):
    run_ranks(several, tmp_path, signal.SIGTERM, target)
