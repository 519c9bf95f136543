"""Optimizer state that is spread over two ranks: each writes its part, and any number goes on."""

import errno
import shutil

import lightning as L
import pytest
import torch
from safetensors.torch import load_file
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from cloc import dist
from cloc.checkpoints.folder import Damaged, HashedFile, check, newest
from cloc.checkpoints.locations import place_of
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


def _run_all(rank, folder):
    """Every case in one pair of processes."""
    module = run(folder / "whole", steps=4)
    assert isinstance(module.model.weight, DTensor)  # so it was split
    run(folder / "cut", steps=2)
    run(folder / "cut", steps=4, start=2)
    # every rank with a folder of its own, as on two machines
    run(folder / "apart" / str(rank), steps=2, where=f"local://{folder}/bucket")
    _fill_a_disk(rank, folder / "full")


def _fill_a_disk(rank, folder):
    def full(self, data):
        self.error = OSError(errno.ENOSPC, "No space left on device")
        raise self.error

    write = HashedFile.write
    HashedFile.write = full if rank == 1 else write
    with pytest.raises(UserError, match=r"step-00000002 could not be saved: the disk is full; th"):
        run(folder, steps=2)
    HashedFile.write = write


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """The folders of `_run_all`."""
    folder = tmp_path_factory.mktemp("two")
    run_ranks(_run_all, folder)
    return folder


@pytest.mark.dist
def test_what_two_ranks_saved_any_number_goes_on_from(two, tmp_path):
    run(tmp_path / "one", steps=4)
    places = {"whole": two / "whole", "cut": two / "cut", "one": tmp_path / "one"}
    found = {
        name: load_file(place / "checkpoints/step-00000004/model.safetensors")
        for name, place in places.items()
    }
    for name, value in found["whole"].items():
        assert torch.equal(value, found["cut"][name])
        torch.testing.assert_close(value, found["one"][name])  # both ranks saw the same batches
    shutil.copytree(two / "cut", tmp_path / "cut")
    run(tmp_path / "cut", steps=5, start=4)  # one process, from what two saved


@pytest.mark.dist
def test_a_part_holds_what_its_rank_has_of_the_optimizers_state(two, tmp_path):
    saved = two / "whole/checkpoints/step-00000004"
    parts = [load_file(saved / f"part-{rank:05d}.safetensors") for rank in range(2)]
    assert [part["0/0/exp_avg"].shape for part in parts] == [(2, 4), (2, 4)]
    state = torch.load(saved / "trainer.ckpt", weights_only=True)["optimizer_states"][0]
    assert state["state"].keys() == {0, 1}
    assert state["state"][0].keys() == {"step"}
    run(tmp_path, steps=4)
    one = torch.load(tmp_path / "checkpoints/step-00000004/trainer.ckpt", weights_only=True)
    folders = CheckpointFolders(place_of(two / "whole"))
    whole = folders.load_checkpoint(folders.path(4))
    torch.testing.assert_close(whole["optimizer_states"], one["optimizer_states"])


@pytest.mark.dist
def test_a_flipped_byte_of_a_part_is_found(two, tmp_path):
    shutil.copytree(two / "whole", tmp_path, dirs_exist_ok=True)
    part = tmp_path / "checkpoints/step-00000004/part-00001.safetensors"
    content = bytearray(part.read_bytes())
    content[-3] ^= 1
    part.write_bytes(content)
    with pytest.raises(Damaged, match="part-00001"):
        check(place_of(tmp_path), 4)


@pytest.mark.dist
def test_an_error_of_one_rank_is_known_to_all_and_nothing_is_visible(two):
    assert newest(place_of(two / "full")).step == 0


@pytest.mark.dist
def test_every_machine_uploads_its_own_part(two):
    place = place_of(two / "apart/0", f"local://{two}/bucket")
    assert newest(place).step == 2
    assert list(two.glob("apart/**/*.safetensors")) == []
    run(two / "apart/0", steps=3, start=2, where=f"local://{two}/bucket")


def test_parts_of_two_axes_come_together():
    whole = torch.arange(12.0).reshape(3, 4)
    files = {"a": {"0/5/x": whole[:, :3]}, "b": {"0/5/x": whole[:, 3:]}}
    state = {"optimizer_states": [{"state": {5: {}}}]}
    parts = {"0/5/x": ([3, 4], [("a", [0, 0]), ("b", [0, 3])])}
    join(state, parts, files.__getitem__)
    assert state["optimizer_states"][0]["state"][5]["x"].equal(whole)
