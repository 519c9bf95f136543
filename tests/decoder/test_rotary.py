"""Where patches and words stand, and the angles that come of it."""

import pytest
import torch

from cloc.decoder.rotary import Rotary
from cloc.errors import UserError
from cloc.models.positions.conformance.settings import channels
from cloc.models.positions.place import Place
from cloc.models.positions.rotary.axial import Axial
from cloc.models.positions.rotary.mrope import LAYOUTS, stream_of
from cloc.models.positions.rotary.rotate import tables, turn
from cloc.models.positions.rotary_conformance import check

PARTS = [2, (2, 3), 2]


def of(kind, **more):
    return Rotary(16, 4, kind=kind, **more)


def test_a_patch_stands_behind_the_one_before_it_as_a_word_does():
    found, behind = of("flat").positions(PARTS)
    assert found.equal(torch.arange(10.0)[:, None].expand(-1, 3))
    assert behind == 10


@pytest.mark.parametrize("kind", ["axial", "mrope"])
def test_rows_and_columns_count_from_where_the_text_has_come_to(kind):
    """As Qwen2-VL counts; what follows stands one behind the furthest position so far."""
    found, behind = of(kind).positions(PARTS)
    assert found.tolist() == [
        *[[0, 0, 0], [1, 1, 1]],
        *[[2, 2, 2], [2, 2, 3], [2, 2, 4], [2, 3, 2], [2, 3, 3], [2, 3, 4]],
        *[[5, 5, 5], [6, 6, 6]],
    ]
    assert behind == 7


def test_with_spatial_reset_from_0_in_every_picture():
    found, behind = of("mrope", spatial_reset=True).positions([4, (2, 3), 1, (1, 2), 1])
    assert found[4:10].tolist() == [
        *[[4, 0, 0], [4, 0, 1], [4, 0, 2], [4, 1, 0], [4, 1, 1], [4, 1, 2]]
    ]
    assert found[10:].tolist() == [[5, 5, 5], [6, 0, 0], [6, 0, 1], [7, 7, 7]]
    assert behind == 8


def test_one_behind_the_other_from_a_start():
    whole, behind = of("mrope").positions(PARTS)
    first, then = of("mrope").positions(PARTS[:2])
    second, last = of("mrope").positions(PARTS[2:], start=then)
    assert whole.equal(torch.cat([first, second]))
    assert last == behind
    assert of("mrope").positions([])[0].shape == (0, 3)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("spatial_reset", [False, True])
def test_text_alone_turns_bit_for_bit_as_1_d(layout, spatial_reset):
    words = [of(kind, layout=layout).positions([9])[0][None] for kind in ("flat", "mrope")]
    assert words[0].equal(words[1])
    rotary = of("mrope", layout=layout, spatial_reset=spatial_reset)
    steps = 10_000.0 ** (-torch.arange(8) / 8)
    own = (torch.arange(9.0)[:, None] * steps).expand(rotary(words[1]).shape)
    torch.testing.assert_close(rotary(words[1]), own)
    assert rotary(words[1]).equal(of("flat", layout=layout)(words[0]))


def test_patches_turn_by_the_stream_that_their_channels_have():
    rotary = of("mrope", sections=[2, 3, 3])
    where, _ = rotary.positions([(3, 4)])
    steps = 10_000.0 ** (-torch.arange(8) / 8)
    expected = where[:, stream_of("interleaved", [2, 3, 3])] * steps
    torch.testing.assert_close(rotary(where[None])[0, 0], expected)


def test_axial_is_that_of_the_towers():
    rotary = of("axial", base=100.0)
    where, _ = rotary.positions([(3, 4)])
    expected = Axial(16, 4, base=100.0)(Place(3, 4, 0, None), torch.device("cpu"))
    assert rotary(where[None]).equal(expected)


@pytest.mark.parametrize(
    ("width", "options", "says"),
    [
        (16, {"kind": "rope"}, r"kind=rope of decoder.language.rotary; choose flat, axial, mrope"),
        (18, {"kind": "axial"}, r"turns channels in 4s, but a head has 18; change"),
        (15, {}, r"turns channels in 2s, but a head has 15"),
        (16, {"sections": [1, 2]}, r"sections=\[1, 2\] of decoder.language.rotary: give three"),
        (16, {"kind": "flat", "sections": [2, 3, 3]}, r"sections of .* nothing with kind=flat"),
        (16, {"kind": "axial", "sections": [2, 3, 3]}, r"sections of .* nothing with kind=axial"),
        (
            16,
            {"kind": "flat", "spatial_reset": True},
            r"spatial_reset of .* nothing with kind=flat",
        ),
        (16, {"base": 0.0}, r"base=0\.0 of decoder.language.rotary; give a number above 0"),
        (16, {"base": -5.0}, r"base=-5\.0 of decoder.language.rotary; give"),
        (16, {"layout": "x"}, r"layout=x of decoder.language.rotary; choose chunked"),
    ],
)
def test_what_cannot_be_is_one_line(width, options, says):
    with pytest.raises(UserError, match=says):
        Rotary(width, 4, **options)


def ours(q, k, positions, settings):
    """As a block of the decoder turns them, whose pairs are neighbours."""
    rotary = Rotary(
        settings.rotary_dim,
        settings.kv_heads,
        base=settings.base,
        sections=settings.sections,
        layout=settings.layout,
    )
    angles = rotary(positions.permute(1, 2, 0).float())
    order = torch.stack(channels(settings), 1).flatten()

    def turned(x):
        own = angles.repeat_interleave(x.shape[1] // angles.shape[1], 1)
        out = x.clone()
        out[..., order] = turn(x[..., order], *tables(own))
        return out

    return turned(q), turned(k)


def test_it_passes_the_conformance_test_that_engines_run():
    report = check(ours)
    assert not report.failing, report.table()
    assert len({row.settings for row in report.rows}) >= 5
