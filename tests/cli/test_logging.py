"""What a person finds in the loggers of a real run: curves and pictures, wandb offline included."""

import json
from contextlib import chdir

import pytest
import wandb
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cloc.cli import prepare, train
from cloc.errors import UserError

pytestmark = pytest.mark.slow

CURVES = {
    *("train/image_text", "train/region_text", "train/grounding", "train/loss"),
    *("train/region_text.masked_fraction", "scale/image_text", "scale/region"),
    *("grad/image_tower", "grad/text_tower", "grad/region_head", "grad/box_head", "optim/lr"),
    *("speed/images_per_s", "speed/data_wait_frac", "speed/mfu", "memory/peak_gib"),
}
PICTURES = {"pictures/first_batch", "pictures/boxes", "pictures/heatmaps"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two steps with every logger, pictures and a stated peak."""
    place = tmp_path_factory.mktemp("logging")
    with chdir(place), pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "offline")
        prepare.main(["import=scenes", "out=data/smoke", "train=8", "val=2", "novel=0"])
        logs = ["logger=[jsonl,wandb,tensorboard]", "peak_tflops=0.01"]
        sizes = ["steps=2", "batch_size=4", "data.num_workers=0", "eval.every=2", "eval.limit=2"]
        train.main(["experiment=smoke", *logs, *sizes, "eval.in_loop=[]"])
        wandb.finish()  # writes what it holds
    return place / "runs/smoke"


def test_every_curve_is_logged_with_a_finite_value(run):
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    found = {key: value for row in rows for key, value in row.items()}
    assert found.keys() >= CURVES
    assert all(abs(found[key]) < 1e6 for key in CURVES)
    assert 0 < found["speed/mfu"] < 100
    assert 0 <= found["train/region_text.masked_fraction"] <= 1


def test_tensorboard_holds_curves_and_pictures(run):
    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"images": 0}).Reload()
    assert set(events.Tags()["scalars"]) >= CURVES
    assert {tag.rpartition("/")[0] for tag in events.Tags()["images"]} == PICTURES
    steps = {name: events.Images(f"{name}/0")[0].step for name in PICTURES}
    assert steps == {"pictures/first_batch": 0, "pictures/boxes": 2, "pictures/heatmaps": 2}


def test_wandb_offline_holds_the_pictures(run):
    [folder] = (run / "wandb").glob("offline-run-*")
    pictures = (folder / "files/media/images/pictures").glob("*.png")
    # NAME_STEP_DIGEST.png
    assert {f"pictures/{path.name.rsplit('_', 2)[0]}" for path in pictures} == PICTURES
    assert list(folder.glob("*.wandb"))


def test_a_peak_that_is_no_rate_is_one_line(tmp_path):
    with chdir(tmp_path), pytest.raises(UserError, match="peak_tflops=-1; give a number above 0"):
        train.main(["experiment=smoke", "peak_tflops=-1"])
