"""What is drawn of a run, and who gets it."""

import lightning as L
import numpy as np
import PIL.Image
import pytest
from lightning.pytorch.utilities import rank_zero_only

from cloc.training.callbacks.pictures import FirstBatch, Pictures, drawn, log_pictures
from tests.helpers.fit import Kept, fit, make_module
from tests.helpers.models import make_model, model_batch


class Album(Kept):
    """A logger that takes pictures as wandb's does."""

    def __init__(self):
        super().__init__()
        self.pictures = []

    def log_image(self, key, images, step=None):
        self.pictures.append((key, len(images), step))


def test_the_first_batch_is_drawn_once(tmp_path):
    model, album = make_model(), Album()
    callback = FirstBatch(tmp_path / "run", decode=model.tower.words, at_most=2)
    batches = [model_batch(model)] * 2
    fit(make_module(model), batches, tmp_path, callbacks=[callback], loggers=[album])
    assert album.pictures == [("pictures/first_batch", 1, 0)]
    with PIL.Image.open(tmp_path / "run/first_batch.png") as sheet:
        assert sheet.width > 2 * 32


def test_a_resumed_run_does_not_draw_it_again(tmp_path):
    model = make_model()
    batch, module = model_batch(model), make_module(model)
    trainer = fit(module, [batch] * 2, tmp_path / "first")
    callback = FirstBatch(tmp_path / "run", decode=model.tower.words)
    callback.on_train_batch_start(trainer, module, batch, 0)
    assert not (tmp_path / "run").exists()


def test_pictures_are_of_the_images_as_the_model_gets_them():
    model = make_model()
    batch = model_batch(model)
    words = []
    pictures = drawn(batch, lambda row: words.append(model.tower.words(row)) or "", at_most=99)
    assert len(pictures) == 3
    assert words == ["a red star", "a blue ring", "a small cross", "a red star", "a blue ring"]
    plain = batch.images[2].permute(1, 2, 0).numpy()  # no region there: nothing but the pixels
    enlarged = np.asarray(pictures[2].resize((32, 32), PIL.Image.Resampling.BOX))
    assert np.abs(enlarged.astype(int) - plain).mean() < 40
    assert len(drawn(batch, lambda row: "", at_most=2)) == 2


def test_pictures_every_so_many_steps_in_evaluation_mode(tmp_path):
    model, album, modes = make_model(), Album(), []

    def draw(drawn_model):
        modes.append(drawn_model.training)
        return {"pictures/boxes": [PIL.Image.new("RGB", (4, 4))] * 2}

    callback = Pictures(draw, every_n_steps=2)
    batches = [model_batch(model)] * 4
    fit(make_module(model), batches, tmp_path, callbacks=[callback], loggers=[album])
    assert album.pictures == [("pictures/boxes", 2, 2), ("pictures/boxes", 2, 4)]
    assert modes == [False, False]
    assert model.training


def test_a_sharded_model_draws_on_every_rank_and_the_first_one_logs(tmp_path, monkeypatch):
    model, album, drawn_on = make_model(), Album(), []

    def draw(_):
        drawn_on.append(rank_zero_only.rank)
        return {"pictures/boxes": [PIL.Image.new("RGB", (4, 4))]}

    trainer = fit(make_module(model), [model_batch(model)], tmp_path, loggers=[album])
    callback = Pictures(draw, every_n_steps=1)
    for rank in (0, 1):
        monkeypatch.setattr(rank_zero_only, "rank", rank)
        callback.on_train_batch_end(trainer, make_module(model), None, None, 0)
    assert drawn_on == [0, 1]
    assert album.pictures == [("pictures/boxes", 1, 1)]


def test_tensorboard_gets_them_by_its_own_method_and_others_nothing(tmp_path):
    added = []

    class Writer:
        def add_image(self, tag, pixels, step, dataformats):
            added.append((tag, pixels.shape, step, dataformats))

    class TensorBoard(Kept):
        experiment = Writer()

    trainer = L.Trainer(default_root_dir=tmp_path, logger=[TensorBoard(), Kept()])
    log_pictures(trainer, {"a": [PIL.Image.new("RGB", (6, 4))] * 2}, 7)
    assert added == [("a/0", (4, 6, 3), 7, "HWC"), ("a/1", (4, 6, 3), 7, "HWC")]


@pytest.mark.parametrize("regions", [0, 1])
def test_a_batch_may_have_no_region(regions):
    model = make_model()
    batch = model_batch(model, valid=((regions, 0), (0, 0)))
    assert len(drawn(batch, lambda row: "x", at_most=4)) == 2
