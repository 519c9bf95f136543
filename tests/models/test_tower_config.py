"""open_clip's configurations: copies, and other sizes."""

import open_clip

from cloc.models.tower_config import resized, resolve_config
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
