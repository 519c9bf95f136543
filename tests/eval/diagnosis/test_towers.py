"""Every kind of encoder that the evaluator opens, opened to be looked into."""

import numpy as np
import PIL.Image
import pytest
import timm
import torch
from safetensors.torch import save_file

from cloc.errors import UserError
from cloc.eval.diagnosis.towers import Patches, opened
from cloc.eval.encoders.encoder import Encoder, of_model, open_encoder
from cloc.eval.encoders.onnx import Graphs
from tests.helpers.encoders import save_coca, save_naflex
from tests.helpers.models import make_model, random_pixels
from tests.helpers.vectors import Vectors

CPU = torch.device("cpu")


def encoder_of(embedder):
    return Encoder(embedder, "module:mine", None, "own", "")


def pictures(encoder, count=2):
    rng = np.random.default_rng(0)
    images = [
        PIL.Image.fromarray(rng.integers(0, 256, (48, 48, 3), np.uint8)) for _ in range(count)
    ]
    return encoder.embedder.prepare(images, [np.zeros((0, 4))] * count).images


def seen(encoder):
    """Names, shapes, and whose attention was seen."""
    shares = {}
    look = opened(encoder).look(pictures(encoder), lambda name, found: shares.update({name: found}))
    return look, shares


def test_a_coca_has_the_blocks_before_its_pooler(tmp_path):
    look, shares = seen(open_encoder(f"open_clip:{save_coca(tmp_path)}", device=CPU))
    assert list(look.layers) == ["in", "1", "2"]
    assert look.layers["2"].patches.shape == (2, 16, 32)
    assert look.position.abs().max() > 0
    assert {found.shape for found in shares.values()} == {(2, 2, 17, 17)}


def test_a_naflex_has_the_grid_of_squares(tmp_path):
    encoder = open_encoder(f"hf:{save_naflex(tmp_path)}", device=CPU)
    view = opened(encoder)
    assert (view.grid, view.num_prefix, view.squares) == ((8, 8), 0, True)
    look, shares = seen(encoder)
    assert list(look.layers) == ["in", "1", "2", "norm"]
    embeddings = encoder.embedder.model.vision_model.embeddings
    table = embeddings.position_embedding.weight
    torch.testing.assert_close(look.position[1], table, atol=1e-5, rtol=1e-5)
    assert shares["1"].shape == (2, 2, 64, 64)
    with view.unpositioned() as found:
        off = view.look(pictures(encoder))
    assert found == ["embeddings.position_embedding.weight"]
    assert off.position.abs().max() == 0


def test_a_tower_of_timm_needs_no_texts(tmp_path):
    save_file(timm.create_model("test_vit").state_dict(), tmp_path / "trunk.safetensors")
    look, shares = seen(open_encoder(f"timm:test_vit,{tmp_path}/trunk.safetensors", device=CPU))
    assert len(look.layers) == 8  # of 6 blocks
    assert set(shares) == set("123456")


def test_a_model_of_ours_is_looked_into_with_its_head():
    assert opened(of_model(make_model(), "x", device=CPU)).grid == (4, 4)


def test_graphs_show_their_last_tokens(monkeypatch):
    graphs = Graphs.__new__(Graphs)
    tokens = torch.randn(2, 3, 4, 5)
    monkeypatch.setattr(Graphs, "_run", lambda self, name, wanted, **inputs: [tokens])
    view = opened(encoder_of(graphs))
    look = view.look(random_pixels(0, 2))
    assert isinstance(view, Patches)
    assert view.inside.startswith("an ONNX graph shows")
    assert torch.equal(look.layers["patches"].patches, tokens.flatten(1, 2))
    assert look.layers["patches"].grid == (3, 4)


def test_an_encoder_of_yours_shows_its_patches():
    class Mine(Vectors):
        def patches(self, x, *, values=False):
            return torch.ones(len(x), 6, 4), (2, 3)

    look, shares = seen(encoder_of(Mine()))
    assert look.layers["patches"].patches.shape == (2, 6, 4)
    assert (look.content, look.position, shares) == (None, None, {})


def test_an_encoder_without_patches_is_told_what_it_lacks():
    with pytest.raises(UserError, match=r"^module:mine has no patches\(x\), .*columns\)\)$"):
        opened(encoder_of(Vectors()))


def test_a_trunk_of_unknown_parts_is_refused():
    model = make_model()
    trunk = torch.nn.Module()
    model.tower.clip.visual.trunk = trunk
    with pytest.raises(UserError, match=r"^it is not known which parts of Module follow"):
        opened(of_model(model, "x", device=CPU))
