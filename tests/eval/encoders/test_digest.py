"""What an encoder is, in a few bytes."""

import shutil
from pathlib import Path

import torch

import cloc
from cloc.eval.encoders.digest import of_code, of_files, of_weights

WEIGHTS = {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor([1, 2])}


def test_equal_for_equal_weights_and_another_one_for_any_other():
    own = of_weights(WEIGHTS, "crop 224")
    assert own == of_weights(dict(reversed(WEIGHTS.items())), "crop 224")
    others = [
        of_weights(WEIGHTS, "pad 224"),
        of_weights({**WEIGHTS, "b": torch.tensor([1, 3])}, "crop 224"),
        of_weights({**WEIGHTS, "a": WEIGHTS["a"].view(3, 2)}, "crop 224"),
        of_weights({**WEIGHTS, "a": WEIGHTS["a"].double()}, "crop 224"),
        of_weights({"c": WEIGHTS["a"], "b": WEIGHTS["b"]}, "crop 224"),
        of_weights({**WEIGHTS, "b": WEIGHTS["b"][0]}, "crop 224"),
    ]
    assert len({own, *others}) == 7
    assert of_weights({"half": torch.ones(3, dtype=torch.bfloat16)})


def test_of_files_by_their_names_and_bytes(tmp_path):
    for folder, name, text in (("x", "w", "1"), ("y", "w", "1"), ("z", "w", "2"), ("v", "u", "1")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(text)
    x, y, z, v = (of_files((tmp_path / folder).iterdir()) for folder in "xyzv")
    assert x == y
    assert len({x, z, v}) == 3


def test_of_code_changes_with_what_makes_a_vector_and_with_nothing_else(tmp_path, monkeypatch):
    own = of_code()
    copy = tmp_path / "cloc"
    shutil.copytree(Path(cloc.__file__).parent, copy, ignore=shutil.ignore_patterns("configs"))
    monkeypatch.setattr(cloc, "__file__", str(copy / "__init__.py"))
    assert of_code() == own
    (copy / "eval/metrics.py").write_text("# another figure of the same vectors")
    assert of_code() == own
    for name in ("eval/extractors/crop.py", "frame.py", "models/embedder.py"):
        (copy / name).write_text("# another vector")
        assert of_code() != own
        own = of_code()
