"""One softmax over patches and words, against a loop in float64."""

import torch

from cloc.decoder.attention import Attention, Seen
from cloc.models.positions.rotary.rotate import rotate, tables


def test_it_is_the_slow_definition_and_keys_stay_as_they_were_turned():
    torch.manual_seed(0)
    own = Attention(16, 2).double()
    x, angles = torch.randn(2, 5, 16).double(), torch.rand(1, 1, 5, 4).double()
    sees = torch.ones(5, 5).tril().bool()[None, None].expand(2, 1, 5, 5)
    found, seen = own(x, tables(angles), sees)
    query, key, value = (
        part.unflatten(-1, (2, 8)).transpose(1, 2) for part in own.qkv(x).chunk(3, -1)
    )
    query, key = rotate(query, angles), rotate(key, angles)
    expected = torch.zeros(2, 2, 5, 8).double()
    for row in range(5):
        logits = (query[:, :, row, None] * key[:, :, : row + 1]).sum(-1) / 8**0.5
        shares = logits.softmax(-1)
        expected[:, :, row] = (shares[..., None] * value[:, :, : row + 1]).sum(2)
    torch.testing.assert_close(found, own.out(expected.transpose(1, 2).flatten(2)))
    assert seen.keys.allclose(key)

    first, past = own(x[:, :3], tables(angles[:, :, :3]), sees[:, :, :3, :3])
    assert isinstance(past, Seen)
    second, both = own(x[:, 3:], tables(angles[:, :, 3:]), sees[:, :, 3:], past)
    torch.testing.assert_close(torch.cat([first, second], 1), found)
    torch.testing.assert_close(both.values, seen.values)
