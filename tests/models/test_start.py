"""The kinds of starts; each has its own file of tests in starts/."""

import pytest

from cloc.errors import UserError
from cloc.models.tower_build import make_tower


@pytest.mark.parametrize("start", ["ViT-B-16", "openclip:x", "hf:", "pickle:x"])
def test_an_unknown_start_says_what_there_is(start):
    with pytest.raises(UserError, match=rf"start='{start}'; write open_clip:NAME/TAG, .*timm:NAME"):
        make_tower(start=start)
