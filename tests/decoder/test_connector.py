"""How long patches are beside words."""

import pytest
import torch

from cloc.decoder.connector import Connector
from cloc.errors import UserError
from cloc.heads.prompter import Prompter

LINE = (1, 5)  # of patches
WORDS = (
    torch.nn.functional.normalize(torch.randn(50, 32), dim=1)
    * torch.linspace(0.5, 1.5, 50)[:, None]
)


def made(norm, kind="mlp"):
    torch.manual_seed(0)
    connector = Connector(24, 32, kind=kind, norm=norm)
    connector.listen(WORDS)
    return connector


@torch.no_grad()
@pytest.mark.parametrize("kind", ["linear", "mlp"])
@pytest.mark.parametrize("loud", [0.01, 1.0, 1000.0])
def test_rms_clip_brings_every_patch_to_the_longest_times_the_mean(kind, loud):
    """At a width of some tens or more, however loud they were."""
    found = made("rms_clip", kind)(torch.randn(2, 5, 24) * loud, LINE).norm(dim=-1)
    torch.testing.assert_close(found, torch.full((2, 5), 1.5 * 1.0), rtol=1e-3, atol=0)


@torch.no_grad()
def test_what_is_shorter_than_the_longest_is_not_lengthened():
    connector = made("rms_clip")
    connector.norm.weight.fill_(0.1)  # 0.1 x sqrt(32) is 0.57
    found = connector(torch.randn(2, 5, 24), LINE).norm(dim=-1)
    torch.testing.assert_close(found, torch.full((2, 5), 0.1 * 32**0.5), rtol=1e-3, atol=0)


@torch.no_grad()
def test_the_weights_of_rms_norm_change_directions_alone():
    connector, x = made("rms_clip"), torch.randn(1, 3, 24)
    before = connector(x, (1, 3))
    connector.norm.weight.mul_(torch.linspace(1, 3, 32))
    found = connector(x, (1, 3))
    torch.testing.assert_close(found.norm(dim=-1), before.norm(dim=-1))
    assert not found.allclose(before)


@torch.no_grad()
def test_layernorm_begins_at_the_length_of_a_mean_word():
    found = made("layernorm")(torch.randn(2, 5, 24) * 100, LINE).norm(dim=-1)
    torch.testing.assert_close(found, torch.ones(2, 5), rtol=1e-3, atol=0)


@torch.no_grad()
def test_without_a_norm_it_is_the_projection():
    connector, x = made("none", "linear"), torch.randn(1, 3, 24)
    assert connector(x, (1, 3)).equal(connector.project(x))


@torch.no_grad()
@pytest.mark.parametrize("grid", [(2, 3), (3, 2), (1, 1)])
def test_places_add_to_each_patch_where_its_centre_lies_in_the_waves_of_the_prompter(grid):
    torch.manual_seed(0)
    connector = Connector(24, 32, places=True)
    rows, columns = grid
    x = torch.randn(2, rows * columns, 24)
    prompter = Prompter(24, 8)
    centres = [((c + 0.5) / columns, (r + 0.5) / rows) for r in range(rows) for c in range(columns)]
    own = prompter.encode(torch.tensor(centres))
    torch.testing.assert_close(connector(x, grid), connector.project(x + own))


@torch.no_grad()
def test_without_places_equal_patches_are_alike_wherever_they_lie():
    same = torch.randn(1, 1, 24).expand(1, 6, 24)
    for places in (False, True):
        found = Connector(24, 32, places=places)(same, (2, 3))
        assert ((found - found[:, :1]).abs().max() > 1e-4) == places


def test_places_add_no_weight():
    assert set(Connector(24, 32, places=True).state_dict()) == set(Connector(24, 32).state_dict())


def test_places_need_a_multiple_of_4_channels():
    with pytest.raises(UserError, match=r"decoder\.connector\.places=true needs patches of a mul"):
        Connector(30, 32, places=True)


def test_what_was_measured_is_kept_with_the_weights():
    again = Connector(24, 32, norm="rms_clip")
    again.load_state_dict(made("rms_clip").state_dict())
    assert again.longest == pytest.approx(1.5)


@pytest.mark.parametrize("options", [{"kind": "conv"}, {"norm": "l2"}])
def test_an_unknown_one_is_told_with_those_there_are(options):
    [(name, value)] = options.items()
    with pytest.raises(UserError, match=f"decoder.connector.{name}={value}; choose "):
        Connector(24, 32, **options)
