"""Optimizer state that is spread over two ranks: each writes its part, and any number goes on."""

import errno

import lightning as L
import pytest
import torch
from safetensors.torch import load_file
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from cloc import checkpoint, dist
from cloc.checkpoint import Damaged, check, newest
from cloc.checkpoint_places import place_of
from cloc.errors import UserError
from cloc.training.callbacks.checkpoints import Checkpoints
from cloc.training.checkpoint_io import CheckpointFolders
from cloc.training.checkpoint_parts import join
from cloc.training.fsdp import Sharded
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


def run(folder, *, steps, start=0, where=None):
    folders = CheckpointFolders(place_of(folder, where))
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


@pytest.mark.dist
def test_a_part_holds_what_its_rank_has_of_the_optimizers_state(tmp_path):
    run_ranks(_run_two, tmp_path)
    saved = tmp_path / "checkpoints/step-00000002"
    parts = [load_file(saved / f"part-{rank:05d}.safetensors") for rank in range(2)]
    assert [part["0/0/exp_avg"].shape for part in parts] == [(2, 4), (2, 4)]
    state = torch.load(saved / "trainer.ckpt", weights_only=True)["optimizer_states"][0]
    assert state["state"].keys() == {0, 1}
    assert state["state"][0].keys() == {"step"}
    run(tmp_path / "one", steps=2)
    one = torch.load(tmp_path / "one/checkpoints/step-00000002/trainer.ckpt", weights_only=True)
    folders = CheckpointFolders(place_of(tmp_path))
    two = folders.load_checkpoint(folders.path(2))
    torch.testing.assert_close(two["optimizer_states"], one["optimizer_states"])


def _run_two(rank, folder):
    run(folder, steps=2)


@pytest.mark.dist
def test_a_flipped_byte_of_a_part_is_found(tmp_path):
    run_ranks(_run_two, tmp_path)
    part = tmp_path / "checkpoints/step-00000002/part-00001.safetensors"
    content = bytearray(part.read_bytes())
    content[-3] ^= 1
    part.write_bytes(content)
    with pytest.raises(Damaged, match="part-00001"):
        check(place_of(tmp_path), 2)


def _fill_a_disk(rank, folder):
    if rank == 1:

        def full(self, data):
            self.error = OSError(errno.ENOSPC, "No space left on device")
            raise self.error

        checkpoint.HashedFile.write = full
    with pytest.raises(UserError, match=r"step-00000002 could not be saved: the disk is full; th"):
        run(folder, steps=2)
    assert newest(place_of(folder)).step == 0


@pytest.mark.dist
def test_an_error_of_one_rank_is_known_to_all_and_nothing_is_visible(tmp_path):
    run_ranks(_fill_a_disk, tmp_path)


def _run_apart(rank, folder, where):
    """Every rank with a folder of its own, as on two machines."""
    run(folder / str(rank), steps=2, where=where)


@pytest.mark.dist
def test_every_machine_uploads_its_own_part(tmp_path):
    where = f"local://{tmp_path}/bucket"
    run_ranks(_run_apart, tmp_path, where)
    place = place_of(tmp_path / "0", where)
    assert newest(place).step == 2
    assert list(tmp_path.glob("[01]/**/*.safetensors")) == []
    run(tmp_path / "0", steps=3, start=2, where=where)


def test_parts_of_two_axes_come_together():
    whole = torch.arange(12.0).reshape(3, 4)
    files = {"a": {"0/5/x": whole[:, :3]}, "b": {"0/5/x": whole[:, 3:]}}
    state = {"optimizer_states": [{"state": {5: {}}}]}
    parts = {"0/5/x": ([3, 4], [("a", [0, 0]), ("b", [0, 3])])}
    join(state, parts, files.__getitem__)
    assert state["optimizer_states"][0]["state"][5]["x"].equal(whole)
