"""What a key of the configuration holds: its default says it, and tables where that does not.

`null` and `???` stand for many things, and a number may have to be above 0. Patterns are of dotted
keys; what neither a default nor a table says is Hydra's to read.
"""

import math
import re
from collections.abc import Iterable, Mapping
from enum import Enum
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf
from omegaconf import ValueNode as Node


class Form(Enum):
    """How a value is read, in the words of a message."""

    TEXT = "a text"
    TEXTS = "a text, or several as [a,b]"
    LIST = "a list of texts, such as [a,b]"
    NUMBERS = "a list of numbers, such as [0.9,0.98]"
    INT = "a whole number"
    NUMBER = "a number"
    NUMBER_OR_MAP = "a number, or {step: number}, each"
    NUMBER_OR_LEARNED = "a number, or {learned: number},"
    BOOL = "true or false"
    TEXT_OR_MAP = "a text, or {key: value}"
    MAP = "a mapping, such as {key: value}"
    ANY = "a value"


class Kind(NamedTuple):
    """Numbers lie in [low, high], or in (low, high] where they are `above`."""

    form: Form
    null: bool = False  # null is a value, of which the comment of the key says what it means
    low: float = 0
    high: float = math.inf
    above: bool = False
    empty: bool = False  # a text may have no letter
    length: int | None = None  # of a list of numbers


# Where the default is null, ??? or a text that is no more than one of the possible values.
FORMS: Mapping[Form, tuple[str, ...]] = {
    Form.TEXTS: (
        *("data.train", "data.captions", "data.sources.*.shards", "eval.splits.*", "splits.*"),
        *("input", "shards"),
    ),
    Form.TEXT: (
        *(
            "name",
            "start",
            "decoder.start",
            "decoder.words",
            "model.tower.start",
            "model.tower.vocabulary",
            "data.root",
        ),
        *("resume", "checkpoints"),
        *("index_folder", "data.index_folder", "data.skip_shards", "data.skip_keys"),
        *(
            "run",
            "encoder",
            "text_encoder",
            "vlm",
            "question",
            "out",
            "twin",
            "push",
            "images",
            "instances",
            "panoptic",
            "captions",
        ),
        *("annotations", "classes", "boxes", "dataset", "entities", "folder", "image_data"),
        *("narratives", "parquet", "refs", "regions", "train", "val", "caption_key"),
        *("objects", "backgrounds", "answers.repairs.*.of"),
        *("stages.*.model", "stages.*.revision", "stages.*.endpoint.model"),
        "stages.relations.larger_is",
        *("stages.*.endpoint.key_env", "engine.address", "engine.cluster"),
        *("what", "device", "tower", "workers", "shards_of_a_job", "price_per_hour"),
        *(
            "benchmarks.*.root",
            "benchmarks.*.run_folder",
            "benchmarks.*.pictures",
            "benchmarks.*.templates",
        ),
        *("benchmarks.*.prompts", "benchmarks.*.classnames"),
    ),
    Form.LIST: (
        "chosen",
        "extractors",
        "freeze",
        "decoder.kinds",
        "retention.benchmarks",
        "keep",
        "resume_changes",
    ),
    Form.NUMBERS: ("*background", "model.region_head.layers", "decoder.read"),
    Form.INT: (
        *("steps", "batch_size", "limit", "repeat", "model.tower.context_length"),
        *("engine.workers", "engine.tasks", "stages.detect.size", "stages.images.phash_distance"),
    ),
    Form.NUMBER: (
        *("peak_tflops", "ema.decay", "retention.floor", "rates.wait.*"),
        *("losses.region_text.threshold", "trainer.gradient_clip_val", "weights.*"),
        *("stages.*.aspect_at_most", "stages.filter.nms_iou_across"),
        "stages.*.endpoint.requests_per_s",
    ),
    Form.NUMBER_OR_MAP: ("data.sources.*.weight",),
    Form.NUMBER_OR_LEARNED: ("model.tower.norm_balance", "model.region_head.norm_balance"),
    Form.BOOL: ("optimizer.fused",),
    Form.MAP: (
        *("lora", "decoder", "decoder.pin", "decoder.twin", "decoder.language.rotary"),
        *("model.region_head", "model.region_scale", "model.box_head"),
    ),
    Form.TEXT_OR_MAP: (
        *("model.tower.config", "trainer.strategy"),
        *(f"model.tower.positions.{kind}" for kind in ("absolute", "relative", "rotary")),
    ),
    Form.ANY: (
        *("trainer.devices", "trainer.num_nodes", "region_context"),
        *("trainer.strategy.*_parallel_size", "*image_size", "*._target_"),
        *("stages.images.reject", "engine.actors", "engine.slurm"),
    ),
}
# Keys that have a value by default, and may be null.
NULL = (
    *(
        "start",
        "checkpoints",
        "lora",
        "decoder",
        "model.region_head",
        "model.region_scale",
        "model.box_head",
    ),
    *(
        "trainer.gradient_clip_val",
        "ema.decay",
        "eval.limit",
        "limit",
        "retention.floor",
        "caption_key",
    ),
    *("stages.filter.duplicate_iou", "stages.filter.nms_iou", "stages.filter.regions_at_most"),
    *("stages.images.phash_distance", "twin", "engine.workers", "limit"),
    *("benchmarks.*.classnames", "benchmarks.*.run_folder"),
)
ANY_LENGTH = ("seeds", "losses.stepwise.weights")  # of a list of numbers
EMPTY = ("stages.*.prompt", "logger.*")  # texts that may have no letter
# Numbers that are not all of 0 and more: the least, whether more than it, and the most.
ONE, ABOVE, SHARE = (1, False, math.inf), (0, True, math.inf), (0, False, 1)
BOUNDS: Mapping[tuple[float, bool, float], tuple[str, ...]] = {
    ONE: (
        *("steps", "batch_size", "accumulate", "batches", "log_every", "checkpoint_keep"),
        *("checkpoint_every", "eval.limit", "limit", "region_context", "data.view.max_regions"),
        *("data.shuffle.*", "failures.compare_every", "failures.give_up_after", "lora.rank"),
        *("*.num_heads", "*.config.*", "ema.warmup", "optimizer.ns_steps", "samples_per_shard"),
        *("size", "engine.workers", "engine.tasks", "images", "top_heads"),
        *("stages.*.batch_size", "stages.*.concurrency", "stages.*.endpoint.concurrency"),
        *("stages.*.max_new_tokens", "stages.*.max_tokens", "stages.*.num_beams", "stages.*.count"),
        *("stages.*.size", "stages.*.side_px_at_least", "stages.*.aspect_at_most"),
        *("stages.*.regions_at_most", "model.region_head.layers"),
    ),
    ABOVE: (
        *("model.tower.norm_balance", "model.region_head.norm_balance"),
        *("optimizer.lr", "optimizer.eps", "optimizer.clipping_threshold", "failures.*_s"),
        *("checkpoint_minutes", "model.region_scale.initial", "peak_tflops", "data.cache.gib"),
        *("engine.poll_s", "stages.*.timeout_s", "stages.*.endpoint.timeout_s"),
        *("stages.*.endpoint.requests_per_s", "rates.layer_decay.*", "trainer.gradient_clip_val"),
    ),
    SHARE: (
        *("wise_ft", "patch_dropout", "data.drop_budget", "budget", "max_unreadable", "twins"),
        *("data.sources.*.weight",),
        *("relational", "stages.*.area_at_*", "stages.*.score_at_least", "stages.*_iou*"),
        *("stages.detect.at_least", "ema.decay", "retention.floor", "optimizer.momentum"),
        *("optimizer.betas", "stages.relations.share", "stages.relations.side_at_least"),
    ),
    (0, False, 2**32 - 1): ("seed",),
    (0, False, 255): ("*background",),
}


