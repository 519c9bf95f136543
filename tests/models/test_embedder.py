"""A trained model as an `Embedder`: what the protocol promises, against the model's own parts."""

import io

import numpy as np
import PIL.Image
import pytest
import torch
import torch.nn.functional as F

from cloc.data.samples.decode import decode_record
from cloc.data.samples.orientation import CODES, upright
from cloc.data.samples.record import Record
from cloc.data.samples.training_view import View, look
from cloc.data.sources.caption_only import parse
from cloc.errors import UserError
from cloc.eval.extractors import crop
from cloc.frame import into_frame, pad_resize
from cloc.interfaces import Embedder, HasPatches
from cloc.models.build import build_model
from cloc.models.embedder import ModelEmbedder
from cloc.models.values import value_patches
from tests.helpers.models import CONTEXT, EVA, NATIVE, PROMPTER, SIGLIP, make_model
from tests.helpers.shards import encode

TEXTS = ["a red star", "two blue rings left of a cross", "a star"]
BOXES = [np.array([[2, 3, 20, 9], [0, 0, 40, 10]]), np.zeros((0, 4)), np.array([[1, 5, 9, 30]])]


def pictures():
    """Three images of different shapes, one not RGB."""
    rng = np.random.default_rng(0)
    wide, square, tall = (
        PIL.Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8))
        for size in ((10, 40), (32, 32), (64, 20))
    )
    return [wide, square.convert("L"), tall]


@pytest.fixture(scope="module")
def embedder():
    return ModelEmbedder(make_model(), text_batch=2)


@pytest.fixture(scope="module")
def prepared(embedder):
    return embedder.prepare(pictures(), BOXES)


def assert_unit(vectors, *shape):
    assert vectors.shape == shape
    assert vectors.dtype == torch.float32
    assert not vectors.requires_grad
    torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(shape[:-1]))


def test_is_an_embedder_with_patches():
    embedder = ModelEmbedder(make_model())
    assert isinstance(embedder, Embedder)
    assert isinstance(embedder, HasPatches)


def test_prepare_frames_pixels_and_boxes_and_pads_to_the_longest_list(prepared):
    assert prepared.images.shape == (3, 3, 32, 32)
    assert prepared.images.dtype == torch.uint8
    assert prepared.valid.tolist() == [[True, True], [False, False], [True, False]]
    for image, boxes, pixels, framed in zip(
        pictures(), BOXES, prepared.images, prepared.boxes, strict=True
    ):
        expected, frame = pad_resize(image.convert("RGB"), 32)
        assert (pixels.permute(1, 2, 0).numpy() == expected).all()
        own = into_frame(boxes, image.size, frame)
        np.testing.assert_array_equal(framed[: len(boxes)].numpy(), own)
        assert (framed[len(boxes) :] == 0).all()


@pytest.mark.parametrize("background", [None, [10, 200, 90]])
def test_prepare_sees_what_training_and_evaluation_see_of_a_transparent_picture(background):
    """The same pixels from the loader's view, from a split and from `prepare`, to one level."""
    rgba = np.full((32, 32, 4), (0, 0, 0, 0), np.uint8)
    rgba[8:24, 8:24] = (250, 20, 30, 255)
    image = PIL.Image.fromarray(rgba)
    record = Record("k", encode(rgba), "png", 32, 32)
    embedder = ModelEmbedder(build_model({"config": NATIVE, "background": background}))
    background = embedder.model.tower.background
    seen = look(
        record,
        np.random.default_rng(0),
        view=View(),
        image_size=32,
        where="",
        background=background,
    ).image.pixels(32, 32)
    assert seen[0, 0].tolist() == list(background)
    given = [image, decode_record(record, "", background)]
    for x in embedder.prepare(given, [np.zeros((0, 4))] * 2).images:
        assert np.abs(x.permute(1, 2, 0).numpy().astype(int) - seen).max() <= 1


def test_prepare_without_boxes_or_pictures(embedder):
    empty = embedder.prepare(pictures()[:1], [np.array([])])  # no boxes have no width 4
    assert empty.boxes.shape == (1, 0, 4)
    assert embedder.prepare([], []).images.shape == (0, 3, 32, 32)
    with pytest.raises(UserError, match="boxes of 2 pictures, but there are 3"):
        embedder.prepare(pictures(), BOXES[:2])


def test_images_and_texts_are_the_towers_unit_vectors(embedder, prepared):
    tower = embedder.model.tower
    with torch.no_grad():
        pooled = tower.images(prepared.images).pooled
        texts = tower.texts(tower.tokenizer()(TEXTS, CONTEXT))
    found = embedder.texts(TEXTS)  # in batches of two
    assert_unit(embedder.images(prepared.images), 3, 24)
    assert_unit(found, 3, 24)
    torch.testing.assert_close(embedder.images(prepared.images), pooled)
    torch.testing.assert_close(found, texts)
    assert embedder.texts([]).shape == (0, 24)


