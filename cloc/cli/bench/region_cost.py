"""What localization costs: FLOPs and time of a CLOC step beside those of its CLIP twin.

Three forms of one model: `cloc` reads at the prompt tokens and encodes each distinct phrase once at
a short context; `literal` is the paper's text taken literally, a full pass of the Prompter per
prompt and every phrase of every region at the full context; `clip` is the twin.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from omegaconf import DictConfig
from torch._subclasses.fake_tensor import FakeTensorMode

from cloc.cli.bench.options import NO_DATA, whole_number
from cloc.cli.bench.step import circumstances, clip_twin, in_turns, make_step, parts_of, spread
from cloc.cli.build.parts import make_module
from cloc.cli.build.step_cost import cost_of
from cloc.cli.config.compose import plain
from cloc.errors import UserError
from cloc.interfaces import Embeddings, RegionBatch
from cloc.models.build import build_model
from cloc.models.cloc import CLOC
from cloc.training.flops import model_flops, shapes

SHORT = 16  # tokens of a phrase
REGIONS = 4
COUNTED = 256  # images of a batch whose losses are counted
SAMPLED = 256  # images of a batch whose phrases are counted: one rank's


class Form(NamedTuple):
    """One way to train: its config, and the length at which it reads phrases."""

    cfg: DictConfig
    region_context: int
    model: CLOC  # on the meta device


def tax(options: Mapping[str, str], cfg: DictConfig, *, repeat: int) -> dict[str, Any]:
    """GFLOP of an image and images per second of each form, and their ratios to the twin.

    The worst case, every region a phrase of its own, is always shown; where the command names
    shards, also what their batches have of distinct phrases. `images` is the batch that is timed,
    all phrases distinct; `repeat=0` only counts. The losses' own FLOPs, which grow with the batch,
    are counted for the whole `batch_size` and shown apart.
    """
    found = forms(cfg)
    real = None if cfg.data.train == NO_DATA else phrases_per_image(cfg)
    gflop = counted(found, real)
    twin = gflop["clip"]["all_distinct"]
    over = {name: {k: v / twin for k, v in values.items()} for name, values in gflop.items()}
    loss = {name: loss_flops(form, cfg.batch_size) / 1e9 for name, form in found.items()}
    answer = {
        "gflop_per_image": _rounded(gflop),
        "flops_over_clip": _rounded(over),
        "regions_per_image": REGIONS,
        "phrases_per_image": _rounded(_phrases("cloc", real)),
        "tokens_of_a_phrase": {name: form.region_context for name, form in found.items()},
        "loss_gflop_per_image": _rounded(loss),
        "loss_batch_size": cfg.batch_size,
        "with_losses_over_clip": _rounded(
            {
                name: (gflop[name]["all_distinct"] + loss[name]) / (twin + loss["clip"])
                for name in found
            }
        ),
    }
    images = whole_number(options, "images", 8)
    return answer | (timed(found, repeat=repeat, images=images) if repeat else {})


def counted(found: Mapping[str, Form], real: float | None) -> dict[str, dict[str, float]]:
    """GFLOP of an image's forward and backward, losses left out, by how many phrases it has."""
    gflop = {}
    for name, form in found.items():
        cost = cost_of(form.model, regions=REGIONS, region_context=form.region_context)
        gflop[name] = {
            case: (cost.per_image + phrases * cost.per_phrase) / 1e9
            for case, phrases in _phrases(name, real).items()
        }
    return gflop


def forms(cfg: DictConfig) -> dict[str, Form]:
    """`cloc`, `literal` and `clip` of an experiment with a Prompter."""
    if (cfg.model.get("region_head") or {}).get("kind") != "prompter":
        raise UserError(
            f"experiment {cfg.name} has no Prompter, so nothing to tax; choose one with "
            "model.region_head.kind=prompter, such as cloc_paper_vit_b16"
        )
    cfg = cfg.copy()
    cfg.accumulate = 1  # pieces cost one forward more, whatever the form
    ours, literal = cfg.copy(), cfg.copy()
    ours.model.region_head.pool, literal.model.region_head.pool = "prompt", "tokens"
    made = {}
    for name, form in {"cloc": ours, "literal": literal, "clip": clip_twin(cfg)}.items():
        with torch.device("meta"):
            model = build_model(**plain(form.model)).train()
        tower = model.tower
        short = name == "cloc" and tower.short_text_exact
        length = min(SHORT, tower.context_length) if short else tower.context_length
        made[name] = Form(form, length, model)
    return made


