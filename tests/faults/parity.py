"""Several ranks give the loss and the gradients of one process, for every loss through the model.

python -m tests.faults.parity     # 1, 2 and 4 ranks, 1, 2 and 4 pieces; one line of JSON

Each rank runs the real module around a tiny real model inside DDP, on its share of 16 images and
with a phrase table of its own. Errors are relative: the norm of the difference over the norm of
what one process finds on the whole batch, for each part of the model.
"""

import copy
import json
import sys
import tempfile
import time
from pathlib import Path

import torch
import torch.distributed as td
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from cloc.interfaces import RegionBatch
from cloc.losses.clipself import CLIPSelf
from cloc.losses.distill_image import DistillImage
from cloc.losses.grounding import Grounding
from cloc.losses.image_text import ImageText
from cloc.losses.image_text_sigmoid import ImageTextSigmoid
from cloc.losses.region_hard_negatives import RegionHardNegatives
from cloc.losses.region_text import RegionText
from cloc.models.build import build_model
from tests.helpers.fit import make_module
from tests.helpers.models import CLOC_PARTS, NATIVE, SIZE, random_pixels
from tests.helpers.ranks import run_ranks
from tests.helpers.rows import random_boxes, unit_rows

IMAGES, REGIONS, NEGATIVES, WORDS = 16, 3, 2, 64  # the last word ends a text
WORLDS, PIECES = (1, 2, 4), (1, 2, 4)
AT_MOST = {"float64": 1e-12, "float32": 1e-5}
PARTS = {
    "image tower": "tower.clip.visual.",
    "logit scale": "tower.clip.logit_scale",
    "logit bias": "tower.clip.logit_bias",
    "text tower": "tower.clip.",
    "prompter": "region_head.",
    "box head": "box_head.",
    "region scale": "region_scale.",
}


def make_losses(threshold):
    """name -> (losses by name, whether the regions have negatives)."""
    found = {
        "image_text": ({"image_text": ImageText()}, False),
        "image_text in chunks": ({"image_text": ImageText(chunk=3)}, False),
        "image_text_sigmoid": ({"image_text": ImageTextSigmoid()}, False),
        "image_text_sigmoid in chunks": ({"image_text": ImageTextSigmoid(chunk=3)}, False),
    }
    for conflict in ("cosine", "text", "none"):
        options = {"conflict": conflict, "chunk": 5}
        options |= {"threshold": threshold} if conflict == "cosine" else {}
        for negatives in (False, True):
            name = f"region_text {conflict}{' with negatives' if negatives else ''}"
            found[name] = ({"region_text": RegionText(**options)}, negatives)
    for kind in ("mse", "l1_giou"):
        for match in ("own", "nearest"):
            loss = Grounding(kind=kind, match=match)
            found[f"grounding {kind} {match}"] = ({"grounding": loss}, False)
    every = {"image_text": ImageText(), "region_text": RegionText(conflict="text")}
    found["all three"] = ({**every, "grounding": Grounding()}, True)
    tuning = {"distill_image": DistillImage(), "clipself": CLIPSelf()}
    tuning["region_hard_negatives"] = RegionHardNegatives()
    found |= {name: ({name: loss}, True) for name, loss in tuning.items()}
    return found


def make_layouts():
    """name -> (valid [16 3], captions [16]); of two and four ranks the later half may be empty."""
    counts = torch.tensor([3, 2, 0, 1, 3, 0, 0, 2, 1, 1, 3, 0, 2, 0, 0, 3])
    valid = torch.arange(REGIONS) < counts[:, None]
    captions = torch.arange(IMAGES) % 5 != 2
    first = torch.arange(IMAGES) < IMAGES // 2
    return {
        "ragged": (valid, captions),
        "empty ranks": (valid & first[:, None], captions & first),
        "nothing": (valid & False, captions & False),
    }


def make_model(dtype):
    """It gives the teacher's rows of the batch for those of a teacher of its own, and its bias to
    losses that need one: softmax losses refuse it."""
    config = copy.deepcopy(NATIVE)
    config["text_cfg"]["vocab_size"] = WORDS
    config["init_logit_bias"] = -3.0
    torch.manual_seed(0)
    model = build_model({"config": config}, **copy.deepcopy(CLOC_PARTS)).to(dtype)
    model.register_forward_hook(teach)
    model.gives_bias = False
    return model


