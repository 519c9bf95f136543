"""What the losses cost: memory that stays for backward, rounding, collectives."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F

from cloc.losses.clipself import CLIPSelf
from cloc.losses.distill_image import DistillImage
from cloc.losses.grounding import Grounding
from cloc.losses.image_text import ImageText, image_text_loss
from cloc.losses.image_text_sigmoid import image_text_sigmoid_loss
from cloc.losses.region_hard_negatives import RegionHardNegatives
from cloc.losses.region_text import RegionText, region_text_loss
from tests.helpers.collectives import Collectives
from tests.helpers.memory import held_bytes
from tests.helpers.models import make_model, model_batch
from tests.helpers.ranks import run_ranks

MIB = 2**20


def make_pairs(n, d):
    """Float32 unit vectors of a model that has learnt nothing yet."""
    rows = torch.randn(2, n, d, generator=torch.Generator().manual_seed(0))
    return [F.normalize(x, dim=-1).requires_grad_() for x in rows], torch.ones(n).bool()


def held(loss, *, n, d=512, **options):
    """Bytes that the loss holds until backward, beside what it was given."""
    rows, valid = make_pairs(n, d)
    scalars = [torch.tensor(x, requires_grad=True) for x in (50.0, -10.0)]
    scalars = scalars if loss is image_text_sigmoid_loss else scalars[:1]
    return held_bytes(lambda: loss(*rows, valid, *scalars, **options))


def test_of_4096_regions_at_most_20_mib_stay_for_backward():
    """Their features with padding wiped; all similarities would be 64 MiB a direction."""
    assert 8 * MIB < held(region_text_loss, n=4096, chunk=256) <= 20 * MIB


@pytest.mark.parametrize("loss", [region_text_loss, image_text_loss, image_text_sigmoid_loss])
def test_with_a_chunk_only_features_stay_for_backward(loss):
    n, d = 1024, 64
    at_most = 2.5 * n * d * 4 + 1.2 * 64 * n * 4
    assert held(loss, n=n, d=d, chunk=64) <= at_most
    if loss is not region_text_loss:  # which is never without
        assert held(loss, n=n, d=d) > 5 * at_most


def gradients(rows, run):
    rows = [x.detach().requires_grad_() for x in rows]
    return torch.cat([x.double() for x in torch.autograd.grad(run(*rows), rows)])


LOSSES = {
    "image_text": image_text_loss,
    "image_text in chunks": partial(image_text_loss, chunk=64),
    "image_text_sigmoid": lambda a, b, valid, scale: image_text_sigmoid_loss(
        a, b, valid, scale, -scale / 2
    ),
    "region_text": lambda *given: region_text_loss(*given).value,
}


def error(found, exact):
    return ((found - exact).norm() / exact.norm()).item()


@pytest.mark.parametrize("name", LOSSES)
def test_under_autocast_half_features_cost_at_most_7e_3_of_the_gradient_at_scale_100(name):
    """That is the rounding of the features: the similarities, in float32, add under 1e-5."""
    rows, valid = make_pairs(512, 512)
    rounded = [x.bfloat16().float() for x in rows]

    def loss(a, b):
        return LOSSES[name](a, b, valid, torch.tensor(100.0, dtype=a.dtype))

    def half(a, b):
        with torch.autocast("cpu", torch.bfloat16):
            return LOSSES[name](a.bfloat16(), b.bfloat16(), valid, torch.tensor(100.0))

    def in_float32(a, b):
        with torch.autocast("cpu", torch.bfloat16):
            return loss(a, b)

    exact = gradients([x.double() for x in rows], loss)
    assert error(gradients(rows, half), exact) <= 7e-3
    exact = gradients([x.double() for x in rounded], loss)
    assert error(gradients(rounded, in_float32), exact) < 1e-5
    if name == "image_text":  # what half precision in the similarities would cost
        assert error(gradients(rounded, in_half), exact) > 4e-3


def in_half(a, b):
    logits = (100 * a.bfloat16() @ b.bfloat16().T).float()
    target = torch.arange(len(a))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def _check_collectives(rank):
    model = make_model()
    batch = model_batch(model)
    out = model(batch)
    teacher = {"teacher_image": out.image.detach(), "teacher_region": out.region.detach()}
    out = out._replace(extra=teacher)
    losses = {"image_text": (ImageText(), 2), "region_text": (RegionText(), 2)}
    sums = Grounding(), RegionHardNegatives(), DistillImage(), CLIPSelf()
    for loss, forward in (*losses.values(), *((loss, 1) for loss in sums)):
        with Collectives() as count:
            value = loss(out, batch).value
        assert count.names == ["all_gather", "all_reduce"][-forward:]
        rows = batch.valid.numel() if "region" in loss.needs else len(batch.images)
        kept = model.tower.dim * 2 * 4 + 1 + 16  # two vectors, valid, the numbers of words and box
        assert count.bytes <= rows * kept * (forward - 1) + 16
        with Collectives() as count:
            value.backward(retain_graph=True)
        assert sorted(count.names) == ["all_reduce", "reduce_scatter"][:forward]


@pytest.mark.dist
def test_a_step_makes_five_small_collectives_forward_and_five_backward():
    """One gather of a rank's own rows for each contrastive loss of the three of CLOC, one sum for
    each of them and of the others."""
    run_ranks(_check_collectives)
