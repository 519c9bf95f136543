"""What was left out: logged, written, kept over a resume, and bounded over all ranks."""

import json

import pytest
import torch

from cloc.data.stream.tally import Dropped, Seen, Tally
from cloc.errors import UserError
from cloc.training.callbacks.dropped_samples import Drops
from tests.helpers.fit import Batches, Kept, fit, make_module
from tests.helpers.models import make_model, model_batch
from tests.helpers.ranks import run_ranks

IMAGE = Dropped("samples", "image", "train", "shard::a: the image cannot be decoded; fix it")
BOX = Dropped("boxes", "box_small", "coco", "shard::b: region 0: too small; drop it")


class Loader(Batches):
    """Gives a batch and counts what it was made of, as the run's own loader does."""

    def __init__(self, batches, seen, **settings):
        super().__init__(batches)
        self.seen, self.tally = seen, Tally(**settings)

    def __iter__(self):
        for batch, seen in zip(super().__iter__(), self.seen, strict=True):
            self.tally.add(seen)
            yield batch


def run(folder, seen, *, every_n_steps=1, ckpt_path=None, **settings):
    model, kept = make_model(), Kept()
    loader = Loader([model_batch(model)] * len(seen), seen, **{"planned": 1000, **settings})
    callback = Drops(folder, every_n_steps=every_n_steps)
    trainer = fit(make_module(model), loader, folder, callbacks=[callback], loggers=[kept])
    return trainer, callback, [row for _, row in kept.rows if "data/samples" in row]


def test_counts_are_logged_by_reason_and_written(tmp_path):
    seen = [Seen([True, False], 200, (IMAGE, BOX)), Seen([True, True], 100, (BOX,))]
    _, _, rows = run(tmp_path, seen)
    assert [row["data/samples"] for row in rows] == [2, 4]
    last = rows[-1]
    assert (last["data/dropped_samples"], last["data/dropped_boxes"]) == (1, 2)
    assert (last["data/dropped_samples.image"], last["data/dropped_boxes.box_small"]) == (1, 2)
    written = json.loads((tmp_path / "drops.json").read_text())
    assert (written["samples"], written["boxes"]) == (4, 300)
    assert [row["source"] for row in written["dropped"]] == ["coco", "train"]


def test_the_last_count_is_written_whatever_the_number_of_steps(tmp_path):
    _, _, rows = run(tmp_path, [Seen([True, False], 9, (IMAGE,))] * 3, every_n_steps=2)
    assert {row["data/samples"] for row in rows} == {4}
    assert json.loads((tmp_path / "drops.json").read_text())["samples"] == 6


def test_counts_go_on_where_a_resumed_run_stopped(tmp_path):
    trainer, callback, _ = run(tmp_path, [Seen([True, False], 9, (IMAGE,))] * 2)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)["callbacks"]["Drops"]
    again = Drops(tmp_path, every_n_steps=1)
    again.load_state_dict(saved)
    again.trainer = trainer
    assert again.state_dict()["samples"] == 8  # the loader's own four, and four before
    assert callback.state_dict()["samples"] == 4


def _check_rank(rank, folder):
    seen = [Seen([True, True], 0, ()), Seen([True, False], 0, (IMAGE,))]
    with pytest.raises(UserError, match=r"^shard::a: .* \(2 of 100 samples were dropped"):
        run(folder, seen, planned=100, ranks=2)


@pytest.mark.dist
def test_above_the_budget_all_ranks_end_in_the_same_step(tmp_path):
    """One dropped sample of a hundred is allowed, and each rank has one."""
    run_ranks(_check_rank, tmp_path)


def test_a_source_that_trains_nothing_is_told_of_once(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("cloc.training.callbacks.dropped_samples.ENOUGH", 4)
    row = Seen([True, True], 9, (), sources=("train", "captions"), useful=("train",))
    run(tmp_path, [row] * 3)
    told = capsys.readouterr().err
    assert told.count("data.sources.captions: no sample so far had a caption or a region") == 1
    assert "data.sources.train" not in told