def teach(model, given, out):
    rows = {name: x.to(out.image.dtype) for name, x in given[0].extra.items()}
    return out._replace(extra=rows, bias=out.bias if model.gives_bias else None)


def make_batch(valid, captions, *, negatives):
    """Of all ranks; regions share six phrases, three more are explicit negatives."""
    generator = torch.Generator().manual_seed(7)
    context = NATIVE["text_cfg"]["context_length"]

    def texts(count):
        rows = torch.randint(1, WORDS - 1, (count, context), generator=generator)
        ends = torch.randint(3, context, (count, 1), generator=generator)
        at = torch.arange(context)
        return rows.masked_fill(at > ends, 0).masked_fill(at == ends, WORDS - 1)

    index = torch.randint(0, 6, valid.shape, generator=generator)
    wrong = torch.randint(6, 9, (*valid.shape, NEGATIVES), generator=generator)
    there = torch.rand(wrong.shape, generator=generator) < 0.6
    return RegionBatch(
        images=random_pixels(0, IMAGES, SIZE),
        captions=texts(IMAGES) * captions[:, None],
        caption_valid=captions,
        boxes=random_boxes(1, IMAGES, REGIONS).float() * valid[..., None],
        valid=valid,
        phrases=texts(9),
        phrase_index=index * valid,
        negative_index=wrong.where(there & valid[..., None] & negatives, -1),
        keys=tuple(map(str, range(IMAGES))),
        extra={
            "teacher_image": unit_rows(2, IMAGES, NATIVE["embed_dim"]),
            "teacher_region": unit_rows(3, IMAGES, REGIONS, NATIVE["embed_dim"]),
        },
    )


def share(batch, rank, world):
    """A rank's images, with the phrases that they use in an order of the rank's own."""
    mine = {
        name: x.chunk(world)[rank]
        for name, x in batch._asdict().items()
        if name not in ("phrases", "keys", "extra")
    }
    mine["extra"] = {name: x.chunk(world)[rank] for name, x in batch.extra.items()}
    index, wrong = mine["phrase_index"], mine["negative_index"]
    used = torch.cat([index.flatten(), wrong[wrong >= 0]]).unique().roll(rank)
    place = torch.zeros(len(batch.phrases), dtype=torch.long)
    place[used] = torch.arange(len(used))
    mine["phrase_index"] = place[index] * mine["valid"]
    mine["negative_index"] = place[wrong.clamp(min=0)].where(wrong >= 0, -1)
    return batch._replace(**mine, phrases=batch.phrases[used])


class Step(nn.Module):
    """A forward that is a training step, as Lightning's DDP strategy makes it."""

    def __init__(self, model):
        super().__init__()
        self.module = make_module(model)  # of losses that `choose` replaces
        self.module.eval()
        self.module.log_dict = self.keep

    def keep(self, logs, **_):
        self.logs = logs

    def choose(self, losses, pieces):
        self.module.losses, self.module.weights = losses, dict.fromkeys(losses, 1.5)
        self.module.accumulate = pieces
        self.module.model.gives_bias = any("bias" in loss.needs for loss in losses.values())

    def forward(self, batch):
        return self.module.training_step(batch, 0)


def graded(step, run, batch, losses, pieces):
    """The loss, the gradient of each part as one vector, and the losses' logs."""
    step.choose(losses, pieces)
    step.zero_grad()
    value = run(batch)
    value.backward()
    parts = {part: [] for part in PARTS}
    for name, p in step.module.model.named_parameters():
        part = next(part for part, start in PARTS.items() if name.startswith(start))
        parts[part].append((torch.zeros_like(p) if p.grad is None else p.grad).flatten())
    logs = {k: v for k, v in step.logs.items() if "." in k}
    found = {"loss": value.detach()[None], **{k: torch.cat(v) for k, v in parts.items()}}
    if logs:
        found["logs"] = torch.stack([logs[k] for k in sorted(logs)]).to(value.dtype)
    return found


