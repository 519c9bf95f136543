"""An encoder that a person wrote, named by its dotted path."""

import pytest
import torch

from cloc.errors import UserError
from cloc.eval.encoders.encoder import checked, open_encoder
from tests.helpers.vectors import Vectors

CPU = torch.device("cpu")
MINE = "module:tests.helpers.vectors.Vectors"


def test_a_factory_of_ones_own_needs_no_regions():
    encoder = open_encoder(MINE, device=CPU)
    assert (encoder.digest, encoder.has_regions) == ("of-my-weights", False)
    assert encoder.frame == "own: as it prepares them"
    x, boxes = torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 4)
    assert encoder.embedder.ground(x, [["a"]]) is None
    with pytest.raises(UserError, match=r"no regions of its own; measure it with extractors=\[cro"):
        encoder.embedder.regions(x, boxes, torch.ones(1, 1, dtype=torch.bool))
    with pytest.raises(UserError, match=r"frame=pad: .* makes its frames itself; leave frame=own"):
        open_encoder(MINE, frame="pad", device=CPU)
    with pytest.raises(UserError, match="x has no images and no texts; an encoder has prepare"):
        checked(type("X", (), {"prepare": print, "texts": None})(), "x")


def lacks_an_argument(x):
    """No factory."""


def exits():
    raise SystemExit(3)


class OfNoFrame(Vectors):
    framing = "crop"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("lacks_an_argument", r"raises TypeError: .*'x'.*; it is called without arguments"),
        ("exits", r"raises SystemExit: 3 \(test_module\.py:\d+\); it is called without"),
        ("CPU", r"raises TypeError: 'torch.device' object is not callable"),
        ("print_nothing", "gives None; it must return the encoder"),
        (
            "OfNoFrame",
            "framing is 'crop' and digest 'of-my-weights'; expected a cloc.frame.Framing",
        ),
        ("nowhere", "cannot be imported .*nowhere"),
    ],
)
def test_a_factory_that_makes_no_encoder_is_told_on_one_line(name, says):
    with pytest.raises(UserError, match=f"^module:{__name__}.{name}:? {says}") as error:
        open_encoder(f"module:{__name__}.{name}", device=CPU)
    assert "\n" not in str(error.value)


def print_nothing():
    """What a person writes who forgets to return it."""
