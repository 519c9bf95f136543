"""Nothing of the model is used around DDP's forward, and ranks agree on every gradient.

A step that calls a part of the unwrapped model still learns: each rank alone, and one is saved.
That was so in a family of published codebases (CLIPSelf and its heirs).
"""

import os
import warnings

import lightning as L
import pytest
import torch
import torch.distributed as td
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from tests.helpers.fit import fit, make_module
from tests.helpers.models import make_model, model_batch, random_pixels
from tests.helpers.ranks import run_ranks


class Uses(TorchFunctionMode):
    """Names of the parameters that functions were given while DDP's forward ran, and while not.

    Of functions, not of modules: some weights are used without their own module's forward.
    """

    def __init__(self, module):
        super().__init__()
        self.names = {id(p): name for name, p in module.named_parameters()}
        self.within = False
        self.inside, self.around = set(), set()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if getattr(func, "__name__", "") not in ("__get__", "__set__"):  # to look is no use
            used = {self.names.get(id(x)) for x in tree_leaves((args, kwargs))} - {None}
            (self.inside if self.within else self.around).update(used)
        return func(*args, **(kwargs or {}))


class Watch(L.Callback):
    """Looks from the start of a step to its backward, and then at the gradients of all ranks."""

    def on_train_start(self, trainer, module):
        self.uses, self.unequal = Uses(module), []
        wrapped = trainer.strategy.model
        assert isinstance(wrapped, nn.parallel.DistributedDataParallel)
        wrapped.register_forward_pre_hook(lambda *_: setattr(self.uses, "within", True))
        wrapped.register_forward_hook(lambda *_: setattr(self.uses, "within", False))

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        self.uses.__enter__()

    def on_before_backward(self, trainer, module, loss):
        self.uses.__exit__(None, None, None)

    def on_after_backward(self, trainer, module):
        for name, parameter in module.named_parameters():
            everybody = [torch.empty_like(parameter) for _ in range(trainer.world_size)]
            td.all_gather(everybody, parameter.grad.contiguous())
            if not all(grad.equal(everybody[0]) for grad in everybody):
                self.unequal.append(name)


class Peek(L.Callback):
    """Encodes the phrases by itself before the step."""

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        module.model.tower.texts(batch.phrases)


def watch(rank, folder, *, accumulate=1, around=False, peek=False):
    """What `Watch` found in two steps of a run in which each rank has images of its own."""
    model = make_model()
    module = make_module(model)
    module.accumulate = accumulate
    batch = model_batch(model, valid=((1, 1, 1), (1, 0, 0), (0, 0, 0), (1, 1, 0)))
    batch = batch._replace(images=random_pixels(rank, 4))
    found = Watch()
    redirect = Redirect() if around else None
    callbacks = [found, *([Peek()] if peek else []), *([redirect] if redirect else [])]
    settings = {"devices": 2, "strategy": "ddp", "use_distributed_sampler": False}
    fit(module, [batch] * 2, folder, callbacks=callbacks, **settings)
    return found


class Redirect(L.Callback):
    """The bug: the step is called on the module itself, not through what wraps it."""

    def on_train_start(self, trainer, module):
        trainer.strategy._forward_redirection = lambda wrapped, own, name, *args, **kwargs: getattr(
            own, name
        )(*args, **kwargs)


def _check_rank(rank, folder):
    warnings.filterwarnings("ignore")
    variables = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}
    os.environ |= {k: str(v) for k, v in variables.items()}
    os.environ |= {"TORCHELASTIC_RUN_ID": "test", "GROUP_RANK": "0"}
    for pieces in (1, 2):
        found = watch(rank, folder, accumulate=pieces)
        assert found.uses.around == set()
        assert found.uses.inside == set(found.uses.names.values())  # every parameter was seen
        assert found.unequal == []
    planted = watch(rank, folder, around=True)
    assert planted.uses.inside == set()
    assert planted.uses.around == set(planted.uses.names.values())
    assert "model.tower.clip.visual.proj" in planted.unequal
    assert "model.tower.clip.token_embedding.weight" in watch(rank, folder, peek=True).uses.around


@pytest.mark.slow
@pytest.mark.dist
def test_every_parameter_is_used_inside_ddps_forward_and_has_one_gradient_on_all_ranks(tmp_path):
    """The two planted ways around it, the whole step or one tower, are seen."""
    run_ranks(_check_rank, tmp_path, timeout_s=300)
