"""One more caption of every picture, the same in a batch as alone, and never a broken one."""

import io
import json

import numpy as np
import PIL.Image
import pytest
import torch

from cloc.data.samples.record import Caption, Record
from cloc.errors import UserError
from data_prep.importing import read_picture
from data_prep.stage import Notes
from data_prep.stages.recaption import Recaption
from tests.helpers.captioners import save_blip, save_florence2, save_qwen2_vl
from tests.helpers.photos import MINI, NEEDS_MINI

MODELS = {"florence2": save_florence2, "qwen2_vl": save_qwen2_vl, "blip": save_blip}
PROMPTS = {"florence2": "<MORE_DETAILED_CAPTION>", "qwen2_vl": "Describe it.", "blip": ""}
SIZES = ((100, 60), (60, 100), (112, 112), (30, 30), (150, 40))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    for kind, save in MODELS.items():
        save(root / kind)
    return root


def make(folders, kind, **settings):
    given = {"prompt": PROMPTS[kind], "max_new_tokens": 8, "batch_size": 4, **settings}
    return Recaption(model=str(folders / kind), **given)


def records():
    found = []
    for i, (width, height) in enumerate(SIZES):
        draw = np.random.default_rng(i)
        pixels = draw.integers(0, 255, 3) + draw.integers(-40, 40, (height, width, 3))
        content = io.BytesIO()
        PIL.Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(content, "PNG")
        old = (Caption("old", "coco"),)
        found.append(Record(f"{i}", content.getvalue(), "png", width, height, captions=old))
    return found


def images():
    return [PIL.Image.open(io.BytesIO(record.image)).convert("RGB") for record in records()]


@pytest.mark.parametrize("kind", MODELS)
def test_a_batch_answers_as_one_picture_at_a_time_does(folders, kind):
    """Of a chat model the rows have different lengths: a larger picture is more tokens."""
    captioner, pictures = make(folders, kind).captioner, images()
    together = captioner(pictures)
    assert together == [captioner([picture])[0] for picture in pictures]
    assert len({written.text for written in together}) > 2
    if kind == "qwen2_vl":
        assert not captioner.inputs(pictures)["attention_mask"].all()


@pytest.mark.parametrize("kind", MODELS)
def test_the_same_pictures_give_the_same_captions(folders, kind):
    pictures = images()
    torch.manual_seed(1)
    first = make(folders, kind).captioner(pictures)
    torch.manual_seed(2)
    assert make(folders, kind).captioner(pictures) == first


@pytest.mark.parametrize("kind", MODELS)
def test_beams_and_half_precision(folders, kind):
    notes = Notes()
    assert len(make(folders, kind, num_beams=2, dtype="bfloat16")(records(), notes)) == len(SIZES)
    assert not [what for what, _ in notes.counts if what == "samples"]


@NEEDS_MINI
@pytest.mark.parametrize("kind", ["florence2", "qwen2_vl"])
def test_photographs(folders, kind):
    found = []
    for path in sorted((MINI / "train2017").glob("*.jpg"))[:45:15]:
        picture = read_picture(path, cure="")
        size = (picture.width, picture.height)
        found.append(Record(path.stem, picture.content, picture.extension, *size))
    stage, notes = make(folders, kind), Notes()
    together, alone = stage(found, notes), [Notes() for _ in found]
    assert together == [stage([r], own)[0] for r, own in zip(found, alone, strict=True)]
    assert sum(len(record.captions) for record in together) + len(notes.examples) == 3
    assert sorted(notes.examples) == sorted(e for own in alone for e in own.examples)


