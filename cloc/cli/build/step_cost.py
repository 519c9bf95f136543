"""What a run's step costs in FLOPs, and what its device could do at most."""

from typing import Any

import torch
from omegaconf import DictConfig

from cloc.cli.build.weightless import shadow
from cloc.data.datamodule import RegionData
from cloc.errors import UserError
from cloc.models.cloc import CLOC
from cloc.training.flops import StepCost, datasheet_flops, step_cost


def mfu_settings(cfg: DictConfig, model: CLOC, data: RegionData) -> dict[str, Any]:
    """What `Speed` needs for `speed/mfu`; nothing where the device's peak is not known."""
    peak = peak_flops(cfg)
    if peak is None:
        return {}
    regions = max(source.view.max_regions for source in data.sources.values())
    cost = cost_of(model, regions=regions, region_context=data.wants.region_context)
    return {"cost": cost, "peak_flops": peak}


def cost_of(model: CLOC, *, regions: int, region_context: int) -> StepCost:
    """Of what `model` trains, a teacher's forward included."""
    double = shadow(model)
    return step_cost(
        double,
        image_size=double.tower.image_size,
        regions=regions,
        context=double.tower.context_length,
        region_context=region_context,
        asks=0 if double.decoder is None else 1,
    )


def peak_flops(cfg: DictConfig) -> float | None:
    """FLOP/s of one device: `peak_tflops`, else the datasheet's, else None."""
    if cfg.peak_tflops is not None:
        if not cfg.peak_tflops > 0:
            raise UserError(f"peak_tflops={cfg.peak_tflops}; give TFLOP/s of one device, as 989")
        return float(cfg.peak_tflops) * 1e12
    if cfg.trainer.accelerator == "cpu" or not torch.cuda.is_available():
        return None
    return datasheet_flops(torch.cuda.get_device_name())
