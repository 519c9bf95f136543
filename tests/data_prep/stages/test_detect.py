"""Boxes come back to the pixels of the stored picture, with the phrase that they are about."""

import io
import json
import shutil

import numpy as np
import PIL.Image
import pytest
import torch
from safetensors.torch import load_file

from cloc.data.samples.decode import decode_record
from cloc.data.samples.record import Caption, Record, Region
from cloc.errors import UserError
from data_prep.importing import read_picture
from data_prep.stage import Notes
from data_prep.stages.detect import Detect
from tests.helpers.photos import MINI, NEEDS_MINI
from tests.helpers.zero_shot import (
    save_grounding_dino,
    save_omdet_turbo,
    save_owl,
    sees_bright_boxes,
)

KINDS = ("owlv2", "owlvit", "grounding_dino", "mm_grounding_dino")
OTHER = "omdet_turbo"  # goes by its processor's own answer
PHRASES = (["a cat", "dog"], ["x"], ["the dog b", "cat", "a", "z y"], ["dog"], ["b c", "a cat"])
SIZES = ((100, 60), (60, 100), (80, 80), (100, 60), (97, 41))  # landscape, portrait, square


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    for kind in KINDS:
        save = save_owl if "owl" in kind else save_grounding_dino
        save(root / kind, kind=kind)
    save_omdet_turbo(root / OTHER)
    return root


def picture(key, width, height, phrases, *, box=None, **fields):
    """Noise, or with a box black with that box in white."""
    pixels = np.random.default_rng(width + height).integers(0, 255, (height, width, 3), np.uint8)
    if box is not None:
        pixels[:] = 0
        pixels[box[1] : box[3], box[0] : box[2]] = 255
    content = io.BytesIO()
    PIL.Image.fromarray(pixels).save(content, "PNG")
    meta = {"phrases": phrases} if phrases is not None else {}
    return Record(key, content.getvalue(), "png", width, height, meta=meta, **fields)


def noise():
    return [
        picture(f"{i}", *size, phrases)
        for i, (size, phrases) in enumerate(zip(SIZES, PHRASES, strict=True))
    ]


def same(one, other, *, atol=1e-5):
    assert [r.key for r in one] == [r.key for r in other]
    for a, b in zip(one, other, strict=True):
        assert [r.text for r in a.regions] == [r.text for r in b.regions]
        for x, y in zip(a.regions, b.regions, strict=True):
            assert x.score == pytest.approx(y.score, abs=atol)
            assert x.box == pytest.approx(y.box, abs=atol * max(a.width, a.height))


@pytest.mark.parametrize("kind", [*KINDS, OTHER])
def test_a_batch_answers_as_one_picture_at_a_time_does(folders, kind):
    stage, records = Detect(model=str(folders / kind), at_least=0.0, batch_size=4), noise()
    together = stage(records, Notes())
    assert sum(len(record.regions) for record in together) > 20
    same(together, [stage([record], Notes())[0] for record in records])
    for record, phrases in zip(together, PHRASES, strict=True):
        assert {region.text for region in record.regions} <= set(phrases)


@pytest.mark.parametrize("kind", [*KINDS, OTHER])
def test_half_precision(folders, kind):
    stage, notes = Detect(model=str(folders / kind), at_least=0.0, dtype="bfloat16"), Notes()
    found = stage(noise(), notes)
    assert all(record.regions for record in found)
    assert stage.describe()["dtype"] == "bfloat16"
    assert ("regions", "box_not_finite") not in notes.counts


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("width", "height", "box"),
    [
        (300, 200, (30, 20, 120, 80)),
        (300, 200, (180, 110, 300, 200)),
        (200, 300, (30, 20, 120, 80)),
        (200, 300, (110, 180, 200, 300)),
        (256, 256, (100, 30, 250, 90)),
    ],
)
def test_a_box_that_the_model_sees_comes_back_to_its_pixels(
    folders, monkeypatch, kind, width, height, box
):
    """The white box goes through the model's own padding and resizing; 64 pixels of the model are
    up to 300 of the picture, so an edge may be a few of those beside."""
    stage = Detect(model=str(folders / kind))
    tokenizer = stage.pretrained.processor.tokenizer
    token = tokenizer("d")["input_ids"][1]
    monkeypatch.setattr(
        stage.pretrained.model, "forward", sees_bright_boxes(token=token, is_owl="owl" in kind)
    )
    (found,) = stage([picture("a", width, height, ["a cat", "b d", "x"], box=box)], Notes())
    (region,) = found.regions
    assert region.text == "b d"
    assert region.source == kind
    assert region.score == pytest.approx(torch.tensor(10.0).sigmoid().item())
    assert region.box == pytest.approx(box, abs=5)


