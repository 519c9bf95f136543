"""Tiny models with a decoder, and batches of questions for them."""

import torch

from cloc.data.samples.asked import Asked, columns
from cloc.decoder.build import attach
from cloc.models.build import build_model
from tests.helpers.models import NATIVE, model_batch

SMALL = {"language": {"width": 32, "layers": 2, "num_heads": 2}}


def clip(seed=0):
    """Without any head."""
    torch.manual_seed(seed)
    return build_model({"config": NATIVE})


def answering(seed=0, **options):
    """Such a model with a decoder."""
    model = clip(seed)
    attach(model, {**SMALL, **options})
    return model


def asked_batch(model, *, seed=0):
    """Three pictures, the last one without a question."""
    batch = model_batch(model)
    rows = [Asked((49406, 320, 736), (533, 49407)), Asked((49406, 320), (736, 533, 49407)), None]
    count = len(batch.images)
    own = [rows[i % 3] for i in range(count)]
    return batch._replace(extra=columns([(one,) if one else () for one in own], slots=1))
