"""Who hangs: the judgement from what ranks say, and what a thread sees of the main one."""

import hashlib
import subprocess
import sys
import threading
import time
from datetime import timedelta

import pytest
import torch.distributed as td

from cloc.training import heartbeat
from cloc.training.heartbeat import Beat, Heartbeat, MainThread, claim, hang, told_by_another
from tests.helpers.hangs import check_places
from tests.helpers.ranks import run_ranks

ASLEEP = Beat(
    step=7,
    where="train.py:3 sleep",
    waits=False,
    on_device=False,
    loads=False,
    between=False,
    still_s=60.0,
    busy=False,
    number=1,
)
WAITING = ASLEEP._replace(where="dist.py:40 all_gather", waits=True)
COMPUTING = ASLEEP._replace(where="matmul", busy=True)
SAVING = ASLEEP._replace(between=True)
ON_DEVICE = WAITING._replace(where="cuda/streams.py:195 synchronize", on_device=True)
LOADING = ASLEEP._replace(loads=True)
LIMITS = {"hang_s": 45.0, "loader_s": 300.0}


@pytest.mark.parametrize(
    ("beats", "says"),
    [
        ([WAITING, ASLEEP], "60 s: the others wait for rank 1; rank 1 is in step 8 at train.py:3"),
        ([ASLEEP, WAITING, WAITING], "the others wait for rank 0; rank 0 is in step 8"),
        # what waits in the middle of backward, and the GPU's host that spins
        ([WAITING._replace(busy=True), ASLEEP], "the others wait for rank 1; "),
        ([WAITING, WAITING._replace(step=6)], "rank 1; rank 1 is in step 7 at dist.py:40"),
        ([WAITING, WAITING], "all ranks wait for each other; rank 0 is in step 8 at dist.py:40"),
        # a peer whose GPU waits in a collective that this rank has not come to
        (
            [ON_DEVICE._replace(busy=True), ASLEEP],
            "rank 1; rank 1 is in step 8 at train.py:3 sleep",
        ),
        ([WAITING, LOADING._replace(still_s=301.0)], "rank 1; rank 1 waits for its data in step 8"),
        ([WAITING, LOADING, ASLEEP], "the others wait for rank 2; rank 2 is in step 8 at train.py"),
        ([*[WAITING] * 3, *[ASLEEP] * 10], "rank 3, 4, 5, 6, 7, 8, 9, 10 and 2 more; rank 3 is"),
    ],
)
def test_who_the_others_wait_for_is_named(beats, says):
    assert says in hang(beats, **LIMITS)


@pytest.mark.parametrize(
    "beats",
    [
        [WAITING, ASLEEP._replace(still_s=44.0)],  # it moved
        [WAITING._replace(still_s=1.0), ASLEEP],
        [WAITING, COMPUTING],  # a long step
        [WAITING, SAVING],  # a checkpoint, benchmarks
        [WAITING, LOADING],  # slow storage
        [ON_DEVICE, ON_DEVICE],  # a long step on GPUs
        [WAITING, ON_DEVICE],
        [ASLEEP, ASLEEP],  # nobody waits for anybody: all for their data
    ],
)
def test_a_run_that_only_takes_long_is_left_alone(beats):
    assert hang(beats, **LIMITS) is None


def sleeps(seconds):
    time.sleep(seconds)


def test_what_is_seen_of_the_main_thread():
    main, seen = MainThread(), []

    def watch():
        for _ in range(4):
            time.sleep(0.1)
            seen.append(main.beat(3))

    thread = threading.Thread(target=watch)
    thread.start()
    sleeps(0.6)
    thread.join()
    assert seen[-1].where.startswith("training/test_heartbeat.py:")
    assert seen[-1].where.endswith(" sleeps")
    assert (seen[-1].step, seen[-1].number) == (3, 4)
    assert seen[-1].still_s >= 0.2
    assert not any((seen[-1].busy, seen[-1].waits, seen[-1].between))


def test_work_between_steps_is_told_from_sleep():
    main, seen = MainThread(), []

    def on_train_batch_end():
        thread.start()
        time.sleep(0.3)

    thread = threading.Thread(target=lambda: seen.append(main.beat(3)))
    on_train_batch_end()
    assert seen[0].between


def test_computing_is_told_from_sleep():
    main, seen = MainThread(), []

    def watch():
        while not done.wait(0.02):
            seen.append(main.beat(3))

    done, thread = threading.Event(), threading.Thread(target=watch)
    thread.start()
    hashlib.sha256(bytes(200_000_000))  # one call, in which other threads may run
    done.set()
    thread.join()
    assert any(beat.busy and beat.still_s > 0.05 for beat in seen)


@pytest.mark.dist
def test_at_some_of_the_places_where_ranks_wait_the_late_one_is_named():
    """At all of them: `python -m tests.faults.hangs`."""
    few = ("ddp_buffers", "ddp_in_backward", "fsdp_whole", "cuda_event", "loader")
    run_ranks(check_places, {name: (i % 2,) for i, name in enumerate(few)})


@pytest.fixture
def store():
    return td.TCPStore("127.0.0.1", 0, 2, True, timedelta(seconds=5), wait_for_workers=False)


def test_only_the_first_of_several_has_an_error_to_tell(store):
    assert not told_by_another(store)
    assert [claim(store), claim(store)] == [True, False]
    assert told_by_another(store)


def beating(store, rank, *, told=False, hang_s=45.0):
    beat = Heartbeat(store, rank=rank, ranks=2, hang_s=hang_s, loader_s=300.0, told=lambda: told)
    beat.armed = True
    return beat


class Left(Exception):
    """In place of the end of the process."""


@pytest.fixture
def left(monkeypatch):
    texts = []

    def leave(text):
        texts.append(text)
        raise Left

    monkeypatch.setattr(heartbeat, "leave", leave)
    return texts


def test_rank_0_tells_who_hangs_and_the_other_ends_in_silence(store, left):
    first, second = beating(store, 0), beating(store, 1)
    first.look(WAITING)  # the other is not there yet
    second.look(ASLEEP)
    with pytest.raises(Left):
        first.look(WAITING._replace(number=2))
    second.done.wait = lambda seconds: False
    with pytest.raises(Left):
        second.look(ASLEEP._replace(number=2))
    assert left[0].startswith("error: nothing has moved for 60 s: the others wait for rank 1; ")
    assert left[1] == ""


@pytest.mark.parametrize(("told", "silent_s"), [(False, 46), (True, 6)])
def test_a_rank_that_beats_no_more_is_named(store, left, monkeypatch, told, silent_s):
    first, second = beating(store, 0, told=told), beating(store, 1)
    moving = COMPUTING._replace(still_s=0.0)
    second.look(moving)
    first.look(moving)
    now = time.monotonic()
    monkeypatch.setattr(heartbeat.time, "monotonic", lambda: now + silent_s - 2)
    first.look(moving._replace(number=2))
    assert left == []
    monkeypatch.setattr(heartbeat.time, "monotonic", lambda: now + silent_s)
    with pytest.raises(Left):
        first.look(moving._replace(number=3))
    assert left == ["error: rank 1 gives no sign of life any more, its last known step was 7"]


def test_nothing_is_judged_before_a_first_step_is_done(store, left):
    first, second = beating(store, 0), beating(store, 1)
    first.armed = False
    second.look(ASLEEP)
    first.look(WAITING)
    assert left == []


def test_leaving_ends_the_process_from_any_thread():
    code = (
        "import threading, time; from cloc.training.heartbeat import leave\n"
        "threading.Thread(target=leave, args=['why']).start(); time.sleep(60)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, "why\n")
