"""A task that only a sense of place solves: a red and a green cell on a grid of patches, and which
of some captions is true of them. Trained through the real towers and their contrastive scores."""

import torch
import torch.nn.functional as F

from cloc.models.tower_build import make_tower

SIDED = ("red left of green", "red right of green")
FOUR = (*SIDED, "red above green", "red below green")
PATCH, WIDTH = 4, 32
RED, GREEN, GREY = ([255, 0, 0], [0, 255, 0], 128)


def tower_with(positions, *, grid=5, seed=0):
    """Two layers of 32 channels, its patches averaged: the class token's own view comes late."""
    torch.manual_seed(seed)
    vision = {"image_size": grid * PATCH, "patch_size": PATCH, "width": WIDTH, "layers": 2}
    text = {"context_length": 10, "vocab_size": 49408, "width": WIDTH, "heads": 2, "layers": 1}
    vision |= {"head_width": 16, "pool_type": "avg"}
    config = {"embed_dim": WIDTH, "vision_cfg": vision, "text_cfg": text}
    return make_tower(config, positions=positions)


def draw(count, rows, columns, captions, generator):
    """Pixels, uint8 [n, 3, h, w], and the number of the true caption. Where there are four, the two
    cells are further apart along the axis that is spoken of."""

    def cells(n):
        sides = torch.tensor([rows, columns])
        return (torch.rand(n, 2, generator=generator) * sides).long()

    red, green = cells(count), cells(count)
    while True:
        apart = red - green
        unclear = apart[:, 1] == 0
        if len(captions) > 2:
            unclear = apart[:, 0].abs() == apart[:, 1].abs()
        if not unclear.any():
            break
        green[unclear] = cells(int(unclear.sum()))
    sided = (apart[:, 1] > 0).long()
    if len(captions) > 2:
        sided = torch.where(
            apart[:, 1].abs() > apart[:, 0].abs(), sided, 2 + (apart[:, 0] > 0).long()
        )
    pixels = torch.full((count, 3, rows, columns), GREY, dtype=torch.uint8)
    every = torch.arange(count)
    for cell, colour in ((red, RED), (green, GREEN)):
        pixels[every, :, cell[:, 0], cell[:, 1]] = torch.tensor(colour, dtype=torch.uint8)
    return pixels.repeat_interleave(PATCH, 2).repeat_interleave(PATCH, 3), sided


def train(positions, *, captions=SIDED, steps=600, lr=3e-3, batch=64, seed=0):
    """A tower that was shown `steps` batches of a 5 x 5 grid, and the tokens of the captions."""
    tower = tower_with(positions, seed=seed)
    tokens = tower.tokenizer()(list(captions), tower.context_length)
    generator = torch.Generator().manual_seed(seed + 1)
    learned = [p for p in tower.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps, pct_start=0.1)
    tower.train()
    for _ in range(steps):
        pixels, answer = draw(batch, 5, 5, captions, generator)
        scores = 20 * tower.images(pixels).pooled @ tower.texts(tokens).T
        optimizer.zero_grad()
        F.cross_entropy(scores, answer).backward()
        optimizer.step()
        schedule.step()
    return tower.eval(), tokens


@torch.no_grad()
def accuracy(trained, rows=5, columns=5, *, captions=SIDED, view="original", count=2000):
    """Share of new pictures whose true caption is nearest: `permuted` with their patches in random
    order, `mirrored` by the answer of the mirrored picture."""
    tower, tokens = trained
    pixels, answer = draw(count, rows, columns, captions, torch.Generator().manual_seed(99))
    if view == "permuted":
        pixels = permuted(pixels)
    if view == "mirrored":
        pixels, answer = pixels.flip(3), 1 - answer
    scores = tower.images(pixels).pooled @ tower.texts(tokens).T
    return (scores.argmax(1) == answer).double().mean().item()


def permuted(pixels):
    """Every picture with its patches in an order of its own."""
    n, _, height, width = pixels.shape
    rows, columns = height // PATCH, width // PATCH
    cells = pixels.view(n, 3, rows, PATCH, columns, PATCH).permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
    generator = torch.Generator().manual_seed(3)
    order = torch.rand(n, rows * columns, generator=generator).argsort(1)
    cells = cells.gather(1, order[:, :, None, None, None].expand_as(cells))
    cells = cells.unflatten(1, (rows, columns)).permute(0, 3, 1, 4, 2, 5)
    return cells.reshape(n, 3, height, width)
