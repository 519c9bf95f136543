"""Every place at which a rank waits for another, and what is seen of the ranks there.

A place is a generator: what is prepared, a `yield`, and what is watched. In it `doze` sleeps on the
rank that is late, before it would come to where the other waits for it.
"""

import threading
import time
import types
from functools import partial

import torch
import torch.distributed as td
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from cloc import dist
from cloc.data.loader import TrainLoader
from cloc.training.callbacks.watchdog import compare
from cloc.training.heartbeat import MainThread, hang

SLEEPS_S, SEEN_S, LIMIT_S = 1.1, 0.9, 0.3
X = torch.ones(4, 4)


class Doze:
    """Sleeps on the rank that is late, does nothing on the other."""

    def __init__(self, late):
        self.late = late

    def __call__(self, *args):
        if self.late:
            time.sleep(SLEEPS_S)


def gather(doze):
    yield
    doze()
    dist.gather(X)


def gather_backward(doze):
    loss = dist.gather(X.clone().requires_grad_())[0].sum()
    yield
    doze()
    loss.backward()


def total(doze):
    yield
    doze()
    dist.total(X)


def total_backward(doze):
    loss = dist.total(X.clone().requires_grad_()).sum()
    yield
    doze()
    loss.backward()


def objects(doze):
    yield
    doze()
    dist.gather_objects("word")


def new_side_group(doze):
    yield
    doze()
    dist.side_group(f"of rank {doze.late}" if dist.rank() else f"of rank {not doze.late}")


def side_group(doze):
    group = dist.side_group()
    yield
    doze()
    dist.wait(td.all_reduce(torch.ones(1), group=group, async_op=True))


def fingerprints(doze):
    dist.side_group()
    yield
    doze()
    compare(3, 5)


def barrier(doze):
    yield
    doze()
    td.barrier()


def ddp(*, buffers, steps):
    model = nn.Sequential(nn.Linear(4, 4), *([nn.BatchNorm1d(4)] if buffers else []))
    wrapped = DistributedDataParallel(model)
    for _ in range(steps):
        wrapped(X).sum().backward()
    return wrapped


def ddp_buffers(doze):
    """The statistics of batch norms are broadcast in every forward."""
    wrapped = ddp(buffers=True, steps=2)
    yield
    doze()
    wrapped(X)


def ddp_buckets(doze):
    """Once, in the forward after the first backward."""
    wrapped = ddp(buffers=False, steps=1)
    yield
    doze()
    wrapped(X)


def ddp_backward(doze):
    wrapped = ddp(buffers=False, steps=2)  # its hooks live as long as it does
    loss = wrapped(X).sum()
    yield
    doze()
    loss.backward()


def ddp_in_backward(doze):
    """The late rank is in backward too, but in a hook of its own."""
    wrapped = ddp(buffers=False, steps=2)
    loss = wrapped(X).sum()
    loss.register_hook(doze)
    yield
    loss.backward()


def ddp_in_forward(doze):
    """The late rank is in DDP's forward, but in the model's."""
    wrapped = ddp(buffers=False, steps=2)
    wrapped.module.register_forward_hook(doze)
    yield
    wrapped(X).sum().backward()


def sharded():
    mesh = init_device_mesh("cpu", (2,))
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    for module in (*model, model):
        fully_shard(module, mesh=mesh)
    return model


def fsdp_forward(doze):
    model = sharded()
    yield
    doze()
    model(X)


def fsdp_backward(doze):
    loss = sharded()(X).sum()
    yield
    doze()
    loss.backward()


def fsdp_in_backward(doze):
    model = sharded()
    out = model[0](X)
    out.register_hook(doze)
    loss = model[1](out).sum()
    yield
    loss.backward()


def fsdp_norm(doze):
    model = sharded()
    model(X).sum().backward()
    yield
    doze()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0).full_tensor()


def fsdp_whole(doze):
    weight = sharded()[0].weight
    yield
    doze()
    dist.whole(weight)


def of_file(function, path):
    """`function` seen as one of the file at `path`: there is no GPU to wait for."""
    code = function.__code__.replace(co_filename=path)
    return types.FunctionType(code, function.__globals__)


def synchronize():
    time.sleep(SLEEPS_S)


def device(path, doze):
    """The other has queued a collective, and waits for its own device, which waits for it."""
    yield
    if doze.late:
        doze()
    else:
        of_file(synchronize, path)()


cuda_event = partial(device, torch.cuda.Event.synchronize.__code__.co_filename)
cuda_stream = partial(device, torch.cuda.Stream.synchronize.__code__.co_filename)
cuda_device = partial(device, torch.cuda.synchronize.__code__.co_filename)


def loader(doze):
    """The late rank waits for its data."""

    def batches():
        doze()
        yield types.SimpleNamespace(seen=None, batch=None)

    tally = types.SimpleNamespace(add=lambda seen: None)
    own = types.SimpleNamespace(batches=batches(), waited_s=0.0, tally=tally)
    own._next = partial(TrainLoader._next, own)
    yield
    next(TrainLoader.__iter__(own))
    td.barrier()


PLACES = {
    place.__name__: place
    for place in (
        *(gather, gather_backward, total, total_backward, objects, new_side_group, side_group),
        *(fingerprints, barrier, ddp_buffers, ddp_buckets, ddp_backward, ddp_in_backward),
        *(ddp_in_forward, fsdp_forward, fsdp_backward, fsdp_in_backward, fsdp_norm, fsdp_whole),
        loader,
    )
} | {"cuda_event": cuda_event, "cuda_stream": cuda_stream, "cuda_device": cuda_device}


def seen_at(place, late):
    """The beats of both ranks while the one waits for the other."""
    watched = place(Doze(dist.rank() == late))
    next(watched)
    td.barrier()
    main, beats = MainThread(), []

    def watch():
        end = time.monotonic() + SEEN_S
        while time.monotonic() < end:
            time.sleep(0.1)
            beats.append(main.beat(3))

    thread = threading.Thread(target=watch)
    thread.start()
    next(watched, None)
    thread.join()
    return dist.gather_objects(beats[-1])


def check_places(rank, places):
    """In two processes: whoever is late is named. `places` has those that are, one by one."""
    wrong = wrong_at(places)
    assert not wrong, "\n".join(wrong)


def wrong_at(places):
    wrong = []
    for name, ranks in places.items():
        for late in ranks:
            beats = seen_at(PLACES[name], late)
            said = hang(beats, hang_s=LIMIT_S, loader_s=LIMIT_S)
            patient = hang(beats, hang_s=LIMIT_S, loader_s=9.0)
            if f"the others wait for rank {late}; " not in str(said):
                wrong.append(f"{name}, rank {late} late: {said}, {beats}")
            if (patient is None) != (name == "loader"):
                wrong.append(f"{name}: with a longer limit for loaders {patient}, {beats}")
    return wrong
