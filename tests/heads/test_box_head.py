"""Both forms of a predicted box, and the parameters behind them."""

import pytest
import torch

from cloc.errors import UserError
from cloc.heads.box_head import BoxHead


def set_output(head, values):
    """The head then answers `values` to everything."""
    head.mlp[2].weight.data.zero_()
    head.mlp[2].bias.data = torch.tensor(values)
    return head


def test_corners_are_the_four_numbers_themselves():
    head = set_output(BoxHead(6, form="corners"), [1.5, 0.2, -0.3, 0.1])  # reversed and outside
    assert head(torch.randn(2, 3, 6)).shape == (2, 3, 4)
    torch.testing.assert_close(head(torch.randn(6)), torch.tensor([1.5, 0.2, -0.3, 0.1]))


def test_centre_and_size_go_through_a_sigmoid():
    logit = torch.tensor([0.5, 0.4, 0.2, 0.6]).logit().tolist()
    box = set_output(BoxHead(6, form="centre"), logit)(torch.randn(5, 6))
    torch.testing.assert_close(box, torch.tensor([0.4, 0.1, 0.6, 0.7]).expand(5, 4))


def test_centre_boxes_are_ordered_with_their_centre_in_the_frame():
    generator = torch.Generator().manual_seed(0)
    boxes = BoxHead(6)(100 * torch.randn(500, 6, generator=generator))
    assert (boxes[:, 2:] >= boxes[:, :2]).all()
    centres = (boxes[:, 2:] + boxes[:, :2]) / 2
    assert ((centres >= 0) & (centres <= 1)).all()


@pytest.mark.parametrize("form", ["corners", "centre"])
def test_two_layers_with_gelu_that_all_learn(form):
    head = BoxHead(6, hidden=10, form=form)
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    assert [p.shape for p in head.parameters()] == [(10, 6), (10,), (4, 10), (4,)]
    if form == "corners":
        inner = x @ head.mlp[0].weight.T + head.mlp[0].bias
        inner = inner * (1 + torch.erf(inner / 2**0.5)) / 2
        torch.testing.assert_close(head(x), inner @ head.mlp[2].weight.T + head.mlp[2].bias)
    head(x).square().sum().backward()
    assert all(p.grad.abs().max() > 0 for p in head.parameters())


def test_boxes_are_in_float32_under_half_precision():
    head = BoxHead(6).bfloat16()
    assert head(torch.randn(2, 6).bfloat16()).dtype == torch.float32


def test_an_unknown_form_is_named():
    with pytest.raises(UserError, match=r"box_head\.form='xywh'; choose corners or centre"):
        BoxHead(6, form="xywh")
