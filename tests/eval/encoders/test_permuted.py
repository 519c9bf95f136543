"""Patches in another order, before positions and after, of every kind of encoder."""

from itertools import permutations

import numpy as np
import PIL.Image
import pytest
import torch

from cloc.errors import UserError
from cloc.eval.encoders.encoder import Encoder, of_model, open_encoder
from cloc.eval.encoders.guarded import Guarded
from cloc.eval.encoders.onnx import Graphs
from cloc.eval.encoders.permuted import AFTER, BEFORE, permuted
from cloc.eval.encoders.precision import in_precision
from cloc.eval.encoders.two_towers import joined
from cloc.eval.extractors import crop, roi
from cloc.interfaces import Prepared
from cloc.models.build import build_model
from cloc.models.patch_order import shuffle_patches
from tests.helpers.encoders import save_coca, save_naflex
from tests.helpers.models import CLOC_PARTS, NATIVE, make_model, random_pixels
from tests.helpers.vectors import Vectors

CPU = torch.device("cpu")
PADDED = {  # its strides of 2 do not divide 36 pixels into whole patches of 32
    **NATIVE,
    "vision_cfg": {
        **{"timm_model_name": "tf_efficientnet_lite0", "timm_proj": "linear"},
        "image_size": 36,
    },
}
BOXES = torch.tensor([[[0.0, 0.0, 0.5, 0.5], [0.5, 0.25, 1.0, 1.0]]])
ALL = torch.ones(1, 2).bool()


def model(positions=None, **head):
    """With weights that make places and content heard."""
    torch.manual_seed(0)
    parts = {**CLOC_PARTS, "region_head": {**CLOC_PARTS["region_head"], **head}}
    found = build_model({"config": NATIVE, "positions": positions}, **parts)
    with torch.no_grad():
        for weight in found.parameters():
            weight += 0.1 * torch.randn_like(weight)
    return found.eval()


def encoder_of(found):
    return of_model(found, "x", device=CPU)


def pixels(seed=0):
    return random_pixels(seed, 1)


def answers(embedder, x):
    return embedder.images(x), embedder.regions(x, BOXES, ALL), embedder.ground(x, [["a ring"]])[0]


def test_before_positions_every_answer_is_that_of_the_shuffled_picture():
    encoder = encoder_of(model())
    before = permuted(encoder)[BEFORE]
    moved = []
    inner = encoder.embedder.images
    encoder.embedder.images = lambda x: moved.append(x) or inner(x)
    before.images(pixels())
    [x] = moved
    cells = {bytes(c.numpy().tobytes()) for c in cells_of(x)}
    assert cells == {bytes(c.numpy().tobytes()) for c in cells_of(pixels())}
    assert not x.equal(pixels())
    for a, b in zip(answers(before, pixels()), answers(encoder.embedder, x), strict=True):
        assert a.equal(b)
    assert before.patches(pixels())[0].equal(encoder.embedder.patches(x)[0])


def cells_of(x, side=8):
    return x.unfold(2, side, side).unfold(3, side, side).permute(0, 2, 3, 1, 4, 5).flatten(0, 2)


def test_after_positions_the_whole_picture_is_as_before_and_regions_read_another_place():
    encoder = encoder_of(model())
    after = permuted(encoder)[AFTER]
    image, region, box = answers(encoder.embedder, pixels())
    other_image, other_region, other_box = answers(after, pixels())
    assert other_image.equal(image)
    assert float((other_region - region).abs().max()) > 1e-3
    assert float((other_box - box).abs().max()) > 1e-4
    assert encoder.embedder.reorder is None  # the encoder itself is as before
    assert answers(encoder.embedder, pixels())[1].equal(region)
    plain, grid = encoder.embedder.patches(pixels())
    moved, same = after.patches(pixels())
    assert same == grid
    assert not moved.equal(plain)
    torch.testing.assert_close(moved.sort(1).values, plain.sort(1).values)


def test_a_head_that_reads_no_order_is_not_changed_after_positions():
    """Without places in the Prompter tokens are a set: only their own positions tell them apart."""
    encoder = encoder_of(model(patch_positions=False))
    before, after = permuted(encoder)[BEFORE], permuted(encoder)[AFTER]
    region = encoder.embedder.regions(pixels(), BOXES, ALL)
    torch.testing.assert_close(after.regions(pixels(), BOXES, ALL), region)
    assert float((before.regions(pixels(), BOXES, ALL) - region).abs().max()) > 1e-3


def test_a_tower_that_knows_no_places_does_not_hear_the_order_of_patches():
    lost = encoder_of(model({"absolute": "none"}))
    knows = encoder_of(model())
    for encoder, least, most in ((lost, 0, 1e-5), (knows, 1e-3, 2)):
        apart = permuted(encoder)[BEFORE].images(pixels()) - encoder.embedder.images(pixels())
        assert least <= float(apart.abs().max()) <= most


def test_an_order_is_of_the_picture_alone():
    """Not of the batch it stands in, nor of the call."""
    before = permuted(encoder_of(model()))[BEFORE]
    both = torch.cat([pixels(0), pixels(1)])
    together = before.images(both)
    torch.testing.assert_close(together[1:], before.images(pixels(1)), rtol=0, atol=1e-6)
    torch.testing.assert_close(before.images(both.flip(0)).flip(0), together, rtol=0, atol=1e-6)
    assert before.images(both[:0]).shape == (0, 24)


