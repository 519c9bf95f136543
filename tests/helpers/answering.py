"""Tiny models with a decoder, and batches of questions for them."""

import copy

import torch

from cloc.data.samples.asked import Asked, columns
from cloc.decoder.build import Trained, attach
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


def learned(model):
    """What a run that trained the decoder of `model` leaves."""
    state = {k: v.clone() for k, v in model.decoder.state_dict().items()}
    return Trained(copy.deepcopy(model.description["decoder"]), state)


def repaired(model, seed=0, **repairs):
    """A model of the same seed that goes on from the decoder of `model`."""
    found = clip(seed)
    attach(found, repairs, start=learned(model))
    return found


def asked_batch(model, *, seed=0):
    """Three pictures: the first one's question grounds, the last one has none."""
    batch = model_batch(model)
    first = Asked((49406, 320, 736), (533, 49407), grounds=True)
    rows = [first, Asked((49406, 320), (736, 533, 49407)), None]
    count = len(batch.images)
    own = [rows[i % 3] for i in range(count)]
    return batch._replace(extra=columns([(one,) if one else () for one in own], slots=1))
