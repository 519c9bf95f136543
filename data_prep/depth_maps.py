"""How near every pixel is, by a depth estimation model of transformers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import PIL.Image
import torch

from cloc.errors import UserError
from data_prep.pretrained import load_pretrained

# Whether a larger number of the model is nearer (disparity) or farther (metres), where the kind of
# model tells. DPT has checkpoints of both sorts.
METRIC = ("depth_pro", "glpn", "zoedepth")
LARGER_IS = ("nearer", "farther")


class DepthMaps:
    """`model` is a hub name or a folder: Depth Anything, DPT and MiDaS, ZoeDepth, GLPN, Depth Pro.

    `larger_is` says what its larger numbers are, "nearer" or "farther"; None asks the model, and is
    a `UserError` where that does not say.
    """

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        larger_is: str | None = None,
        device: str = "cpu",
        dtype: str = "float32",
    ) -> None:
        self.pretrained = load_pretrained(
            "AutoModelForDepthEstimation", model, revision=revision, device=device, dtype=dtype
        )
        self.larger_is = larger_is or _larger_is(self.pretrained.model.config, model)
        if self.larger_is not in LARGER_IS:
            raise UserError(f"larger_is={larger_is}; give nearer or farther")
        if not hasattr(self.pretrained.processor, "post_process_depth_estimation"):
            raise UserError(f"model={model} has no image processor for depth; give its own folder")

    def prepare(self, image: PIL.Image.Image) -> tuple[Any, tuple[int, ...]]:
        """What the model reads of a picture, and its shape."""
        inputs = self.pretrained.processor(images=image, return_tensors="pt")["pixel_values"]
        return inputs, tuple(inputs.shape)

    def __call__(
        self, inputs: Sequence[torch.Tensor], sizes: Sequence[tuple[int, int]]
    ) -> list[np.ndarray]:
        """float32 [h, w] for every picture of (width, height), larger where nearer; what is not
        finite is NaN."""
        model, processor, _, device, dtype = self.pretrained
        with torch.inference_mode():
            found = model(pixel_values=torch.cat(list(inputs)).to(device, dtype))
            # by place: ZoeDepth calls the second one `source_sizes`
            maps = processor.post_process_depth_estimation(found, [size[::-1] for size in sizes])
        nearer = [one["predicted_depth"].float().cpu().numpy() for one in maps]
        sign = 1.0 if self.larger_is == "nearer" else -1.0
        return [np.where(np.isfinite(one), sign * one, np.nan) for one in nearer]

    def describe(self) -> Mapping[str, Any]:
        """As JSON."""
        return {**self.pretrained.describe(), "larger_is": self.larger_is}


def _larger_is(config: Any, model: str) -> str:
    kind = str(config.model_type)
    if kind == "depth_anything":
        return "farther" if config.depth_estimation_type == "metric" else "nearer"
    if kind in METRIC:
        return "farther"
    raise UserError(
        f"model={model} is a {kind}, whose checkpoints give disparity or metres; give "
        "larger_is=nearer (disparity, as DPT and MiDaS have it) or larger_is=farther (metres)"
    )