@pytest.mark.parametrize("kind", ["owlv2", "owlvit"])
@pytest.mark.parametrize("size", [32, 96])
def test_another_size_than_the_checkpoints(folders, monkeypatch, kind, size):
    """As the paper runs OWLv2, at 448: finer or coarser boxes at the same places."""
    stage = Detect(model=str(folders / kind), size=size, at_least=0.0)
    batch = noise()
    found = stage(batch, Notes())
    same(found, [stage([record], Notes())[0] for record in batch])
    own = Detect(model=str(folders / kind), at_least=0.0)
    assert found != own(batch, Notes())
    assert stage.describe() == {**own.describe(), "size": size}
    inputs, shape = stage.detector.prepare(PIL.Image.new("RGB", (90, 60)))
    assert shape == (3, size, size)
    boxes = stage.detector([inputs], [(90, 60)], [["a"]])[0].boxes
    assert len(boxes) == (size // 8) ** 2  # a box for every patch
    token = stage.pretrained.processor.tokenizer("d")["input_ids"][1]
    monkeypatch.setattr(
        stage.pretrained.model, "forward", sees_bright_boxes(token=token, is_owl=True)
    )
    (seen,) = stage([picture("a", 300, 200, ["x", "d"], box=(30, 20, 120, 80))], Notes())
    assert seen.regions[0].box == pytest.approx((30, 20, 120, 80), abs=300 / size + 1)


@pytest.mark.parametrize(
    ("kind", "size", "message"),
    [
        ("owlv2", 60, "size=60 is no multiple.* patches of 8 .*null for .* 64"),
        ("owlv2", 0, "size=0 is no multiple"),
        ("grounding_dino", 64, "size=64: only OWLv2 and OWL-ViT.*grounding-dino; give size=null"),
    ],
)
def test_a_size_that_cannot_work_is_refused(folders, kind, size, message):
    with pytest.raises(UserError, match=message):
        Detect(model=str(folders / kind), size=size)


@pytest.mark.parametrize("size", [(100, 60), (60, 190), (65, 20), (40, 64), (8, 8)])
def test_owlv2_sees_what_its_own_preprocessing_makes_of_a_picture(folders, size):
    """Ours blurs in one pass for each direction, theirs with a square kernel."""
    detector = Detect(model=str(folders / "owlv2")).detector
    image = decode_record(picture("a", *size, []), "")
    theirs = detector.pretrained.processor.image_processor(images=image, return_tensors="pt")
    ours, _ = detector.prepare(image)
    torch.testing.assert_close(ours, theirs["pixel_values"][0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["owlv2", "grounding_dino"])
def test_every_picture_of_a_batch_keeps_its_own_phrases(folders, monkeypatch, kind):
    stage = Detect(model=str(folders / kind), batch_size=3)
    token = stage.pretrained.processor.tokenizer("d")["input_ids"][1]
    monkeypatch.setattr(
        stage.pretrained.model, "forward", sees_bright_boxes(token=token, is_owl="owl" in kind)
    )
    boxes = [(0, 0, 20, 20), (20, 20, 60, 50), (60, 10, 90, 60)]
    phrases = [["a", "d x"], ["d y", "b", "c"], ["d z"]]
    records = [
        picture(str(i), 96, 64, p, box=b)
        for i, (p, b) in enumerate(zip(phrases, boxes, strict=True))
    ]
    found = stage(records, Notes())
    assert [record.regions[0].text for record in found] == ["d x", "d y", "d z"]
    for record, box in zip(found, boxes, strict=True):
        assert record.regions[0].box == pytest.approx(box, abs=3)


class Answer(dict):
    """As the outputs of transformers are: keys and attributes."""

    __getattr__ = dict.__getitem__


def planted(stage, monkeypatch, box, logits):
    """The model always answers this normalised box, in its own frame, with these logits."""

    def forward(pixel_values, **_):
        b = len(pixel_values)
        rows, boxes = (torch.tensor(x)[None, None].expand(b, 1, -1) for x in (logits, box))
        of_omdet = {
            "decoder_class_logits": rows,
            "decoder_coord_logits": boxes,
            "classes_structure": torch.full((b,), len(logits)),
        }
        return Answer(logits=rows, pred_boxes=boxes, **of_omdet)

    monkeypatch.setattr(stage.pretrained.model, "forward", forward)


@pytest.mark.parametrize(
    ("kind", "size", "expected"),
    [
        ("owlv2", (200, 100), (50.0, 50.0, 100.0, 75.0)),  # of a square of 200
        ("owlv2", (100, 200), (50.0, 50.0, 100.0, 75.0)),
        ("owlv2", (200, 200), (50.0, 50.0, 100.0, 75.0)),
        ("owlvit", (200, 100), (50.0, 25.0, 100.0, 37.5)),
        ("owlvit", (100, 200), (25.0, 50.0, 50.0, 75.0)),
        (OTHER, (200, 100), (50.0, 25.0, 100.0, 37.5)),
        (OTHER, (100, 200), (25.0, 50.0, 50.0, 75.0)),
    ],
)
def test_a_normalised_box_is_of_the_frame_that_the_model_sees(
    folders, monkeypatch, kind, size, expected
):
    stage = Detect(model=str(folders / kind))
    planted(stage, monkeypatch, (0.375, 0.3125, 0.25, 0.125), (0.0,))
    (found,) = stage([picture("a", *size, ["x"])], Notes())
    assert found.regions == (Region(expected, "x", score=0.5, source=kind),)


def test_a_box_in_the_padding_is_left_out_and_one_that_reaches_into_it_is_clipped(
    folders, monkeypatch
):
    stage = Detect(model=str(folders / "owlv2"))
    planted(stage, monkeypatch, (0.5, 0.75, 0.5, 0.25), (0.0,))
    notes = Notes()
    (found,) = stage([picture("a", 200, 100, ["x"])], notes)
    assert found.regions == ()
    assert notes.counts == {("regions", "box_outside"): 1}
    planted(stage, monkeypatch, (0.5, 0.5, 0.5, 0.5), (0.0,))
    (found,) = stage([picture("a", 200, 100, ["x"])], Notes())
    assert found.regions[0].box == (50.0, 50.0, 150.0, 100.0)


def test_a_score_under_the_floor_is_no_region(folders, monkeypatch):
    for floor, count in ((0.5, 1), (0.51, 0)):
        stage = Detect(model=str(folders / "owlv2"), at_least=floor)
        planted(stage, monkeypatch, (0.5, 0.5, 0.5, 0.5), (-1.0, 0.0))
        (found,) = stage([picture("a", 64, 64, ["x", "y"])], Notes())
        assert [region.text for region in found.regions] == ["y"] * count


def test_a_padded_phrase_takes_no_box(folders, monkeypatch):
    """The model scores the empty text of a padded place, too: here best of all."""
    stage = Detect(model=str(folders / "owlv2"))
    planted(stage, monkeypatch, (0.5, 0.5, 0.5, 0.5), (0.0, 5.0))
    found = stage([picture("a", 64, 64, ["x"]), picture("b", 64, 64, ["y", "z"])], Notes())
    assert [(r.regions[0].text, r.regions[0].score > 0.9) for r in found] == [
        ("x", False),
        ("z", True),
    ]


def test_grounding_dino_separators_in_a_phrase_do_not_part_it(folders, monkeypatch):
    """Full stops and capitals change the query, never the text of the region."""
    stage = Detect(model=str(folders / "grounding_dino"))
    token = stage.pretrained.processor.tokenizer("d")["input_ids"][1]
    monkeypatch.setattr(
        stage.pretrained.model, "forward", sees_bright_boxes(token=token, is_owl=False)
    )
    records = [picture("a", 96, 64, ["a", "B. D?", "c"], box=(0, 0, 20, 20))]
    assert stage(records, Notes())[0].regions[0].text == "B. D?"


@pytest.mark.parametrize("kind", ["owlv2", "grounding_dino"])
def test_a_phrase_that_the_text_tower_cannot_read_whole_is_counted(folders, kind):
    notes, long = Notes(), " ".join("abcdefgh" * 9)
    stage = Detect(model=str(folders / kind), at_least=0.0)
    (found,) = stage([picture("a", 64, 64, [long, "x", "y\x00"])], notes)
    assert {region.text for region in found.regions} == {"x"}
    assert notes.counts["phrases", "long"] == 1
    assert notes.counts["phrases", "unclean"] == 1


def test_grounding_dino_leaves_out_the_phrases_that_no_longer_fit(folders):
    """Its text holds 64 tokens here, the first and the last are its own."""
    notes, phrases = Notes(), [" ".join("abcdefgh"), *"bcdefgh", " ".join("jklmnopqr"), *"ijklm"]
    phrases += [f"{phrase} z" for phrase in phrases]
    stage = Detect(model=str(folders / "grounding_dino"), at_least=0.0)
    stage([picture("a", 64, 64, [*phrases, *phrases])], notes)
    detector = stage.detector
    usable = [p for p, fits in zip(phrases, detector.usable(phrases), strict=True) if fits]
    tokens = detector.pretrained.processor.tokenizer(". ".join(usable) + ".")["input_ids"]
    assert len(tokens) == 64
    assert notes.counts["phrases", "long"] == len(phrases) - len(usable) > 0


def test_records_without_phrases_pass_and_are_counted(folders):
    notes, before = Notes(), Region((1.0, 2.0, 30.0, 40.0), "old", source="coco")
    records = [
        picture("a", 64, 64, None, regions=(before,)),
        picture("b", 64, 64, ["x"], regions=(before,), captions=(Caption("x"),)),
        picture("c", 64, 64, []),
    ]
    records[1].meta["masks"] = [{"size": [64, 64], "counts": "x"}]
    stage = Detect(model=str(folders / "owlv2"), at_least=0.0)
    found = stage(records, notes)
    assert (found[0], found[2]) == (records[0], records[2])
    assert notes.events["no_phrases"] == 2
    assert found[1].regions[0] == before
    assert len(found[1].regions) > 1
    assert found[1].captions == records[1].captions
    assert found[1].meta["masks"] == [
        *records[1].meta["masks"],
        *[None] * (len(found[1].regions) - 1),
    ]
    fresh = Detect(model=str(folders / "owlv2"), at_least=0.0, replace=True)(records, Notes())
    assert fresh[1].regions == found[1].regions[1:]
    assert fresh[1].meta["masks"] == [None] * len(fresh[1].regions)


def test_a_picture_that_cannot_be_read_is_left_out_with_its_reason(folders):
    notes, good = Notes(), picture("good", 64, 64, ["x"])
    broken = Record("broken", b"no picture", "jpg", 64, 64, meta={"phrases": ["x"]})
    thin = picture("thin", 82, 2, ["x"])
    wrong = Record("wrong", good.image, "png", 65, 64, meta={"phrases": ["x"]})
    found = Detect(model=str(folders / "owlv2"))([broken, good, thin, wrong], notes)
    assert [record.key for record in found] == ["good"]
    reasons = {(e.key, e.reason) for e in notes.examples if e.what == "samples"}
    assert reasons == {("broken", "image"), ("thin", "aspect"), ("wrong", "size")}


class Short:
    """A detector whose memory holds only so many pictures."""

    def __init__(self, detector, room):
        self.detector, self.room, self.asked = detector, room, []
        self.usable, self.prepare = detector.usable, detector.prepare

    def __call__(self, inputs, sizes, phrases):
        self.asked.append(len(inputs))
        if len(inputs) > self.room:
            raise torch.OutOfMemoryError
        return self.detector(inputs, sizes, phrases)


def test_where_memory_runs_out_the_batch_is_halved_once_and_nothing_is_lost(folders):
    stage, notes = Detect(model=str(folders / "owlv2"), at_least=0.0, batch_size=4), Notes()
    records = [picture(str(i), 64, 64, PHRASES[i % 5]) for i in range(7)]
    expected = stage(records, Notes())
    stage.detector = Short(stage.detector, 2)
    same(stage(records, notes), expected)
    assert stage.detector.asked == [4, 2, 2, 2, 1]
    assert notes.events["out_of_memory"] == 1
    stage.detector.room = 1
    with pytest.raises(UserError, match="batch_size under 2"):
        stage(records, notes)


@NEEDS_MINI
@pytest.mark.parametrize("kind", ["owlv2", "grounding_dino"])
def test_photographs(folders, kind):
    """A batch answers as one picture at a time does, and every box is inside its picture."""
    records = []
    for path in sorted((MINI / "train2017").glob("*.jpg"))[::20]:
        found = read_picture(path, cure="")
        words = {"phrases": PHRASES[len(records) % 5]}
        size = (found.width, found.height)
        records.append(Record(path.stem, found.content, found.extension, *size, meta=words))
    stage, notes = Detect(model=str(folders / kind), at_least=0.0), Notes()
    together = stage(records, notes)
    assert len(together) == len(records) == 4
    same(together, [stage([record], Notes())[0] for record in records])
    for record in together:
        assert record.regions
        for region in record.regions:
            x0, y0, x1, y1 = region.box
            assert 0 <= x0 < x1 <= record.width
            assert 0 <= y0 < y1 <= record.height


def test_what_the_answers_depend_on(folders, tmp_path):
    stage = Detect(model=str(folders / "owlv2"), at_least=0.2)
    said = dict(stage.describe())
    assert json.loads(json.dumps(said)) == said
    assert said["model"] == "owlv2"
    assert (said["at_least"], said["dtype"], said["version"]) == (0.2, "float32", 2)
    other = save_owl(tmp_path / "owlv2", kind="owlv2")
    assert Detect(model=str(other), at_least=0.2).describe() == said
    weights = other / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert Detect(model=str(other)).describe()["digest"] != said["digest"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "/no/such/folder"}, "model=/no/such/folder cannot be loaded"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"at_least": 1.5}, "at_least=1.5"),
        ({"dtype": "int8"}, "dtype=int8"),
        ({"device": "teapot"}, "device=teapot"),
    ],
)
def test_settings_that_cannot_work_are_one_line(folders, settings, message):
    with pytest.raises(UserError, match=message) as error:
        Detect(**{"model": str(folders / "owlv2"), **settings})
    assert "\n" not in str(error.value)


