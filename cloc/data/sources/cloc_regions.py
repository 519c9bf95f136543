"""Shards of schema `cloc-regions/1`: KEY.{jpg,png,webp} beside KEY.json."""

from collections.abc import Mapping
from typing import Any

from cloc.data.samples.decode import image_member, origin
from cloc.data.samples.record import Record, from_json
from cloc.data.samples.tar_cures import missing_member
from cloc.errors import BadSample


def parse(sample: Mapping[str, Any]) -> Record:
    """Captions and pixel boxes as annotated; what was left out of them is in `problems`.

    Every message begins with shard and key. No json is `BadSample("members")`, one that cannot be
    used `BadSample("annotation")`.
    """
    image, extension = image_member(sample)
    if "json" not in sample:
        cure = missing_member(sample, ["json"])
        if "txt" in sample:
            cure = (
                "plain image-text shards are trained on with data=captions, and given to evaluate "
                "or a pipeline with parse.path=cloc.data.sources.caption_only.parse"
            )
        raise BadSample("members", f"{origin(sample)}: no json member; {cure}")
    return from_json(sample["__key__"], image, extension, sample["json"], origin(sample))
