"""Figures of one GPU: images/s, MFU and peak memory of a CLOC step and of its CLIP twin, compiled.

    cloc-pretrain bench what=gpu experiment=cloc_paper_vit_b16 [images=512] [repeat=15]

MFU is quoted against the datasheet, with the rate that a large matrix product reaches beside it.
`device=cpu images=2` is a dry run: it shows that the command works, and its figures mean nothing.
"""

import time
from collections.abc import Callable, Mapping
from datetime import date
from statistics import median
from typing import Any

import torch
from omegaconf import DictConfig

from cloc.cli.bench.options import whole_number
from cloc.cli.bench.region_cost import REGIONS, Form, filled, forms, shapes_of
from cloc.cli.bench.step import make_step
from cloc.cli.build.step_cost import cost_of, peak_flops
from cloc.cli.launch.layout import chosen_precision
from cloc.errors import UserError
from cloc.interfaces import RegionBatch
from cloc.training.callbacks.speed import GIB, peak_memory

PRODUCT = 8192  # side of the square matrices of the measured product


def gpu(options: Mapping[str, str], cfg: DictConfig, *, repeat: int) -> dict[str, Any]:
    """Every phrase distinct: the most that CLOC can cost. Prints a row for each model too."""
    device = torch.device(options.get("device", "cuda"))
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "what=gpu: this machine has no CUDA device; device=cpu images=2 makes a dry run"
        )
    images = whole_number(options, "images", 512)
    peak, product = peak_flops(cfg), product_rate(device)
    found = {
        name: figures(form, device, images=images, repeat=repeat, peak=peak, product=product)
        for name, form in forms(cfg).items()
        if name != "literal"
    }
    about = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "dry_run": device.type != "cuda",
        "compiled": device.type == "cuda",
        "date": date.today().isoformat(),
        "torch": torch.__version__,
        "batch_size": images,
        "precision": chosen_precision(cfg.trainer.precision, device.type),
        "datasheet_tflops": peak and peak / 1e12,
        "product_tflops": _digits(product / 1e12),
    }
    print(rows(found, about))
    return {**about, "models": found}


def figures(
    form: Form,
    device: torch.device,
    *,
    images: int,
    repeat: int,
    peak: float | None,
    product: float,
) -> dict[str, Any]:
    """Of one model alone on the device: what ran before it has given its memory back."""
    batch = filled(shapes_of(form, images))
    fields: dict[str, Any] = {
        k: v.to(device) for k, v in batch._asdict().items() if torch.is_tensor(v)
    }
    batch = batch._replace(**fields)
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    step = make_step(form.cfg, device=device.type, compiled=device.type == "cuda")
    speed = images / seconds(lambda: step(batch), device, repeat=repeat)
    return {
        "images_per_s": _digits(speed),
        **utilisation(speed, flops_per_image(form, batch), peak=peak, product=product),
        "peak_gib": _digits(peak_memory(device) / GIB),
    }


def utilisation(
    images_per_s: float, flops_per_image: float, *, peak: float | None, product: float
) -> dict[str, Any]:
    """MFU of the datasheet's `peak` FLOP/s (None: not known) and of the measured `product`."""
    spent = images_per_s * flops_per_image
    return {
        "gflop_per_image": _digits(flops_per_image / 1e9),
        "mfu": peak and _digits(spent / peak),
        "of_product": _digits(spent / product),
    }


def flops_per_image(form: Form, batch: RegionBatch) -> float:
    """Losses left out: at one GPU's batch they are a thousandth."""
    cost = cost_of(form.model, regions=REGIONS, region_context=form.region_context)
    return cost.of(batch) / len(batch.images)


def product_rate(device: torch.device, *, repeat: int = 20) -> float:
    """FLOP/s of a large bf16 product, the most that a model could hope for."""
    side = PRODUCT if device.type == "cuda" else 256
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * side**3 / seconds(lambda: a @ b, device, repeat=repeat)


def seconds(run: Callable[[], Any], device: torch.device, *, repeat: int) -> float:
    """Median of `repeat` runs after three; the first of them compiles."""
    taken = []
    for _ in range(repeat + 3):
        began = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - began)
    return median(taken[3:])


def rows(found: Mapping[str, Mapping[str, Any]], about: Mapping[str, Any]) -> str:
    """A table for the README."""
    head = "| model | images/s | MFU | of a large product | peak GiB | batch | measured |"
    lines = [head, "|" + "---|" * 7]
    where = "dry run, no figure" if about["dry_run"] else about["device"]
    for name, model in found.items():
        mfu = "not known" if model["mfu"] is None else f"{model['mfu']:.1%}"
        lines.append(
            f"| {name} | {model['images_per_s']:,.0f} | {mfu} | {model['of_product']:.1%} | "
            f"{model['peak_gib']:.1f} | {about['batch_size']} | "
            f"{where}, torch {about['torch']}, {about['date']} |"
        )
    return "\n".join(lines)


def _digits(value: float) -> float:
    return float(f"{value:.4g}")
