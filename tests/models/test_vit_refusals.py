"""What has no tokens beside a pooled vector is told in one line."""

from types import SimpleNamespace

import pytest

from cloc.errors import UserError
from cloc.models.vit_refusals import refuse_vit


def test_a_plain_tower_is_fine_and_others_are_refused_with_the_reason():
    plain = {"attn_pool": None, "pool_type": "tok", "patch_size": (8, 8)}
    refuse_vit(SimpleNamespace(**plain))
    for key, value, said in (
        ("attn_pool", object(), "replaces the patch tokens"),
        ("pool_type", "none", "set it to tok or avg"),
        ("patch_size", (8, 16), "patches of 8x16 pixels; give square ones"),
    ):
        with pytest.raises(UserError, match=said):
            refuse_vit(SimpleNamespace(**{**plain, key: value}))