def test_regions_are_the_heads_answers_and_blind_to_padding(embedder, prepared):
    model, (x, boxes, valid) = embedder.model, prepared
    with torch.no_grad():
        tokens = model.tower.images(x).tokens
        answers, _ = model.region_head(tokens, boxes, None, grid=model.tower.grid)
    found = embedder.regions(x, boxes, valid)
    assert_unit(found, 3, 2, 24)
    torch.testing.assert_close(found, F.normalize(answers, dim=-1))
    alone = embedder.regions(x[2:], boxes[2:, :1], valid[2:, :1])
    torch.testing.assert_close(alone[0, 0], found[2, 0])
    assert embedder.regions(x, boxes[:, :0], valid[:, :0]).shape == (3, 0, 24)


def test_ground_gives_one_box_per_phrase_of_every_image(embedder, prepared):
    phrases = [TEXTS, [], TEXTS[:1]]
    found = embedder.ground(prepared.images, phrases)
    assert [tuple(rows.shape) for rows in found] == [(3, 4), (0, 4), (1, 4)]
    for image, own, rows in zip(prepared.images, phrases, found, strict=True):
        assert not rows.requires_grad
        for phrase, row in zip(own, rows, strict=True):
            (alone,) = embedder.ground(image[None], [[phrase]])
            torch.testing.assert_close(alone[0], row)
    assert [len(rows) for rows in embedder.ground(prepared.images, [[], [], []])] == [0, 0, 0]


def test_the_models_own_answers_in_training_are_those_of_the_embedder(embedder, prepared):
    """Grounding in the batch form, by phrase index, is the grounding of the embedder."""
    model = embedder.model
    with torch.no_grad():
        phrases = model.tower.texts(model.tower.tokenizer()(TEXTS, CONTEXT))
        tokens = model.tower.images(prepared.images).tokens
        asked = phrases[None].expand(3, -1, -1)
        _, grounded = model.region_head(tokens, None, asked, grid=model.tower.grid)
        boxes = model.box_head(grounded)
    found = embedder.ground(prepared.images, [TEXTS] * 3)
    torch.testing.assert_close(torch.stack(found), boxes)


def test_without_a_box_head_it_cannot_ground_and_without_a_region_head_no_regions(prepared):
    x, boxes, valid = prepared
    assert ModelEmbedder(make_model(region_head=PROMPTER)).ground(x, [TEXTS] * 3) is None
    plain = ModelEmbedder(make_model(region_head=None))
    assert plain.ground(x, [TEXTS] * 3) is None
    with pytest.raises(UserError, match="no region head; measure it with the crop or roi"):
        plain.regions(x, boxes, valid)


@pytest.mark.parametrize("config", [NATIVE, EVA])
def test_patches_are_the_projected_tokens(prepared, config):
    embedder = ModelEmbedder(make_model(config, region_head=None))
    tower = embedder.model.tower
    with torch.no_grad():
        dense = tower.dense(tower.images(prepared.images).tokens)
        values = value_patches(tower, prepared.images)
    found, grid = embedder.patches(prepared.images)
    assert grid == tower.grid
    assert torch.equal(found, dense)
    assert torch.equal(embedder.patches(prepared.images, values=True)[0], values)
    assert not found.requires_grad
    assert embedder.patches(prepared.images[:0])[0].shape == (0, grid[0] * grid[1], 24)


def test_patches_are_refused_where_a_single_patch_has_no_embedding(prepared):
    siglip = ModelEmbedder(make_model(SIGLIP, region_head=None))
    with pytest.raises(UserError, match="pools by attention"):
        siglip.patches(prepared.images)


def test_the_model_is_measured_in_eval_mode():
    assert not ModelEmbedder(make_model().train()).model.training


@pytest.mark.parametrize("code", CODES)
def test_a_photograph_is_upright_as_in_training_and_as_whoever_gives_a_box_sees_it(embedder, code):
    exif, file = PIL.Image.Exif(), io.BytesIO()
    exif[0x0112] = code
    stored = np.random.default_rng(0).integers(0, 256, (20, 32, 3), np.uint8)
    PIL.Image.fromarray(stored).save(file, "PNG", exif=exif)
    photo = PIL.Image.open(file)
    box = np.array([[0, 0, 8, 16]], np.float32)
    prepared = embedder.prepare([photo], [box])
    shown = upright(photo)
    again = embedder.prepare([shown], [box])
    assert (prepared.images == again.images).all()
    assert (prepared.boxes == again.boxes).all()
    sample = {"__key__": "k", "__url__": "u", "png": file.getvalue(), "txt": b"a photograph"}
    rng = np.random.default_rng(0)
    trained = look(parse(sample), rng, view=View(), image_size=32, where="")
    expected = torch.tensor(trained.image.pixels(32, 32).copy()).permute(2, 0, 1)
    assert (prepared.images[0] == expected).all()
    crops = crop.extractor(embedder).prepare([photo, shown], [box, box]).images
    assert (crops[0] == crops[1]).all()
