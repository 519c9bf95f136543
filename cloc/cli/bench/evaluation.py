"""How fast an evaluation is beside its encoder alone, and in how much memory."""

import resource
import time
from collections.abc import Mapping
from typing import Any

import torch
from hydra.utils import get_method

from cloc.cli.bench.options import whole_number
from cloc.cli.bench.step import spread
from cloc.data.eval_splits import read_split
from cloc.errors import UserError
from cloc.eval.encode import image_vectors
from cloc.eval.encoders.encoder import open_encoder

BATCH = 64
PARSE = "cloc.data.sources.cloc_regions.parse"


def evaluating(options: Mapping[str, str], shards: str, *, repeat: int) -> dict[str, Any]:
    """Images per second of a pass over the first `images` of `shards` (reading, decoding, framing,
    encoding) and of the encoder alone on pixels that are there; in turns, with their ratio. And the
    process's memory before and at its highest."""
    spec = options.get("encoder")
    if spec is None:
        raise UserError("what=eval measures an encoder; give encoder=open_clip:NAME/TAG")
    encoder = open_encoder(spec, device=torch.device("cpu")).embedder
    limit = whole_number(options, "images", 512)
    split = read_split(shards, name="val", parse=get_method(PARSE), limit=limit, key="shards")
    first = split.examples[:BATCH]
    there = encoder.prepare([e.image for e in first], [e.boxes[:0] for e in first]).images
    before = _mib()
    speeds: dict[str, list[float]] = {"evaluation": [], "encoder_alone": []}
    for turn in range(repeat + 1):  # the first warms up
        began = time.perf_counter()
        count = sum(1 for _ in image_vectors(encoder, split.examples, batch_size=BATCH))
        whole = count / (time.perf_counter() - began)
        began = time.perf_counter()
        for start in range(0, count, BATCH):
            encoder.images(there[: count - start])
        alone = count / (time.perf_counter() - began)
        if turn:
            speeds["evaluation"].append(whole)
            speeds["encoder_alone"].append(alone)
    pairs = zip(speeds["evaluation"], speeds["encoder_alone"], strict=True)
    return {
        "images_per_s": {name: spread(values) for name, values in speeds.items()},
        "evaluation_over_encoder": spread([a / b for a, b in pairs]),
        "mib": {"before": before, "peak": _mib()},
        "images": len(split.examples),
        "batch_size": BATCH,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def _mib() -> int:
    """The process's highest resident memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
