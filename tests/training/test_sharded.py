"""FSDP2 on two ranks: one whole checkpoint, from which two ranks or one go on."""

import lightning as L
import pytest
import torch
from safetensors.torch import load_file
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from cloc import dist
from cloc.checkpoint_places import place_of
from cloc.training.callbacks.checkpoints import Checkpoints
from cloc.training.checkpoint_io import CheckpointFolders
from cloc.training.sharded import Sharded
from tests.helpers.checkpoints import tiny
from tests.helpers.fit import of_ranks
from tests.helpers.ranks import run_ranks

pytestmark = pytest.mark.filterwarnings("ignore:.*your dataloader is not resumable")


class Steps:
    """A run's loader: as long as the run, from a step on."""

    def __init__(self, start, steps):
        self.start, self.steps = start, steps

    def __len__(self):
        return self.steps

    def __iter__(self):
        for step in range(self.start, self.steps):
            yield torch.full((2, 4), 1.0 + step)


class Split(L.LightningModule):
    """One layer, split over the ranks where there are several."""

    def __init__(self):
        super().__init__()
        self.model = tiny()

    def configure_model(self):
        if dist.world_size() > 1:
            fully_shard(self.model, mesh=self.device_mesh["data_parallel"])

    def training_step(self, batch, batch_idx):
        return self.model(batch).square().mean()

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.1)


def run(folder, *, steps, start=0):
    folders = CheckpointFolders(place_of(folder))
    ranks, plugins = of_ranks()
    if dist.world_size() > 1:
        ranks |= {"strategy": Sharded(data_parallel_size=2, tensor_parallel_size=1)}
    trainer = L.Trainer(
        accelerator="cpu",
        max_steps=steps,
        logger=False,
        callbacks=[Checkpoints(folders, every_n_steps=2, every_n_minutes=60)],
        plugins=[folders, *plugins],
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **ranks,
    )
    module = Split()
    trainer.fit(module, Steps(start, steps), ckpt_path=folders.path(start) if start else None)
    return module


def _check_rank(rank, folder):
    module = run(folder / "whole", steps=4)
    assert isinstance(module.model.weight, DTensor)  # so it was split
    run(folder / "cut", steps=2)
    run(folder / "cut", steps=4, start=2)


@pytest.mark.dist
def test_what_two_ranks_saved_any_number_goes_on_from(tmp_path):
    run_ranks(_check_rank, tmp_path)
    run(tmp_path / "one", steps=4)
    found = {
        name: load_file(tmp_path / name / "checkpoints/step-00000004/model.safetensors")
        for name in ("whole", "cut", "one")
    }
    for name, value in found["whole"].items():
        assert torch.equal(value, found["cut"][name])
        torch.testing.assert_close(value, found["one"][name])  # both ranks saw the same batches
    run(tmp_path / "cut", steps=5, start=4)  # one process, from what two saved
