"""An encoder that a person wrote, named by its dotted path."""

import pytest
import torch

from cloc.errors import UserError
from cloc.eval.encoders.encoder import checked, open_encoder

CPU = torch.device("cpu")
MINE = "module:tests.helpers.vectors.Vectors"


def test_a_factory_of_ones_own_needs_no_regions():
    encoder = open_encoder(MINE, device=CPU)
    assert (encoder.digest, encoder.has_regions) == ("of-my-weights", False)
    assert encoder.frame == "own: as it prepares them"
    assert encoder.embedder.ground(None, [["a"]]) is None
    with pytest.raises(UserError, match=r"no regions of its own; measure it with extractors=\[cro"):
        encoder.embedder.regions(None, None, None)
    with pytest.raises(UserError, match=r"frame=pad: .* makes its frames itself; leave frame=own"):
        open_encoder(MINE, frame="pad", device=CPU)
    with pytest.raises(UserError, match="x has no images and no texts; an encoder has prepare"):
        checked(type("X", (), {"prepare": None})(), "x")
