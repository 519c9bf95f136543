"""A model's double without weights, on the meta device: to count what it costs and trace what a
loss reads."""

import torch

from cloc.decoder.build import attach_as
from cloc.decoder.started import KEY
from cloc.models.build import build_model
from cloc.models.cloc import CLOC
from cloc.models.teacher import Teacher


def shadow(model: CLOC) -> CLOC:
    """Built anew from the description: it trains, asks and is taught what `model` is."""
    with torch.device("meta"):
        described = {key: x for key, x in model.description.items() if key != KEY}
        double = build_model(**described)
        attach_as(double, model.description)
        double.train()
        if model.teacher is not None:  # the tower before any LoRA
            plain = build_model(**{**described, "lora": None})
            double.teacher = Teacher(plain.tower, model.teacher.fields)
    double.reads_captions = model.reads_captions
    # what torch.compile puts into names
    trains = {n.replace("_orig_mod.", ""): p.requires_grad for n, p in model.named_parameters()}
    for name, parameter in double.named_parameters():
        parameter.requires_grad_(trains[name])
    return double
