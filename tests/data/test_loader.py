"""The loader of one rank: processes take turns, errors are one line, the budget ends a run."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from multiprocessing import forkserver

import psutil
import pytest
import torch
from open_clip.tokenizer import SimpleTokenizer

from cloc.data.collate import ModelInput
from cloc.data.loader import _forkserver
from cloc.data.shards.index import write_index
from cloc.data.shards.shard_set import open_shards
from cloc.data.sources import cloc_regions
from cloc.errors import UserError
from tests.helpers.batches import validate
from tests.helpers.commands import ROOT
from tests.helpers.loaders import BATCH, assert_equal, loader, parse_some
from tests.helpers.shards import encode, flat, make_shards, write_tar

SHARDS, EACH = 4, 7


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = make_shards(tmp_path_factory.mktemp("pipeline") / "set", shards=SHARDS, each=EACH)
    return open_shards(folder, key="data.train")


def test_what_a_tokenizer_is_made_of_is_imported_once_and_not_by_every_worker():
    _forkserver(ModelInput(16, SimpleTokenizer(), 77, 16))
    assert "open_clip.tokenizer" in forkserver._forkserver._preload_modules


def parse_in_a_worker(raw):
    """Runs in a worker: it must be another process, alone on its core."""
    assert multiprocessing.parent_process() is not None
    assert torch.get_num_threads() == 1
    return cloc_regions.parse(raw)


# torch says so of more workers than cores
MANY = pytest.mark.filterwarnings("ignore:.*worker processes in total:UserWarning")


@MANY
@pytest.mark.parametrize(("workers", "skip"), [pytest.param(1, 0, marks=pytest.mark.rare), (3, 1)])
def test_batches_do_not_depend_on_the_number_of_workers(shards, workers, skip):
    ours = loader(shards, workers=workers, parse=parse_in_a_worker, steps=8, skip_batches=skip)
    assert_equal(ours, list(loader(shards, steps=8))[skip:])


@pytest.mark.parametrize("workers", [0, 2])
def test_above_the_budget_the_run_ends_naming_the_sample(shards, workers):
    with pytest.raises(UserError, match=r"^000(03|11): unlucky .*1 of 28 samples were dropped"):
        list(loader(shards, parse=parse_some, workers=workers))


def test_only_batches_that_were_handed_out_are_counted(shards):
    ours = loader(shards, workers=2)
    batches = iter(ours)
    next(batches)
    next(batches)
    assert ours.tally.samples == 2 * BATCH


def test_an_error_of_a_worker_is_one_line_naming_shard_and_key(tmp_path):
    members = {"good.png": encode(flat(4, 4)), "good.json": b"{}"}
    path = write_tar(tmp_path / "bad.tar", members)
    write_index(path)
    lines = []
    for workers in (0, 1):
        with pytest.raises(UserError) as error:
            list(loader(open_shards(path, key="k"), workers=workers))
        lines.append(str(error.value))
    assert lines[0] == lines[1]
    assert lines[0].startswith(f"{path}::good: schema None, expected 'cloc-regions/1'")
    assert "\n" not in lines[0]


def test_a_shard_that_vanished_is_named_with_the_key_to_change(tmp_path):
    folder = make_shards(tmp_path / "set", shards=1, each=2)
    found = open_shards(folder, key="k")
    (folder / "shard-000000.tar").unlink()
    for workers in (0, 1):
        with pytest.raises(
            UserError, match=r"^.*000\.tar: the shard cannot be .* data\.train \(6 of"
        ):
            list(loader(found, workers=workers))


def parse_and_die(raw):
    """As the kernel ends a process when memory is full."""
    os.kill(os.getpid(), signal.SIGKILL)


def parse_slowly(raw):
    time.sleep(60)


@MANY
@pytest.mark.parametrize(
    ("parse", "workers", "says"),
    [
        (parse_and_die, 1, r"^a worker of the loader was killed.* data\.num_workers or batch_size"),
        pytest.param(
            *(parse_slowly, 1, r"^the workers .* no batch for 2 s \(failures\.loader_s\)"),
            marks=pytest.mark.rare,
        ),
    ],
)
def test_a_worker_that_dies_or_stalls_is_one_line_soon(shards, monkeypatch, parse, workers, says):
    monkeypatch.setattr("cloc.data.loader.LOOK_S", 1.0)
    limit_s = 300.0 if parse is parse_and_die else 2.0
    began = time.monotonic()
    with pytest.raises(UserError, match=says):
        list(loader(shards, workers=workers, parse=parse, timeout_s=limit_s))
    assert time.monotonic() - began < 60


def test_a_worker_may_take_its_time_within_the_limit(shards, monkeypatch):
    monkeypatch.setattr("cloc.data.loader.LOOK_S", 0.01)  # it starts for longer than that
    assert_equal(loader(shards, workers=2, steps=3), loader(shards, steps=3))


@MANY
def test_more_workers_than_shards_or_samples_are_no_error(tmp_path):
    found = open_shards(make_shards(tmp_path / "set", shards=1, each=2), key="k")
    batches = list(loader(found, workers=3, steps=2, batch_size=2))
    assert [sorted(batch.keys) for batch in batches] == [["00000", "00001"]] * 2


def test_batches_are_valid_and_as_many_as_the_run_has_steps(shards):
    ours = loader(shards)
    batches = list(ours)
    assert len(ours) == len(batches) == 12
    for batch in batches:
        validate(batch)
        assert batch.images.shape == (BATCH, 3, 16, 16)
        assert batch.valid.shape == (BATCH, 3)
        assert batch.captions.shape == (BATCH, 24)
    assert any(batch.valid.any() for batch in batches)


READS = """
import signal, sys, time
from cloc.data.loader import _forkserver
from cloc.data.shards.shard_set import open_shards
from tests.helpers.loaders import loader
if __name__ == "__main__":
    # a shell that starts tests in the background has them ignore it
    signal.signal(signal.SIGINT, signal.default_int_handler)
    batches = iter(loader(open_shards({folder!r}, key="data.train"), workers=2, steps=500))
    next(batches)
    print("reading", flush=True)
    time.sleep(60)
"""


@pytest.mark.rare
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_has_ended_leaves_no_process_behind(tmp_path, how):
    """Its workers heed no signal but the run's, and the fork server lives as long as they do."""
    folder = make_shards(tmp_path / "set", shards=SHARDS, each=EACH)
    (tmp_path / "reads.py").write_text(READS.format(folder=str(folder)))
    command = [sys.executable, str(tmp_path / "reads.py")]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    assert run.stdout.readline() == "reading\n"
    left = psutil.Process(run.pid).children(recursive=True)
    assert len(left) >= 3  # the fork server and two workers
    for process in left:
        process.send_signal(signal.SIGTERM)  # as Slurm does, to all of a job
    gone, _ = psutil.wait_procs(left, timeout=3)
    assert gone == []
    run.send_signal(how)  # SIGINT ends it by an exception, with the loader still there
    run.wait(30)
    run.stdout.close()
    gone, alive = psutil.wait_procs(left, timeout=20)
    assert (len(gone), alive) == (len(left), [])