@pytest.mark.parametrize("kind", [BEFORE, AFTER])
def test_extractors_stand_on_it(kind):
    """Of a crop the patches are those of the crop's own frame; of RoIAlign those of the picture."""
    encoder = encoder_of(model())
    other = permuted(encoder)[kind]
    rng = np.random.default_rng(0)
    picture = PIL.Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8))
    boxes = [np.array([[2, 3, 20, 30]], np.float32)]
    for extractor, changes in ((crop.extractor, kind == BEFORE), (roi.extractor, True)):
        both = map(extractor, (encoder.embedder, other))
        found = [e.regions(*e.prepare([picture], boxes)) for e in both]
        assert (float((found[0] - found[1]).abs().max()) > 1e-4) == changes


def test_autocast_and_texts_of_another_are_looked_through():
    encoder = in_precision(encoder_of(model()), "bf16-mixed", device=CPU)
    encoder = joined(encoder, encoder_of(make_model(seed=1)))
    plain = encoder.embedder.regions(pixels(), BOXES, ALL)
    for other in permuted(encoder).values():
        assert float((other.regions(pixels(), BOXES, ALL) - plain).abs().max()) > 1e-3
        assert other.texts(["a"]).equal(encoder.embedder.texts(["a"]))
        assert other.tokens(["a"]) == encoder.embedder.tokens(["a"])


def test_a_coca_and_a_naflex_have_their_own_grids(tmp_path):
    for name, save in (("open_clip", save_coca), ("hf", save_naflex)):
        folder = tmp_path / name
        folder.mkdir()
        encoder = open_encoder(f"{name}:{save(folder)}", device=CPU)
        rng = np.random.default_rng(0)
        sizes = ((50, 50), (20, 80))
        photos = [PIL.Image.fromarray(rng.integers(0, 256, (*s, 3), np.uint8)) for s in sizes]
        x = encoder.embedder.prepare(photos, [np.zeros((0, 4))] * 2).images
        plain = encoder.embedder.images(x)
        both = permuted(encoder)
        assert float((both[BEFORE].images(x) - plain).abs().max()) > 1e-5
        assert both[AFTER].images(x).equal(plain)


def test_graphs_are_reordered_between_each_other(monkeypatch):
    """The tokens that the second graph gets are those of the first in another order."""
    graphs = Graphs.__new__(Graphs)
    graphs.reorder, fed = None, []
    tokens = torch.arange(12.0).view(1, 2, 3, 2)
    monkeypatch.setattr(Graphs, "_has", lambda self, name: True)
    prepared = Prepared(torch.zeros(1, 3, 4, 6), torch.zeros(1, 0, 4), torch.zeros(1, 0).bool())
    monkeypatch.setattr(Graphs, "prepare", lambda self, images, boxes: prepared)

    def run(self, name, wanted, **inputs):
        fed.append(inputs)
        return [tokens] if name == "image_encoder" else [torch.zeros(1, 2, 4)]

    monkeypatch.setattr(Graphs, "_run", run)
    encoder = Encoder(graphs, "onnx:x", None, "own", "", has_regions=True)
    x = torch.randint(0, 9, (1, 3, 4, 6))
    permuted(encoder)[AFTER].regions(x, BOXES, ALL)
    moved = fed[-1]["tokens"]
    assert moved.shape == tokens.shape
    assert not moved.equal(tokens)
    torch.testing.assert_close(moved.flatten(1, 2).sort(1).values, tokens.flatten(1, 2))
    graphs.regions(x, BOXES, ALL)
    assert fed[-1]["tokens"].equal(tokens)


class Mine(Vectors):
    """Pictures of 6 x 4 pixels in 3 x 2 patches, read in their order."""

    def prepare(self, images, boxes):
        found = super().prepare(images, boxes)
        return found._replace(images=torch.zeros(len(images), 3, 6, 4))

    def patches(self, x, *, values=False):
        return torch.ones(len(x), 6, 4), (3, 2)


def mine(**parts):
    made = type("Made", (Mine,), parts)()
    return Encoder(Guarded(made, "module:mine"), "module:mine", None, "own", "", has_regions=False)


def test_an_encoder_of_yours_is_shuffled_by_the_grid_that_it_tells():
    seen = []

    def images(self, x):
        seen.append(x)
        return torch.nn.functional.normalize(torch.ones(len(x), 4), dim=1)

    x = torch.randn(1, 3, 6, 4)
    permuted(mine(images=images))[BEFORE].images(x)
    assert sorted(seen[0].flatten().tolist()) == sorted(x.flatten().tolist())
    assert any(
        shuffle_patches(x, (3, 2), o).equal(seen[0])
        for o in map(torch.tensor, permutations(range(6)))
    )


@pytest.mark.parametrize(
    ("encoder", "says"),
    [
        (
            mine()._replace(has_regions=True),
            r"makes regions of its own, whose tokens cannot be put",
        ),
        (mine(prepare=Vectors.prepare), r"patches do not divide the frame \[1, 32, 32, 3\] of"),
        (Encoder(Vectors(), "m", None, "own", "", has_regions=False), r"not known how m divides a"),
        (
            of_model(make_model(PADDED, region_head=None), "m", device=CPU),
            r"patches of m are partly padding at 36 x 36 pixels; set image_size to a mul.* of 32",
        ),
    ],
)
def test_an_encoder_that_cannot_be_shuffled_is_one_line(encoder, says):
    with pytest.raises(UserError, match=rf"^permuted=true: .*{says}") as error:
        permuted(encoder)
    assert "\n" not in str(error.value)
