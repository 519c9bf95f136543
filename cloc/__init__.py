"""Localized contrastive language-image pretraining; `cloc.load(path)` gives an `Embedder`."""

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "load":  # deferred: `import cloc` stays light
        from cloc.models.load import load

        return load
    raise AttributeError(f"module 'cloc' has no attribute {name!r}")
