"""Floating point operations of a training step, counted from shapes: no weights and no device."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from cloc.frame import ImageSize, height_and_width
from cloc.interfaces import Embeddings, RegionBatch

# TFLOP/s of dense bf16 products, from NVIDIA's datasheets; the first name that fits wins.
DATASHEET = {
    "B200": 2250,
    "H200 NVL": 835,
    "H100 NVL": 835,
    "H100 PCIe": 756,
    "H200": 989,
    "H100": 989,
    "A100": 312,
    "A800": 312,
    "L40S": 362,
    "L4": 121,
}


# Tokens of a question and an answer, about as many as scenes have: "is 03 05 12 16 the cup left of
# the bowl? yes".
QUESTION, ANSWER = 24, 8


class StepCost(NamedTuple):
    """FLOPs of forward and backward of an image with its caption and boxes, and of one phrase.

    Matrix products, convolutions and attention, a multiply-add being two; the losses are not in it.
    """

    per_image: int
    per_phrase: int

    def of(self, batch: RegionBatch) -> int:
        """Of a whole batch; padded regions and phrases are computed, so they count."""
        return len(batch.images) * self.per_image + len(batch.phrases) * self.per_phrase


def step_cost(
    model: nn.Module,
    *,
    image_size: ImageSize,
    regions: int,
    context: int,
    region_context: int,
    asks: int = 0,
) -> StepCost:
    """`model` is on the meta device; a batch's cost is linear in its images and in its phrases."""

    def count(phrases: int) -> int:
        batch = shapes(
            images=1,
            regions=regions,
            phrases=phrases,
            image_size=image_size,
            context=context,
            region_context=region_context,
            asks=asks,
        )
        return model_flops(model, batch)

    one, two = count(1), count(2)
    return StepCost(one - (two - one), two - one)


def model_flops(model: nn.Module, batch: RegionBatch) -> int:
    """Of forward and backward; frozen parameters get no gradient and cost none.

    Attention is counted as its products, so backward recomputes nothing: what MFU asks for.
    """
    with FlopCounterMode(display=False) as counter:
        out: Embeddings = model(batch)
        values = [x for x in out if isinstance(x, Tensor) and x.requires_grad]
        if values:
            torch.stack([x.sum() for x in values]).sum().backward()
    return int(counter.get_total_flops())


def shapes(
    *,
    images: int,
    regions: int,
    phrases: int,
    image_size: ImageSize,
    context: int,
    region_context: int,
    asks: int = 0,
) -> RegionBatch:
    """A batch of the meta device: nothing but its shapes. There are `asks` questions about each
    image, of QUESTION and ANSWER tokens."""
    with torch.device("meta"):
        question = {
            "question": torch.empty(images, asks, QUESTION + ANSWER, dtype=torch.long),
            "question_valid": torch.empty(images, asks, QUESTION + ANSWER, dtype=torch.bool),
            "answer_at": torch.empty(images, asks, ANSWER, dtype=torch.long),
            "grounds": torch.empty(images, asks, dtype=torch.bool),
        }
        return RegionBatch(
            images=torch.empty(images, 3, *height_and_width(image_size), dtype=torch.uint8),
            captions=torch.empty(images, context, dtype=torch.long),
            caption_valid=torch.empty(images, dtype=torch.bool),
            boxes=torch.empty(images, regions, 4),
            valid=torch.empty(images, regions, dtype=torch.bool),
            phrases=torch.empty(phrases, region_context, dtype=torch.long),
            phrase_index=torch.empty(images, regions, dtype=torch.long),
            negative_index=torch.empty(images, regions, 0, dtype=torch.long),
            keys=("",) * images,
            extra=question if asks else {},
        )


def datasheet_flops(device: str) -> float | None:
    """FLOP/s of the datasheet for a device of this name; None where we know none."""
    return next((1e12 * peak for name, peak in DATASHEET.items() if name in device), None)
