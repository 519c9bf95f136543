"""What each encoding of position costs beside plain learned positions: time and memory of a step of
the image tower."""

import os
import resource
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import open_clip
import torch

from cloc.cli.bench.options import whole_number
from cloc.cli.bench.step import in_turns, spread
from cloc.cli.launch.cpu import multiplies_bf16, tune_for_cpu
from cloc.errors import UserError
from cloc.models.tower_build import make_tower
from cloc.models.towers import Tower

TOWER = "ViT-S-16"
ENCODINGS: dict[str, dict[str, Any]] = {
    "learned": {},
    "none": {"absolute": {"kind": "none"}},
    "sincos": {"absolute": {"kind": "sincos"}},
    **{f"relative {kind}": {"relative": kind} for kind in ("swin", "swin_v2", "shaw")},
    "relative irpe bias": {"relative": {"kind": "irpe", "mode": "bias"}},
    **{f"relative irpe {on}": {"relative": {"kind": "irpe", "on": on}} for on in ("k", "qkv")},
    **{f"rotary {k}": {"rotary": k} for k in ("flattened", "axial", "mixed", "dinov3", "mrope")},
}


def positions(options: Mapping[str, str], *, repeat: int) -> dict[str, Any]:
    """Seconds of forward and backward of `images` pictures (8) through the image tower of `tower`,
    a name of open_clip's, with each encoding in turns, and the ratio to learned positions round by
    round. On a CPU they are seconds of the processor, of all threads, as training uses it: what
    else runs there counts little. On a GPU also the memory that is allocated at most, in GiB."""
    name, images = options.get("tower", TOWER), whole_number(options, "images", 8)
    device = torch.device(options.get("device", "cpu"))
    config = open_clip.get_model_config(name)
    if config is None:
        raise UserError(f"tower={name}: open_clip has no such model; give one such as {TOWER}")
    config["text_cfg"] = {**config["text_cfg"], "layers": 1}
    on_cpu = device.type == "cpu"
    if on_cpu:
        tune_for_cpu()
    towers = {title: make_tower(config, positions=p).to(device) for title, p in ENCODINGS.items()}
    sides = towers["learned"].image_size
    size = (sides, sides) if isinstance(sides, int) else sides
    pixels = torch.randint(0, 256, (images, 3, *size), dtype=torch.uint8, device=device)
    steps = {title: partial(_step, tower, pixels) for title, tower in towers.items()}
    clock = time.process_time if on_cpu else time.perf_counter
    seconds = in_turns(steps, repeat, clock=clock)
    plain = seconds["learned"]
    return {
        "seconds": {title: spread(own) for title, own in seconds.items()},
        "over_learned": {
            title: spread([a / b for a, b in zip(own, plain, strict=True)])
            for title, own in seconds.items()
        },
        **({"gib": {t: _gib(step) for t, step in steps.items()}} if device.type == "cuda" else {}),
        "peak_mib_of_all": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "tower": name,
        "images": images,
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1),  # of the machine in the last minute
        "torch": torch.__version__,
    }


def _step(tower: Tower, pixels: torch.Tensor) -> None:
    device = pixels.device.type
    half = device == "cuda" or multiplies_bf16()
    with torch.autocast(device, torch.bfloat16, enabled=half):
        found = tower.images(pixels)
    (found.pooled.sum() + found.tokens.float().mean()).backward()
    if device == "cuda":
        torch.cuda.synchronize()


def _gib(step: Callable[[], None]) -> float:
    torch.cuda.reset_peak_memory_stats()
    step()
    return torch.cuda.max_memory_allocated() / 2**30
