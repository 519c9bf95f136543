"""PIN on pictures of two things: the toy of its specification, with the decoder of this package."""

import pytest
import torch
from torchvision.ops import box_iou

from cloc.decoder.connector import Connector
from cloc.decoder.decoder import Decoder
from cloc.decoder.pin import PIN
from cloc.decoder.prefix_lm import PrefixLM

PIXELS, SIDE, CELLS, COLOURS = 32, 8, 8, 6
GRID = (SIDE, SIDE)
LINES = COLOURS  # the first token of a line; those before it name colours
PALETTE = torch.linspace(0.2, 1.0, COLOURS)[:, None] * torch.tensor([[1.0, -0.7, 0.4]])


def composites(count, generator):
    """Pictures [n 3 32 32] with two rectangles of two colours, the asked one's name and box in
    lines [n 4]: left, upper, right, lower."""
    sizes = torch.randint(2, 4, (count, 2, 2), generator=generator)
    low = (torch.rand(count, 2, 2, generator=generator) * (CELLS - sizes + 1)).long()
    boxes = torch.cat([low, low + sizes], 2)
    names = torch.rand(count, COLOURS, generator=generator).argsort(1)[:, :2]
    images = 0.05 * torch.randn(count, 3, PIXELS, PIXELS, generator=generator)
    for image, own, colours in zip(images, boxes * (PIXELS // CELLS), names, strict=True):
        for (x0, y0, x1, y1), colour in zip(own.tolist(), PALETTE[colours], strict=True):
            image[:, y0:y1, x0:x1] = colour[:, None, None]
    return images, names[:, 1], boxes[:, 1]  # that which nothing hides


def bag(images):
    """An encoder that knows nothing of places: every patch by itself."""
    side = PIXELS // SIDE
    patches = images.unfold(2, side, side).unfold(3, side, side).permute(0, 2, 3, 1, 4, 5)
    mix = torch.randn(3 * side**2, 32, generator=torch.Generator().manual_seed(7)) / side
    return patches.reshape(len(images), SIDE**2, -1) @ mix


def train(decoder, weights, *, steps, seed, rate):
    step = torch.optim.Adam(weights, lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(step, rate, total_steps=steps)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        images, names, lines = composites(64, generator)
        rows = torch.cat([names[:, None], lines + LINES], 1)[:, None]
        at = torch.arange(1, 5).expand(len(rows), 1, 4)
        there = torch.ones_like(rows, dtype=torch.bool)
        nll = decoder.answer_nll(bag(images), GRID, rows, there, at, there[..., 0])
        step.zero_grad()
        nll.mean().backward()
        step.step()
        schedule.step()


@torch.no_grad()
def iou(decoder, count=500):
    """Mean IoU of what is said, 0 of what is no box; and of the boxes in another order."""
    images, names, lines = composites(count, torch.Generator().manual_seed(99))
    patches, rows = bag(images), names[:, None]
    for _ in range(4):
        found = decoder(patches, GRID, rows, torch.ones_like(rows, dtype=torch.bool))
        rows = torch.cat([rows, decoder.language.logits(found[:, -1]).argmax(-1)[:, None]], 1)
    said = (rows[:, 1:] - LINES).float()
    is_box = (said[:, 2] > said[:, 0]) & (said[:, 3] > said[:, 1]) & (said.amin(1) >= 0)
    own = box_iou(said, lines.float()).diagonal().where(is_box, 0.0)
    random = box_iou(lines.float(), lines.roll(1, 0).float()).diagonal()
    return float(own.mean()), float(random.mean())


@pytest.mark.slow
@pytest.mark.rare
def test_it_brings_a_frozen_decoder_its_places_back_and_in_another_order_none():
    torch.manual_seed(0)
    language = PrefixLM(COLOURS + CELLS + 1, width=48, layers=2, num_heads=4)
    decoder = Decoder(Connector(32, 48, places=True), language)
    train(decoder, decoder.parameters(), steps=1000, seed=1, rate=3e-3)
    told, random = iou(decoder)
    decoder.requires_grad_(False)
    decoder.connector.places = False
    lost, _ = iou(decoder)
    frozen = {name: value.clone() for name, value in decoder.state_dict().items()}
    decoder.pin = PIN(GRID, 32)
    train(decoder, decoder.pin.parameters(), steps=400, seed=2, rate=1e-3)
    found, _ = iou(decoder)
    assert all(decoder.state_dict()[name].equal(value) for name, value in frozen.items())
    decoder.pin.source = decoder.pin.source[torch.randperm(SIDE**2)]
    shuffled, _ = iou(decoder)
    print(f"{told=:.3f} {lost=:.3f} {found=:.3f} {shuffled=:.3f} {random=:.3f}")
    assert told > 0.6
    assert found > max(2 * random, 0.6 * told)
    assert max(lost, shuffled) < 2 * random
