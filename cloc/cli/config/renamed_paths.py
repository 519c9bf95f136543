"""Dotted paths that configurations of before name, and where the same things are today."""

from typing import Any

# Modules; what stood below one stands below the other. Kept for as long as runs may be continued.
MOVED = {
    "_grounding_detector": "cloc.cli.tasks.grounding_detector",
    "cloc.data.mixture": "cloc.data.stream.mixture",
    "cloc.data.order": "cloc.data.stream.order",
    "cloc.data.remote": "cloc.data.shards.remote",
    "cloc.data.scenes": "cloc.scenes.generate",
    "cloc.data.skips": "cloc.data.shards.skip_lists",
    "cloc.data.shards.skips": "cloc.data.shards.skip_lists",
    "cloc.data.view": "cloc.data.samples.training_view",
    "cloc.eval.grounding": "cloc.eval.benchmarks.grounding",
    "cloc.eval.image_text_retrieval": "cloc.eval.benchmarks.image_text_retrieval",
    "cloc.eval.region_classification": "cloc.eval.benchmarks.region_classification",
    "cloc.eval.region_retrieval": "cloc.eval.benchmarks.region_retrieval",
    "cloc.eval.relational_regions": "cloc.eval.benchmarks.relational_regions",
    "cloc.eval.spatial_relations": "cloc.eval.benchmarks.spatial_relations",
    "cloc.export.hf": "cloc.export.formats.hf",
    "cloc.export.onnx": "cloc.export.formats.onnx",
    "cloc.export.open_clip": "cloc.export.formats.open_clip",
    "cloc.export.timm": "cloc.export.formats.timm",
    "cloc.export.torch_export": "cloc.export.formats.torch_export",
}
NAMES = ("_target_", "path")  # the keys whose values are dotted paths


def current(name: str) -> str:
    """The dotted path of today for one of any time."""
    module, _, attribute = name.rpartition(".")
    return f"{MOVED[module]}.{attribute}" if module in MOVED else name


def renamed(value: Any, key: str = "") -> Any:
    """Plain values of a configuration with the names of today."""
    if isinstance(value, dict):
        return {name: renamed(inner, str(name)) for name, inner in value.items()}
    if isinstance(value, list):
        return [renamed(inner) for inner in value]
    return current(value) if key in NAMES and isinstance(value, str) else value
