"""One of our checkpoints as a detector: boxes back in pixels, drops, whole batches."""

import io
import json

import numpy as np
import PIL.Image
import pytest
import torch

from cloc.cli.tasks import grounding_detector as grounding_detector_task
from cloc.cli.tasks.grounding_detector import GroundingDetector
from cloc.data.samples.record import Record, Region
from cloc.errors import UserError
from cloc.frame import into_frame, pad_frame
from cloc.models.embedder import ModelEmbedder
from data_prep.stage import Notes
from tests.helpers.models import CONTEXT, NATIVE, PROMPTER, SIZE, make_model


def picture(key, width, height, phrases, **fields):
    pixels = np.random.default_rng(width + height).integers(0, 255, (height, width, 3), np.uint8)
    content = io.BytesIO()
    PIL.Image.fromarray(pixels).save(content, "PNG")
    meta = {} if phrases is None else {"phrases": phrases}
    return Record(key, content.getvalue(), "png", width, height, meta=meta, **fields)


@pytest.fixture
def stage(monkeypatch):
    """Makes one on random weights, without a folder."""
    model = make_model()
    monkeypatch.setattr(grounding_detector_task, "load", lambda path, device: ModelEmbedder(model))
    return lambda **settings: GroundingDetector(**{"model": "x/y/demo", "at_least": 0, **settings})


GIVEN = (
    (100, 60, ["a dog", "a cat", "a dog"]),
    (60, 100, None),
    (300, 20, ["a bird"]),
    (40, 40, []),
    (33, 70, ["a red car", "two men"]),
)


@pytest.mark.parametrize("batch_size", [1, 2, 4])  # 1 and 2 have batches without any phrase
def test_a_batch_answers_as_one_picture_at_a_time_does(stage, batch_size):
    old = (Region((1.0, 2.0, 30.0, 10.0), "old"),)
    given = [picture(str(i), *one, regions=old) for i, one in enumerate(GIVEN)]
    given.append(picture("last", 9, 9, None))
    notes = Notes()
    together, found = stage()(given, Notes()), stage(batch_size=batch_size)(given, notes)
    assert [record.key for record in found] == [record.key for record in given]
    assert notes.events == {"no_phrases": 3}
    for one, other, (*_, phrases) in zip(found, together, (*GIVEN, (9, 9, None)), strict=True):
        assert [r.text for r in one.regions] == list(dict.fromkeys(phrases or ()))
        for a, b in zip(one.regions, other.regions, strict=True):
            assert a.box == pytest.approx(b.box, abs=1e-3)
            assert (a.score, a.source) == (pytest.approx(b.score, abs=1e-3), "cloc")


@pytest.mark.parametrize("size", [(200, 100), (100, 200), (64, 64), (20, 7)])
def test_a_box_comes_back_to_the_pixels_of_the_picture(stage, monkeypatch, size):
    width, height = size
    box = (0.25 * width, 0.5 * height, 0.75 * width, height)
    framed = into_frame(np.array([box]), size, pad_frame(width, height, SIZE))
    made = stage()
    monkeypatch.setattr(made.embedder, "ground", lambda x, phrases: [torch.from_numpy(framed)])
    (found,) = made([picture("a", width, height, ["a dog"])], Notes())
    assert found.regions[0].box == pytest.approx(box, abs=1e-3)


def test_what_cannot_be_looked_for_is_told(stage):
    notes, long = Notes(), " ".join(["dog"] * CONTEXT)
    broken = Record("broken", b"no picture", "png", 9, 9, meta={"phrases": ["a dog"]})
    found = stage()([broken, picture("a", 90, 60, ["a dog", long, "a\x00b"])], notes)
    assert [(r.key, [region.text for region in r.regions]) for r in found] == [("a", ["a dog"])]
    told = {("samples", "image"): 1, ("phrases", "long"): 1, ("phrases", "unclean"): 1}
    assert notes.counts == told
    notes = Notes()
    stage(at_least=1)([picture("a", 90, 60, ["a dog"])], notes)
    assert notes.counts == {("regions", "score"): 1}
    with pytest.raises(UserError, match=r"meta\.phrases"):
        stage()([picture("a", 90, 60, "a dog")], Notes())


def test_masks_go_with_the_regions_that_were_there(stage):
    old, mask = Region((1.0, 2.0, 30.0, 10.0), "old"), {"size": [60, 90], "counts": "x"}
    given = picture("a", 90, 60, ["a dog", "a cat"], regions=(old,))
    given.meta["masks"] = [mask]
    (found,) = stage()([given], Notes())
    assert found.meta == {"phrases": ["a dog", "a cat"], "masks": [None, None]}


def test_what_the_answers_depend_on(stage):
    said = stage().describe()
    assert json.loads(json.dumps(said)) == said
    assert said["model"] == "demo"  # the weights tell it apart, wherever it lies


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "batch_size=0"),
        ({"at_least": 1.5}, "at_least=1.5"),
        ({"device": "teapot"}, "device=teapot"),
    ],
)
def test_settings_that_cannot_work_are_refused(stage, settings, message):
    with pytest.raises(UserError, match=message):
        stage(**settings)


def test_a_model_without_a_box_head_is_refused(monkeypatch):
    model = make_model(NATIVE, region_head=PROMPTER, region_scale={})
    monkeypatch.setattr(grounding_detector_task, "load", lambda path, device: ModelEmbedder(model))
    with pytest.raises(UserError, match="has no box head"):
        GroundingDetector(model="demo")