def phrases_per_image(cfg: DictConfig, *, steps: int = 10) -> float:
    """Distinct phrases, negatives among them, over the images of batches of the data."""
    cfg = cfg.copy()
    cfg.batch_size = SAMPLED
    stream: Iterator[RegionBatch] = iter(parts_of(cfg, steps=steps).data.train_dataloader())
    # the table is padded with rows of zeros
    found = [(int(batch.phrases.any(1).sum()), len(batch.images)) for batch in stream]
    return sum(u for u, _ in found) / sum(b for _, b in found)


def loss_flops(form: Form, batch_size: int) -> float:
    """Per image, of a batch of this many images over all ranks.

    All products are of rows with columns, so an image's grow with the batch: counted on a part.
    """
    losses = make_module(form.cfg, form.model).losses
    dim, asked = form.model.tower.dim, form.model.region_head is not None

    class Losses(torch.nn.Module):
        """The losses' values instead of embeddings."""

        def forward(self, batch: RegionBatch) -> Any:
            out = _embeddings(batch, dim, regions=asked)
            return [loss(out, batch).value for loss in losses.values()]

    part = min(batch_size, COUNTED)
    shapes = shapes_of(form, part)
    with FakeTensorMode():  # the losses turn autocast off, which the meta device does not know
        fields = shapes._asdict().items()
        like: dict[str, Any] = {
            k: torch.empty(v.shape, dtype=v.dtype) for k, v in fields if torch.is_tensor(v)
        }
        return model_flops(Losses(), shapes._replace(**like)) / part * batch_size / part


def timed(found: Mapping[str, Form], *, repeat: int, images: int) -> dict[str, Any]:
    """Whole steps in turns, each form with a random batch of its own shapes."""
    runs = {
        name: partial(make_step(form.cfg), filled(shapes_of(form, images)))
        for name, form in found.items()
    }
    times = in_turns(runs, repeat)
    ratios = {
        name: spread([a / b for a, b in zip(times[name], times["clip"], strict=True)])
        for name in ("cloc", "literal")
    }
    return {
        "images_per_s": {n: spread([images / t for t in taken]) for n, taken in times.items()},
        "time_over_clip": ratios,
        **circumstances(found["clip"].cfg, images),
    }


def _phrases(name: str, real: float | None) -> dict[str, float]:
    """Phrases of an image that are encoded; only `cloc` encodes a repeated one once."""
    worst = {"all_distinct": float(REGIONS)}
    return worst | ({"of_the_data": real} if real is not None and name == "cloc" else {})


def shapes_of(form: Form, images: int) -> RegionBatch:
    return shapes(
        images=images,
        regions=REGIONS,
        phrases=images * REGIONS,
        image_size=form.model.tower.image_size,
        context=form.model.tower.context_length,
        region_context=form.region_context,
    )


def _embeddings(batch: RegionBatch, dim: int, *, regions: bool) -> Embeddings:
    """Leaves in the shapes a model would give."""
    images, count = batch.valid.shape

    def leaf(*shape: int) -> torch.Tensor:
        return torch.empty(shape, requires_grad=True)

    return Embeddings(
        image=leaf(images, dim),
        caption=leaf(images, dim),
        scale=leaf(),
        bias=None,
        phrase=leaf(len(batch.phrases), dim) if regions else None,
        region=leaf(images, count, dim) if regions else None,
        region_scale=leaf() if regions else None,
        predicted_boxes=leaf(images, count, 4) if regions else None,
        extra={},
    )


def filled(batch: RegionBatch) -> RegionBatch:
    """Random pixels, tokens and boxes in the shapes of `batch`; every region valid and distinct."""
    generator = torch.Generator().manual_seed(0)

    def ids(like: torch.Tensor) -> torch.Tensor:
        return torch.randint(1, 1000, like.shape, generator=generator)

    corners = torch.rand(*batch.valid.shape, 2, 2, generator=generator).sort(2).values
    return batch._replace(
        images=torch.randint(0, 256, batch.images.shape, generator=generator, dtype=torch.uint8),
        captions=ids(batch.captions),
        caption_valid=torch.ones(len(batch.images), dtype=torch.bool),
        boxes=corners.flatten(2),
        valid=torch.ones(batch.valid.shape, dtype=torch.bool),
        phrases=ids(batch.phrases),
        phrase_index=torch.arange(batch.valid.numel()).view(batch.valid.shape) % len(batch.phrases),
        negative_index=torch.zeros(batch.negative_index.shape, dtype=torch.long),
    )


def _rounded(values: Any) -> Any:
    if isinstance(values, Mapping):
        return {name: _rounded(value) for name, value in values.items()}
    return float(f"{values:.4g}")
