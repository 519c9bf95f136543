"""How long patches are beside words."""

import pytest
import torch

from cloc.decoder.connector import Connector
from cloc.errors import UserError

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
    found = made("rms_clip", kind)(torch.randn(2, 5, 24) * loud).norm(dim=-1)
    torch.testing.assert_close(found, torch.full((2, 5), 1.5 * 1.0), rtol=1e-3, atol=0)


@torch.no_grad()
def test_what_is_shorter_than_the_longest_is_not_lengthened():
    connector = made("rms_clip")
    connector.norm.weight.fill_(0.1)  # 0.1 x sqrt(32) is 0.57
    found = connector(torch.randn(2, 5, 24)).norm(dim=-1)
    torch.testing.assert_close(found, torch.full((2, 5), 0.1 * 32**0.5), rtol=1e-3, atol=0)


@torch.no_grad()
def test_the_weights_of_rms_norm_change_directions_alone():
    connector, x = made("rms_clip"), torch.randn(1, 3, 24)
    before = connector(x)
    connector.norm.weight.mul_(torch.linspace(1, 3, 32))
    found = connector(x)
    torch.testing.assert_close(found.norm(dim=-1), before.norm(dim=-1))
    assert not found.allclose(before)


@torch.no_grad()
def test_layernorm_begins_at_the_length_of_a_mean_word():
    found = made("layernorm")(torch.randn(2, 5, 24) * 100).norm(dim=-1)
    torch.testing.assert_close(found, torch.ones(2, 5), rtol=1e-3, atol=0)


@torch.no_grad()
def test_without_a_norm_it_is_the_projection():
    connector, x = made("none", "linear"), torch.randn(1, 3, 24)
    assert connector(x).equal(connector.project(x))


def test_what_was_measured_is_kept_with_the_weights():
    again = Connector(24, 32, norm="rms_clip")
    again.load_state_dict(made("rms_clip").state_dict())
    assert again.longest == pytest.approx(1.5)


@pytest.mark.parametrize("options", [{"kind": "conv"}, {"norm": "l2"}])
def test_an_unknown_one_is_told_with_those_there_are(options):
    [(name, value)] = options.items()
    with pytest.raises(UserError, match=f"decoder.connector.{name}={value}; choose "):
        Connector(24, 32, **options)
