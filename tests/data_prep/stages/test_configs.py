"""Every file of `configs/stages` that needs no model names a stage and
gives each of its arguments the default, so that the file can be read as the list of settings."""

import importlib
import inspect
from pathlib import Path

import pytest
import yaml

CONFIGS = Path(__file__).parents[3] / "configs" / "stages"
PARTS = ("images", "phrases", "filter", "negatives", "relations")
FILES = sorted(
    path
    for part in PARTS
    for path in (CONFIGS / part).glob("*.yaml")
    if path.stem not in ("none", "endpoint")  # test_model_configs.py has those with a model
)


def test_there_are_as_many_as_stages():
    assert [f"{path.parent.name}/{path.stem}" for path in FILES] == [
        "filter/boxes",
        "images/checks",
        "negatives/rules",
        "phrases/light",
        "phrases/nltk",
        "phrases/spacy",
        "relations/boxes",
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_gives_every_argument_its_default(path: Path):
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    module, _, name = settings.pop("_target_").rpartition(".")
    stage = getattr(importlib.import_module(module), name)
    defaults = {k: p.default for k, p in inspect.signature(stage).parameters.items()}
    assert settings == {k: list(v) if isinstance(v, tuple) else v for k, v in defaults.items()}
    assert isinstance(stage.name, str)