def kind(defaults: DictConfig, key: str) -> Kind:
    """Of a dotted key, where `defaults` is the configuration before the person's own values."""
    key, default = pointed_at(defaults, key)
    form = _form(key, default)
    bounds = (bounds for bounds, keys in BOUNDS.items() if _fits(key, keys))
    low, above, high = next(bounds, (0, False, math.inf))
    is_null = default is None or form is Form.ANY or _fits(key, NULL)
    is_empty = default == "" or _fits(key, EMPTY)
    is_fixed = form is Form.NUMBERS and isinstance(default, list) and not _fits(key, ANY_LENGTH)
    length = len(default) if is_fixed else None
    return Kind(form, is_null, low, high, above, is_empty, length)


def pointed_at(defaults: DictConfig, key: str) -> tuple[str, Any]:
    """The key and its default, or those of the key that it points at."""
    default = default_of(defaults, key)
    while isinstance(default, str) and (same := re.fullmatch(r"\$\{([\w.]+)\}", default)):
        key, default = same[1], default_of(defaults, same[1])
    return key, default


def default_of(defaults: DictConfig, key: str) -> Any:
    """As it stands in the files, unresolved; `...` where there is no such key."""
    node: Any = defaults
    for part in key.split("."):
        if not isinstance(node, DictConfig) or node._is_none() or node._is_missing():
            return ...
        node = node._get_node(part, validate_access=False)
        if node is None:
            return ...
    return node._value() if isinstance(node, Node) else OmegaConf.to_container(node, resolve=False)


def _form(key: str, default: Any) -> Form:
    by_type = {bool: Form.BOOL, int: Form.INT, float: Form.NUMBER}.get(type(default))
    if by_type and not _fits(key, (*FORMS[Form.ANY], *FORMS[Form.NUMBER_OR_MAP])):
        return by_type
    listed = next((form for form, keys in FORMS.items() if _fits(key, keys)), None)
    if listed is not None and not (isinstance(default, list) and listed is Form.TEXTS):
        return listed
    if isinstance(default, list):
        return _of_list({type(value) for value in default})
    return Form.TEXT if isinstance(default, str) and default != "???" else Form.ANY


def _of_list(types: set[type]) -> Form:
    """A part of a person's own may hold lists of anything."""
    if types <= {str}:
        return Form.LIST
    return Form.NUMBERS if types <= {int, float} else Form.ANY


def _fits(key: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(key, pattern) for pattern in patterns)
