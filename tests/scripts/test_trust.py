"""Code that a configuration may not name, and how a package of one's own is named."""

import pytest
from _run import compose_config

from cloc.errors import UserError

RUN = ("experiment=smoke",)


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "torch.load",
        "webdataset.autodecode.unpickle_loads",
        "lightning.fabric.utilities.cloud_io._load",
        "lightning.pytorch.utilities.os.system",
        "cloc_other.Loss",
        "subprocess.Popen",
    ],
)
def test_code_from_elsewhere_is_refused_by_name(target):
    package = target.partition(".")[0]
    words = rf"^losses\.x\._target_={target} is code .*; if you trust it, add \+trust=\[{package}\]"
    with pytest.raises(UserError, match=words):
        compose_config("train", [*RUN, f"+losses.x._target_={target}"])


def test_a_function_that_is_looked_up_by_path_is_code_too():
    with pytest.raises(UserError, match=r"data\.parse\.path=os\.system is code"):
        compose_config("train", [*RUN, "data.parse.path=os.system"])


def test_a_lookup_hidden_in_a_list_is_found():
    hidden = "+data.view.augment=[{_target_: builtins.exec}]"
    with pytest.raises(UserError, match=r"data\.view\.augment\[0\]\._target_=builtins\.exec is"):
        compose_config("train", [*RUN, hidden])


def test_a_package_of_ones_own_is_named_once():
    own = ("+losses.x._target_=mine.losses.Loss", "+trust=[mine]")
    assert compose_config("train", [*RUN, *own]).losses.x._target_ == "mine.losses.Loss"
    with pytest.raises(UserError, match=r"mine2\.Loss is code"):
        compose_config("train", [*RUN, "+losses.x._target_=mine2.Loss", "+trust=[mine]"])
