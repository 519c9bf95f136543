"""When a run saves, that all ranks agree about it, and that it goes on as if never stopped."""

import lightning as L
import pytest
import torch

from cloc import dist
from cloc.checkpoints.locations import place_of
from cloc.errors import UserError
from cloc.training.callbacks import checkpoints
from cloc.training.callbacks.checkpoints import Checkpoints
from cloc.training.checkpoint_io import CheckpointFolders
from tests.helpers.checkpoints import save, tiny
from tests.helpers.fit import of_ranks
from tests.helpers.ranks import run_ranks

pytestmark = pytest.mark.filterwarnings("ignore:.*your dataloader is not resumable")


class Noisy(L.LightningModule):
    """Its weights depend on every random number of every step."""

    def __init__(self):
        super().__init__()
        self.model = tiny()

    def training_step(self, batch, batch_idx):
        return self.model(torch.nn.functional.dropout(batch)).square().mean()

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters())


class Stop(L.Callback):
    def __init__(self, at):
        self.at = at

    def on_train_batch_start(self, trainer, *args):
        if trainer.global_step == self.at:
            raise InterruptedError


class Loader:
    """The batches from `start` on, in the length of the whole run, as the run's own loader."""

    def __init__(self, start, steps):
        self.start, self.steps = start, steps

    def __len__(self):
        return self.steps

    def __iter__(self):
        for step in range(self.start, self.steps):
            yield torch.full((2, 4), 1.0 + step)


class Clock:
    """Minutes as a test wants them."""

    def __init__(self, step_minutes):
        self.step_minutes, self.now = step_minutes, 0.0

    def monotonic(self):
        self.now += 60 * self.step_minutes
        return self.now


def run(folder, *, steps=7, start=0, every=100, minutes=60.0, callbacks=(), keep=99, ask=1):
    folders = CheckpointFolders(place_of(folder), keep=keep)
    callback = Checkpoints(
        folders, every_n_steps=every, every_n_minutes=minutes, ask_every_n_steps=ask
    )
    ranks, plugins = of_ranks()
    trainer = L.Trainer(
        default_root_dir=folder,
        accelerator="cpu",
        max_steps=steps,
        logger=False,
        callbacks=[callback, *callbacks],
        plugins=[folders, *plugins],
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **ranks,
    )
    module = Noisy()
    torch.manual_seed(5 + dist.rank())
    trainer.fit(module, Loader(start, steps), ckpt_path=folders.path(start) if start else None)
    return module.model, folders, callback, trainer


def same(a, b):
    return torch.equal(a.weight, b.weight) and torch.equal(a.bias, b.bias)


def test_every_so_many_steps_and_at_the_end(tmp_path):
    _, folders, _, _ = run(tmp_path, every=3)
    assert folders.place.steps() == [3, 6, 7]


def test_every_so_many_minutes_since_the_last_save(tmp_path, monkeypatch):
    """The clock goes on by a minute whenever it is asked: at the start, then at every step."""
    monkeypatch.setattr(checkpoints.time, "monotonic", Clock(1).monotonic)
    _, folders, _, _ = run(tmp_path, steps=9, minutes=3)
    assert folders.place.steps() == [3, 6, 9]


def test_minutes_are_asked_for_on_the_given_steps_only(tmp_path, monkeypatch):
    asked, gather = [], dist.gather_objects

    def watched(value):
        asked.append(value)
        return gather(value)

    monkeypatch.setattr(checkpoints.dist, "gather_objects", watched)
    run(tmp_path, steps=7, ask=3)
    # the step at the start; minutes at steps 3 and 6; the random state of the save at 7
    assert [type(value) for value in asked] == [int, bool, bool, dict]


def test_whoever_asks_gets_a_checkpoint_of_this_step_once(tmp_path):
    class Ask(L.Callback):
        def on_train_batch_end(self, trainer, *args):
            if trainer.global_step == 4:
                [callback] = [c for c in trainer.callbacks if isinstance(c, Checkpoints)]
                for _ in range(2):
                    callback.save(trainer)
                    seen.append((callback.folders.place.steps(), saves.count(4)))

    seen, saves = [], []

    class Count(L.Callback):
        def on_save_checkpoint(self, trainer, module, checkpoint):
            saves.append(trainer.global_step)

    _, folders, callback, trainer = run(tmp_path, every=4, callbacks=[Ask(), Count()])
    assert seen == [([4], 1), ([4], 1)]
    assert saves == [4, 7]
    callback.save(trainer)  # after the end
    assert folders.place.steps() == saves


def test_nothing_is_saved_before_the_first_step(tmp_path):
    with pytest.raises(InterruptedError):
        run(tmp_path, callbacks=[Stop(0)])
    callback = Checkpoints(
        CheckpointFolders(place_of(tmp_path)), every_n_steps=1, every_n_minutes=1
    )
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    callback.save(trainer)
    assert callback.folders.place.steps() == []


def test_a_run_that_is_cut_goes_on_to_the_same_weights(tmp_path):
    whole, *_ = run(tmp_path / "whole")
    with pytest.raises(InterruptedError):
        run(tmp_path / "cut", every=2, callbacks=[Stop(5)])
    again, folders, *_ = run(tmp_path / "cut", start=4)
    assert same(again, whole)
    assert folders.place.steps() == [2, 4, 7]


def test_the_random_state_is_what_makes_them_the_same(tmp_path, monkeypatch):
    whole, *_ = run(tmp_path / "whole", every=4)
    monkeypatch.setattr(checkpoints, "set_random_state", lambda states: None)
    assert not same(run(tmp_path / "whole", start=4)[0], whole)


def test_a_run_that_begins_removes_what_kills_and_damage_left(tmp_path):
    place = place_of(tmp_path)
    run(tmp_path, steps=4, every=4)
    save(CheckpointFolders(place), tiny(), 6)  # as if it had been found damaged
    (place.staging / "step-00000007.partial").mkdir()
    with pytest.raises(InterruptedError):
        run(tmp_path, start=4, callbacks=[Stop(5)])
    assert sorted(path.name for path in place.staging.iterdir()) == ["step-00000004"]


def _check_rank(rank, folder):
    whole, *_ = run(folder / "whole")
    with pytest.raises(InterruptedError):
        run(folder / "cut", every=2, callbacks=[Stop(5)])
    again, folders, _, _ = run(folder / "cut", start=4)
    assert folders.place.steps() == [2, 4, 7]
    assert same(again, whole)  # each rank drew from a random state of its own
    clock = Clock(100 * rank)  # minutes pass on the other rank only, and rank 0's are asked for
    checkpoints.time = clock
    _, folders, _, _ = run(folder / "clock", steps=3, minutes=1)
    assert folders.place.steps() == [3]
    with pytest.raises(UserError, match=r"the ranks go on from different steps \[4, 0\]: .* one"):
        run(folder / "cut", start=0 if rank else 4, steps=9)


@pytest.mark.dist
def test_two_ranks_save_the_same_steps_and_go_on_to_the_same_weights(tmp_path):
    run_ranks(_check_rank, tmp_path)
