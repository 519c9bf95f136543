"""A step that changes nothing where the verdict says so, and for which the host never waits."""

from functools import partial

import pytest
import timm.optim
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from cloc.training.optim import on_device
from cloc.training.skipped_step import Skip, kept_on_device, not_finite, step_unread
from tests.helpers.waits import HostWaits, NoWaits

OPTIMIZERS = {
    "adamw": partial(torch.optim.AdamW, lr=1e-2),
    "fused": partial(torch.optim.AdamW, lr=1e-2, fused=True),
    "capturable": partial(timm.optim.Muon, lr=1e-2, nesterov=True),
    "muon": partial(timm.optim.Muon, lr=1e-2, weight_decay=0.1),
    "stable": partial(timm.optim.AdamWLegacy, lr=1e-2, clipping_threshold=1.0),
    "sgd": partial(torch.optim.SGD, lr=1e-2, momentum=0.9),
}


def equal(a, b):
    return len(a) == len(b) and all(map(torch.equal, a, b))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("bad", [True, False])
def test_on_a_device_that_is_not_waited_for(optimizer, bad):
    """The path of a GPU, taken on the CPU: the verdict is a tensor until the step is done."""
    outcomes = []
    for steps in (2, 1 if bad else 2):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4))
        made = OPTIMIZERS[optimizer](net.parameters())
        skip = Skip(made)
        for step in range(steps):
            made.zero_grad()
            net(torch.ones(2, 4) + step).square().sum().backward()
            weights = list(net.parameters())
            judge = torch.tensor(bad and step == 1)
            if judge:
                for weight in weights:
                    weight.grad.fill_(torch.nan)
            if optimizer == "fused":
                skip.next_if(judge)
            elif step == 1:
                assert kept_on_device(made, weights)
                skip.keep(judge, weights)
            made.step()
        state = [v for s in made.state.values() for v in s.values()]
        outcomes.append([*net.state_dict().values(), *(x for x in state if torch.is_tensor(x))])
    assert equal(*[[x.clone() for x in outcome] for outcome in outcomes])


def test_state_that_is_not_there_yet_or_elsewhere_is_not_on_the_device():
    weight = nn.Parameter(torch.ones(2, device="meta"))
    made = torch.optim.AdamW([weight])
    assert not kept_on_device(made, [weight])
    made.state[weight] = {"step": torch.tensor(1.0)}  # counted on the host
    assert not kept_on_device(made, [weight])
    made.state[weight] = {"step": 1}
    assert not kept_on_device(made, [weight])
    made.state[weight] = {"step": torch.tensor(1.0, device="meta")}
    assert kept_on_device(made, [weight])


def steps(make, *, host_waits, scaled=False):
    """Three clipped steps on a GPU without one; from the second on every wait raises."""
    with FakeTensorMode():
        with torch.device("cuda"):
            net = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8))
        optimizer = make(net.parameters())
        optimizer = optimizer if host_waits else on_device(optimizer)
        skip = Skip(optimizer)
        for step in range(3):
            for weight in net.parameters():
                weight.grad = torch.ones_like(weight)
            if not step:
                optimizer.step()
                continue
            with NoWaits():
                skip.next_if(not_finite(optimizer))
                nn.utils.clip_grad_norm_(net.parameters(), 1.0)
                optimizer.step()
    return optimizer


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_on_a_gpu_no_step_waits(kind):
    found = steps(OPTIMIZERS[kind], host_waits=False).param_groups[0]
    assert found.get("fused") or found.get("capturable") or kind == "sgd"


@pytest.mark.parametrize("kind", ["adamw", "muon", "stable"])
def test_the_librarys_own_ways_would(kind):
    with pytest.raises((HostWaits, RuntimeError), match="_local_scalar_dense"):
        steps(OPTIMIZERS[kind], host_waits=True)


@pytest.mark.parametrize("bad", [True, False])
def test_the_scaler_of_float16_does_not_ask_either(bad):
    weight = nn.Parameter(torch.ones(4))
    optimizer = torch.optim.AdamW([weight], lr=0.1, fused=True)
    optimizer._step_supports_amp_scaling = False  # as `clippable` leaves it
    scaler, skip = torch.amp.GradScaler("cpu", init_scale=8.0), Skip(optimizer)
    step_unread(scaler)
    scaler.scale((weight * (torch.inf if bad else 1)).sum()).backward()
    scaler.unscale_(optimizer)
    with NoWaits():
        skip.next_if(not_finite(optimizer))
        scaler.step(optimizer)
        scaler.update()
    assert weight.eq(1).all() == bad
    assert scaler.get_scale() == (4.0 if bad else 8.0)
