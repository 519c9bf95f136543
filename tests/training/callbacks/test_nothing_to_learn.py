"""Data on which no loss has anything to do end a run; a loss that never had anything is told."""

import pytest
import torch

from cloc.errors import UserError
from cloc.losses.distill_image import DistillImage
from cloc.losses.image_text import ImageText
from cloc.losses.region_hard_negatives import RegionHardNegatives
from cloc.training.callbacks import nothing_to_learn
from cloc.training.callbacks.nothing_to_learn import Work
from tests.helpers.fit import LOSSES, fit, make_module, of_ranks
from tests.helpers.models import make_model, model_batch
from tests.helpers.ranks import run_ranks

NONE = "no loss had anything to do in"


def without(batch, *, captions=False, regions=False):
    if captions:
        batch = batch._replace(caption_valid=torch.zeros_like(batch.caption_valid))
    if regions:
        batch = batch._replace(valid=torch.zeros_like(batch.valid))
    return batch


def run(folder, batches, *, samples=10**9, losses=None, weights=None, **settings):
    model = make_model()
    made = [without(model_batch(model), **batch) for batch in batches]
    losses = None if losses is None else {name: LOSSES[name]() for name in losses}
    callback = Work(samples=samples)
    module = make_module(model, losses=losses, weights=weights)
    fit(module, made, folder, callbacks=[callback], **settings)
    return callback


BLANK = {"captions": True, "regions": True}


def test_data_without_captions_and_regions_end_the_run_at_its_last_step(tmp_path):
    says = (
        rf"^{NONE} \d+ samples: image_text reads captions, and there was none; region_text reads "
        r"regions, and there was none; grounding reads regions, .*\. Give data \(data\.train, "
    )
    with pytest.raises(UserError, match=says):
        run(tmp_path, [BLANK] * 3)


def test_a_long_run_ends_after_an_epoch_or_enough_samples(tmp_path, monkeypatch):
    batch = len(model_batch(make_model()).images)
    with pytest.raises(UserError, match=f"{NONE} {2 * batch} samples"):
        run(tmp_path, [BLANK] * 9, samples=2 * batch)
    monkeypatch.setattr(nothing_to_learn, "ENOUGH", 3 * batch)
    with pytest.raises(UserError, match=f"{NONE} {3 * batch} samples"):
        run(tmp_path, [BLANK] * 9)


def test_first_samples_may_lack_what_later_ones_have(tmp_path, capsys):
    callback = run(tmp_path, [BLANK] * 3 + [{}])
    assert callback.state_dict() == {"known": True}
    assert capsys.readouterr().err == ""


def test_a_loss_that_never_had_anything_is_told_once(tmp_path, capsys):
    run(tmp_path, [{"regions": True}] * 4, losses=["image_text", "grounding"])
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].endswith(
        "samples grounding reads regions, and there was none; it trains nothing so far"
    )


def test_losses_of_weight_0_are_not_asked(tmp_path, capsys):
    weights = {"image_text": 1.0, "grounding": 0.0}
    run(tmp_path, [{"regions": True}] * 2, losses=weights, weights=weights)
    assert capsys.readouterr().err == ""


def test_captions_that_come_one_by_one_cannot_be_compared(tmp_path):
    model = make_model()
    batch = model_batch(model)
    alone = torch.zeros_like(batch.caption_valid)
    alone[0] = True
    module = make_module(model, losses={"image_text": ImageText()})
    batches = [batch._replace(caption_valid=alone)] * 2
    with pytest.raises(UserError, match=r"compares captions, two of one step, and among 2 there w"):
        fit(module, batches, tmp_path, callbacks=[Work(samples=9)])


def test_what_a_loss_reads_follows_from_its_needs():
    reads = {name: nothing_to_learn.reads(loss()) for name, loss in LOSSES.items()}
    assert reads == {"image_text": "captions", "region_text": "regions", "grounding": "regions"}
    assert nothing_to_learn.reads(RegionHardNegatives()) == "regions"
    assert nothing_to_learn.reads(DistillImage()) == ""


def test_a_run_that_goes_on_is_not_asked_again(tmp_path):
    callback = Work(samples=9)
    callback.load_state_dict({"known": True})
    model = make_model()
    batch = without(model_batch(model), **BLANK)
    fit(make_module(model), [batch] * 2, tmp_path, callbacks=[callback])


def _check_rank(rank, folder):
    settings, plugins = of_ranks()
    run(folder, [BLANK if rank else {}] * 2, plugins=plugins, **settings)
    with pytest.raises(UserError, match=NONE):
        run(folder, [BLANK] * 2, plugins=plugins, **settings)


@pytest.mark.dist
def test_what_one_rank_has_is_enough_for_all(tmp_path):
    run_ranks(_check_rank, tmp_path)