def answer(stage, monkeypatch, texts):
    """The model writes `texts`, one for each row, after the prompt, if it repeats that."""
    tokenizer, kind = stage.pretrained.processor.tokenizer, stage.pretrained.kind
    left = list(texts)

    def generate(input_ids, **settings):
        assert settings["do_sample"] is False
        rows, room = [], settings["max_new_tokens"]
        for _ in input_ids:
            ids = tokenizer(left.pop(0), add_special_tokens=False)["input_ids"]
            end = [tokenizer.eos_token_id]
            rows.append(torch.tensor([*ids, *end, *([tokenizer.pad_token_id] * room)])[:room])
        start = torch.full((len(rows), 1), tokenizer.eos_token_id)  # as BART begins
        before = start if kind == "florence2" else input_ids
        return torch.cat([before, torch.stack(rows)], 1)

    monkeypatch.setattr(stage.pretrained.model, "generate", generate)


@pytest.mark.parametrize("kind", ["florence2", "qwen2_vl"])
def test_captions_are_added_and_broken_ones_are_counted(folders, monkeypatch, kind):
    """Neither the prompt nor the ends of a text are part of it."""
    stage, notes, given = make(folders, kind, max_new_tokens=40), Notes(), records()[:1] * 4
    texts = ["A cat, on a mat.", "", "no no no no", "one that has no end " + "in its room " * 5]
    answer(stage, monkeypatch, texts)
    found = stage(given, notes)
    assert found[0].captions == (Caption("A cat, on a mat.", kind), Caption("old", "coco"))
    assert found[1:] == given[1:]
    assert notes.counts == {("captions", r): 1 for r in ("empty", "repeats", "long")}
    last = make(folders, kind, place="last")
    answer(last, monkeypatch, ["a"])
    assert [c.text for c in last(given[:1], Notes())[0].captions] == ["old", "a"]


def test_a_picture_that_cannot_be_read_is_left_out(folders):
    notes = Notes()
    broken = Record("broken", b"no picture", "jpg", 64, 64)
    assert make(folders, "blip")([broken, *records()[:1]], notes) == records()[:1]
    assert notes.counts["samples", "image"] == 1


def test_the_text_is_what_florence_2_itself_makes_of_a_caption_task(folders):
    stage = make(folders, "florence2")
    processor, model = stage.pretrained.processor, stage.pretrained.model
    for picture in images()[:2]:
        given = stage.captioner.inputs([picture])
        row = model.generate(**given, max_new_tokens=8, do_sample=False)
        raw = processor.batch_decode(row, skip_special_tokens=False)[0]
        own = processor.post_process_generation(
            text=raw, task="<MORE_DETAILED_CAPTION>", image_size=picture.size
        )
        assert stage.captioner([picture])[0].text.strip() == own["<MORE_DETAILED_CAPTION>"]


def test_a_chat_model_is_asked_through_its_template(folders):
    stage = make(folders, "qwen2_vl")
    text = stage.pretrained.processor.tokenizer.decode(
        stage.captioner.inputs(images())["input_ids"][3]
    )
    pads = "<|image_pad|>"  # 30 x 30 pixels are one token
    expected = f"<|im_start|><|vision_start|>{pads}<|vision_end|>Describe it.<|im_end|><|im_start|>"
    assert text.replace("<|endoftext|>", "") == expected


def test_a_prompt_is_the_beginning_of_a_caption_of_blip(folders):
    stage = make(folders, "blip", prompt="a c")
    assert stage.captioner(images()[:1])[0].text.startswith("a c")


def test_what_the_answers_depend_on(folders):
    said = dict(make(folders, "qwen2_vl").describe())
    assert json.loads(json.dumps(said)) == said
    assert said["prompt"] == "Describe it."
    assert (said["max_new_tokens"], said["num_beams"], said["do_sample"]) == (8, 1, False)
    assert said["model"] == "qwen2_vl"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens=0"),
        ({"place": "middle"}, "place=middle"),
        ({"prompt": "<OD>"}, "prompt=<OD>"),
        ({"model": "/no/such/folder"}, "cannot be loaded"),
    ],
)
def test_settings_that_cannot_work_are_refused(folders, settings, message):
    with pytest.raises(UserError, match=message):
        Recaption(**{"model": str(folders / "florence2"), "prompt": "<CAPTION>", **settings})
