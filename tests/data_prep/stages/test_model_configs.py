"""The files of configs/stages that name a model say every setting of their stage and no other."""

import inspect
from importlib import import_module
from pathlib import Path

import pytest
import yaml

STAGES = Path(__file__).parents[3] / "configs/stages"
NAMES = (
    "detect/owlv2",
    "detect/grounding_dino",
    "detect/transformers",
    "recaption/transformers",
    "recaption/endpoint",
    "negatives/endpoint",
)


def check(config):
    module, _, name = config["_target_"].rpartition(".")
    parameters = inspect.signature(getattr(import_module(module), name)).parameters
    assert set(config) - {"_target_"} == set(parameters)
    for value in config.values():
        if isinstance(value, dict):
            check(value)


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_is_there(name):
    check(yaml.safe_load((STAGES / f"{name}.yaml").read_text(encoding="utf-8")))
