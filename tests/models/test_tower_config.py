"""open_clip's configurations: copies, and other sizes."""

import open_clip
import pytest

from cloc.errors import UserError
from cloc.models.tower_build import make_tower
from cloc.models.tower_config import refuse, resized, resolve_config
from tests.helpers.models import NATIVE


def changed(config, **vision):
    return {**config, "vision_cfg": {**config["vision_cfg"], **vision}}


def test_a_configuration_is_copied_to_the_bottom():
    given = changed(NATIVE, norm_kwargs={"eps": 1e-6})
    resolved = resolve_config(given)
    resolved["vision_cfg"]["norm_kwargs"]["eps"] = 1
    assert given == changed(NATIVE, norm_kwargs={"eps": 1e-6})
    assert resolve_config("ViT-B-32") == open_clip.get_model_config("ViT-B-32")


def test_other_sizes_leave_the_given_configuration_alone():
    found = resized(NATIVE, [48, 64], 9)
    assert found["vision_cfg"]["image_size"] == [48, 64]
    assert found["text_cfg"]["context_length"] == 9
    assert resized(NATIVE, None, None) == NATIVE
    assert NATIVE["vision_cfg"]["image_size"] == 32


@pytest.mark.parametrize(
    ("part", "change", "says"),
    [
        ("text_cfg", {"pool_type": "mean"}, r"text_cfg.pool_type='mean' .* argmax, eos, first, la"),
        ("text_cfg", {"pool_type": None}, r"text_cfg.pool_type=None is none of open_clip's"),
        ("vision_cfg", {"pool_type": "mean"}, r"vision_cfg.pool_type='mean' .* tok, avg, none"),
        ("text_cfg", {"heads": 5}, r"open_clip cannot build model.tower.config: \w+"),
        ("text_cfg", {"heads": 0}, r"open_clip cannot build model.tower.config: \w+"),
        ("text_cfg", {"width": "wide"}, r"open_clip cannot build model.tower.config: \w+"),
    ],
)
def test_what_open_clip_has_not_is_one_line(part, change, says):
    with pytest.raises(UserError, match=says) as error:
        make_tower({**NATIVE, part: {**NATIVE[part], **change}})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("given", [-1, 0, 1.5, True, [64, -1], [64, 64, 64], "big", {"a": 1}])
def test_a_size_of_pixels_is_one_that_can_be(given):
    with pytest.raises(UserError, match=r"^model\.tower\.image_size=.*: give pixels, 1 or more"):
        refuse(resized(resolve_config("ViT-B-32"), given, None))
