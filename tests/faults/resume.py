"""Runs that are cut at random steps and go on: the same samples, and weights equal to the bit.

python -m tests.faults.resume [POINTS] [SEED]     # 200 and 0; one line of JSON

One process and two gloo ranks under Lightning's DDP; 0 to 3 workers, which may be others after the
cut than before; a sample in a hundred is corrupt; the last checkpoint is up to three steps old.
"""

import hashlib
import json
import random
import sys
import tempfile
import time
import warnings
from pathlib import Path

import lightning as L
import torch

from cloc.checkpoints.locations import place_of
from cloc.data.collate import ModelInput
from cloc.data.datamodule import RegionData
from cloc.data.samples.training_view import View
from cloc.data.samples.transforms import Flip, RandomCrop
from cloc.data.sources import cloc_regions
from cloc.data.stream.mixture import Source
from cloc.data.stream.order import Shuffle
from cloc.training.callbacks.checkpoints import Checkpoints
from cloc.training.callbacks.dropped_samples import Drops
from cloc.training.checkpoint_io import CheckpointFolders
from tests.helpers.fit import make_module, of_ranks
from tests.helpers.models import CONTEXT, SIZE, make_model
from tests.helpers.ranks import run_ranks
from tests.helpers.shards import corrupt, make_shards, spell

STEPS, BATCH = 12, 8
SAMPLES = 100  # so twelve batches end within an epoch, and one of a hundred is corrupt
WORKERS = (0, 0, 0, 0, 1, 2, 3)  # processes take a second to start


class Cut(Exception):
    """The run was stopped here."""


class Watch(L.Callback):
    """Notes the samples of every step, and ends the run before step `cut`."""

    def __init__(self, cut=None):
        self.keys, self.cut = {}, cut

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if trainer.global_step == self.cut:
            raise Cut
        self.keys[trainer.global_step] = batch.keys


def prepare(folder):
    """Five uneven shards, one sample of all corrupt."""
    make_shards(folder, shards=5, each=SAMPLES // 5)
    corrupt(folder / "shard-000002.tar", sample=7)


def fit(shards, folder, *, workers, cut=None, every=1, start=0):
    """Weights and keys by step of a run from step `start` on."""
    view = View(max_regions=3, augment=(Flip(0.5),), frame=RandomCrop)
    data = RegionData(
        {"train": Source(str(shards), cloc_regions.parse, view)},
        wants=ModelInput(SIZE, spell, CONTEXT, CONTEXT),
        batch_size=BATCH,
        steps=STEPS,
        shuffle=Shuffle(4, 5),
        num_workers=workers,
        seed=5,
        skip_batches=start,
    )
    watch = Watch(cut)
    folders = CheckpointFolders(place_of(folder))
    saved = Checkpoints(folders, every_n_steps=every, every_n_minutes=60)
    ranks, plugins = of_ranks()
    trainer = L.Trainer(
        default_root_dir=folder,
        accelerator="cpu",
        max_steps=STEPS,
        logger=False,
        callbacks=[watch, saved, Drops(folder, every_n_steps=4)],
        plugins=[folders, *plugins],
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **ranks,
    )
    module = make_module(make_model(), steps=STEPS)
    path = folders.path(start) if start else None
    try:
        trainer.fit(module, data, ckpt_path=path, weights_only=True)
    except Cut:
        return None, watch.keys
    return {name: value.clone() for name, value in module.state_dict().items()}, watch.keys


def cut_and_resume(shards, folder, whole, *, rng):
    """What went wrong at one random point; None where nothing did."""
    cut, every = rng.randrange(2, STEPS), rng.randrange(1, 4)
    before, after = rng.choice(WORKERS), rng.choice(WORKERS)
    _, first = fit(shards, folder, workers=before, cut=cut, every=every)
    start = cut // every * every  # the last step that was saved; 0 where none was
    weights, second = fit(shards, folder, workers=after, start=start)
    where = f"cut at {cut}, saved every {every}, {before} then {after} workers"
    if {**{k: v for k, v in first.items() if k < start}, **second} != whole[1]:
        return f"other samples: {where}"
    same = all(torch.equal(weights[name], value) for name, value in whole[0].items())
    return None if same else f"other weights: {where}"


def sweep(rank, shards, folder, points, seed, result):
    """`points` cuts, each in a folder of its own; rank 0 writes what it found."""
    warnings.simplefilter("ignore")
    folder, rng, wrong = Path(folder), random.Random(seed), []
    whole = fit(shards, folder / "whole", workers=0)
    for point in range(points):
        fault = cut_and_resume(shards, folder / f"{point}", whole, rng=rng)
        wrong += [fault] if fault else []
    digest = hashlib.sha256(b"".join(t.numpy().tobytes() for t in whole[0].values())).hexdigest()
    drops = json.loads((folder / "whole/drops.json").read_text())["dropped"]
    drops = [row for row in drops if row["what"] == "samples"]
    if rank == 0:
        Path(result).write_text(json.dumps({"wrong": wrong, "weights": digest, "drops": drops}))


def run(points, seed=0):
    """The figures of `points` cuts, half of them on one process and half on two."""
    began, found = time.perf_counter(), {}
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        prepare(place / "shards")
        for ranks, count in ((1, points - points // 2), (2, points // 2)):
            args = (place / "shards", str(place / f"{ranks}"), count, seed, place / f"{ranks}.json")
            run_ranks(sweep, *args, world=ranks, timeout_s=3600)
            found[ranks] = json.loads((place / f"{ranks}.json").read_text())
    wrong = [f"{ranks} ranks, {fault}" for ranks in found for fault in found[ranks]["wrong"]]
    return {
        "what": "resume",
        "points": points,
        "exact": points - len(wrong),
        "wrong": wrong,
        "dropped": {ranks: sum(r["count"] for r in found[ranks]["drops"]) for ranks in found},
        "seconds": round(time.perf_counter() - began),
    }


if __name__ == "__main__":
    from tests.faults import resume  # the ranks find its functions by this name

    found = resume.run(*map(int, sys.argv[1:] or ["200"]))
    print(json.dumps(found))
    sys.exit(bool(found["wrong"]))