def cases(names, layouts, pieces, threshold, dtypes):
    """(dtype, name, batch, losses, pieces); only the ragged layout, in float64, runs in pieces, and
    float32 leaves out where nothing is valid, which is zero in any number type."""
    for dtype in dtypes:
        for name, (losses, negatives) in make_losses(threshold).items():
            for layout, tensors in make_layouts().items():
                if layout not in layouts or (names is not None and name not in names):
                    continue
                if (layout, dtype) == ("nothing", "float32"):
                    continue
                batch = make_batch(*tensors, negatives=negatives)
                for k in pieces if (layout, dtype) == ("ragged", "float64") else (1,):
                    yield dtype, f"{name}, {layout}", batch, losses, k


def check(rank, worlds, folder, options):
    """The largest world first, then the smaller ones side by side: a process starts slowly."""
    compare(rank, worlds[-1], folder, options)
    first = 0
    for world in worlds[:-1]:
        if first <= rank < first + world:
            regroup(folder / f"meet-{world}", rank - first, world)
            compare(rank - first, world, folder, options)
        first += world
    regroup(folder / "meet-again", rank, worlds[-1])


def regroup(file, rank, world):
    td.destroy_process_group()
    td.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=world)


def compare(rank, world, folder, options):
    """Writes the largest error of every loss and part that this rank finds."""
    errors, steps = {}, {}
    wanted = torch.load(folder / "whole", weights_only=True)
    for dtype, name, batch, losses, pieces in cases(**options):
        if dtype not in steps:
            step = Step(make_model(getattr(torch, dtype)))
            steps[dtype] = step, DistributedDataParallel(step, find_unused_parameters=True)
        found = graded(*steps[dtype], share(batch, rank, world), losses, pieces)
        for part, expected in wanted[f"{dtype} {name}"].items():
            key = f"{world}/{dtype}/{name.split(',')[0]}/{part}"
            errors[key] = max(errors.get(key, 0.0), error(found[part], expected))
    (folder / f"errors-{world}-{rank}").write_text(json.dumps(errors))


def error(found, expected):
    """Where nothing is expected anything at all is infinitely wrong."""
    difference, size = (found - expected).norm().item(), expected.norm().item()
    if not difference < float("inf"):
        return float("inf")
    return difference / size if size else float("inf") * difference if difference else 0.0


def median_cosine(model):
    """Between two cosines of phrases, so that rounding decides nothing."""
    phrases = make_batch(*make_layouts()["ragged"], negatives=True).phrases
    with torch.no_grad():
        rows = model.tower.texts(phrases)[:6]
    cosines = (rows @ rows.T)[torch.ones(6, 6).triu(1).bool()].sort().values
    return cosines[6:8].mean().item()


def run(worlds=WORLDS, *, names=None, layouts=None, pieces=PIECES, dtypes=tuple(AT_MOST)):
    """The largest errors of every part, and what was wrong by ranks, number type, loss and part."""
    began = time.perf_counter()
    options = {
        "names": names,
        "layouts": layouts or list(make_layouts()),
        "pieces": pieces,
        "threshold": median_cosine(make_model(torch.float64)),
        "dtypes": dtypes,
    }
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        torch.save(by_one_process(options), folder / "whole")
        run_ranks(check, worlds, folder, options, world=worlds[-1], timeout_s=900)
        for path in folder.glob("errors-*"):
            for key, value in json.loads(path.read_text()).items():
                found[key] = max(found.get(key, 0.0), value)
    largest = {}
    for key, value in found.items():
        _, dtype, _, part = key.split("/")
        parts = largest.setdefault(dtype, {})
        parts[part] = max(parts.get(part, 0.0), float(f"{value:.2g}"))
    return {
        "what": "parity",
        "cases": len(list(cases(**options))) * len(worlds),
        "largest": largest,
        "wrong": [key for key, value in found.items() if value > AT_MOST[key.split("/")[1]]],
        "seconds": round(time.perf_counter() - began),
    }


def by_one_process(options):
    """What the whole batch gives at once, without DDP."""
    steps = {dtype: Step(make_model(getattr(torch, dtype))) for dtype in options["dtypes"]}
    return {
        f"{dtype} {name}": graded(steps[dtype], steps[dtype], batch, losses, 1)
        for dtype, name, batch, losses, k in cases(**options)
        if k == 1
    }


if __name__ == "__main__":
    from tests.faults import parity  # the ranks find its functions by this name

    result = parity.run()
    print(json.dumps(result))
    sys.exit(bool(result["wrong"]))