def test_a_model_of_another_kind_or_with_code_of_its_own_is_refused(tmp_path):
    from transformers import BertConfig

    BertConfig(hidden_size=8, num_attention_heads=2).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="ZeroShotObjectDetection"):
        Detect(model=str(tmp_path))
    config = {"model_type": "mine", "auto_map": {"AutoConfig": "code.MyConfig"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "code.py").write_text("raise SystemExit('this code was run')")
    with pytest.raises(UserError, match="code of its own"):
        Detect(model=str(tmp_path))


class Runs:
    """A pickle that would run code."""

    def __reduce__(self):
        return (print, ("this code was run",))


def test_a_checkpoint_of_tensors_is_read_and_one_that_would_run_code_is_not(
    folders, tmp_path, capsys
):
    model = tmp_path / "owlv2"
    shutil.copytree(folders / "owlv2", model)
    expected = Detect(model=str(model), at_least=0.0)(noise(), Notes())
    weights = load_file(model / "model.safetensors")
    (model / "model.safetensors").unlink()
    torch.save(weights, model / "pytorch_model.bin")
    stage = Detect(model=str(model), at_least=0.0)
    same(stage(noise(), Notes()), expected)
    torch.save({**weights, "more": Runs()}, model / "pytorch_model.bin")
    with pytest.raises(UserError, match="cannot be loaded"):
        Detect(model=str(model))
    assert "this code was run" not in capsys.readouterr().out


def test_phrases_that_are_no_list_are_refused(folders):
    with pytest.raises(UserError, match=r"meta\.phrases"):
        Detect(model=str(folders / "owlv2"))([picture("a", 64, 64, "a cat")], Notes())
