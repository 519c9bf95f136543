"""A task that only a sense of place solves: a red and a green cell on a grid of patches, and which
of some captions is true of them. Trained through the real towers and their contrastive scores.

One recipe for every encoding, CLIP's own beta2 of 0.98 in it: with torch's 0.999 the large first
gradients are remembered for so long that some take four times as many steps. The text tower keeps
its random weights. Trained at the image tower's rate it makes one vector of captions which that
cannot tell apart yet (their cosine is 1.000 after 50 steps), and from there no gradient comes. The
scale of the scores is fixed, and weights do not decay: both would say when a task is learned well
enough, and larger grids ask for more than the trained one.
"""

import torch
import torch.nn.functional as F

from cloc.models.tower_build import make_tower

SIDED = ("red left of green", "red right of green")
FOUR = (*SIDED, "red above green", "red below green")
GRID, PATCH, WIDTH = 5, 4, 32
RED, GREEN, GREY = ([255, 0, 0], [0, 255, 0], 128)
STEPS, BATCH, RATE, BETAS, SCALE = 600, 64, 3e-3, (0.9, 0.98), 8.0


def tower_with(positions, *, heads=2, seed=0):
    """Two layers of 32 channels, its patches averaged: the class token's own view comes late."""
    torch.manual_seed(seed)
    vision = {"image_size": GRID * PATCH, "patch_size": PATCH, "width": WIDTH, "layers": 2}
    text = {"context_length": 10, "vocab_size": 49408, "width": WIDTH, "heads": 2, "layers": 1}
    vision |= {"head_width": WIDTH // heads, "pool_type": "avg", "final_ln_after_pool": False}
    config = {"embed_dim": WIDTH, "vision_cfg": vision, "text_cfg": text}
    tower = make_tower(config, positions=positions)
    for name, weight in tower.clip.named_parameters():
        weight.requires_grad_(name.startswith("visual."))
    return tower


def draw(count, rows, columns, captions, generator):
    """Pixels, uint8 [n, 3, h, w], and the number of the true caption. Where there are four, the two
    cells are at least twice as far apart along the axis that is spoken of as along the other: for
    less, what is 4 or more away along both would be one bucket of iRPE's, whichever is the
    larger, and a table of offsets right in 0.90 of the pairs of a 10 x 10 grid at best."""

    def cells(n):
        sides = torch.tensor([rows, columns])
        return (torch.rand(n, 2, generator=generator) * sides).long()

    red, green = cells(count), cells(count)
    while True:
        apart = red - green
        unclear = apart[:, 1] == 0
        if len(captions) > 2:
            near, far = apart.abs().sort(1).values.unbind(1)
            unclear = (far == 0) | (far < 2 * near)
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


def train(positions, *, captions=SIDED, steps=STEPS, heads=2, seed=0):
    """A tower that was shown `steps` batches of a 5 x 5 grid, and the captions' unit vectors."""
    tower = tower_with(positions, heads=heads, seed=seed)
    tokens = tower.tokenizer()(list(captions), tower.context_length)
    texts = tower.texts(tokens).detach()
    generator = torch.Generator().manual_seed(seed + 1)
    learned = [p for p in tower.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=RATE, betas=BETAS, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, RATE, total_steps=steps, pct_start=0.1, cycle_momentum=False
    )
    tower.train()
    for _ in range(steps):
        pixels, answer = draw(BATCH, GRID, GRID, captions, generator)
        scores = SCALE * tower.images(pixels).pooled @ texts.T
        optimizer.zero_grad()
        F.cross_entropy(scores, answer).backward()
        optimizer.step()
        schedule.step()
    return tower.eval(), texts


@torch.no_grad()
def accuracy(trained, rows=GRID, columns=GRID, *, captions=SIDED, view="original", count=2000):
    """Share of new pictures whose true caption is nearest: `permuted` with their patches in random
    order, `mirrored` by the answer of the mirrored picture."""
    tower, texts = trained
    pixels, answer = draw(count, rows, columns, captions, torch.Generator().manual_seed(99))
    if view == "permuted":
        pixels = permuted(pixels)
    if view == "mirrored":
        pixels, answer = pixels.flip(3), 1 - answer
    scores = tower.images(pixels).pooled @ texts.T
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
