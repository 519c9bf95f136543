"""What is let pass, what not, and the prompt that is asked; every fault in its own words is in
`test_rotary_conformance`."""

import pytest
import torch

from cloc.models.positions.conformance.checks import CHECKS, NEEDS, WHOLE, prompt
from cloc.models.positions.conformance.engine import Engine
from tests.models.positions.conformance import engines
from tests.models.positions.conformance.engines import SMALL


def test_a_prompt_is_text_a_picture_at_one_time_and_text_behind_it():
    own = prompt((2, 3), text=2)
    assert own.shape == (3, 1, WHOLE)
    assert own[:, 0, :10].tolist() == [
        [0, 1, 2, 2, 2, 2, 2, 2, 5, 6],
        [0, 1, 2, 2, 2, 3, 3, 3, 5, 6],  # the text goes on behind the largest position
        [0, 1, 2, 3, 4, 2, 3, 4, 5, 6],
    ]


def test_what_a_check_needs_is_looked_at_before():
    order = list(CHECKS)
    assert all(order.index(n) < order.index(own) for own, needed in NEEDS.items() for n in needed)


class FastSines(engines.Engine):
    """Off by what a GPU's approximations are."""

    def turn(self, x, angles, settings):
        noise = torch.rand(angles.shape, generator=torch.Generator().manual_seed(0))
        return super().turn(x, angles + 1e-6 * (noise - 0.5), settings)


class RoundedTables(engines.Engine):
    """Cosines of bfloat16, of angles in float32, as transformers has them."""

    def turn(self, x, angles, settings):
        return super().turn(x, angles, settings).to(x.dtype)


class InFloat32(engines.Engine):
    """Its answer is float32 whatever it was given."""

    def turn(self, x, angles, settings):
        return super().turn(x.float(), angles, settings)


@pytest.mark.parametrize("right", [FastSines, RoundedTables, InFloat32])
def test_what_rounding_does_is_no_fault(right):
    engine = Engine(right(), SMALL["interleaved"])
    assert {name: own(engine) for name, own in CHECKS.items()} == dict.fromkeys(CHECKS, "")


class HalfTables(engines.Engine):
    """Angles of bfloat16 even where queries are not."""

    def angles(self, positions, settings):
        return super().angles(positions, settings).bfloat16().float()


def test_tables_in_bfloat16_fail_everywhere():
    engine = Engine(HalfTables(), SMALL["chunked"])
    assert all(CHECKS[name](engine) for name in ("frequencies", "grids", "text", "bfloat16"))
