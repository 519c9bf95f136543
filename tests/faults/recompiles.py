"""Compiled parts over ragged batches: graphs made, graphs made again, distance from eager code.

python -m tests.faults.recompiles [BACKEND [CASE]]     # aot_eager; inductor needs a C++ compiler
"""

import json
import sys
import warnings

import torch
from torch._dynamo.testing import CompileCounterWithBackend

from cloc.losses.grounding import Grounding
from cloc.losses.image_text import ImageText
from cloc.losses.region_text import RegionText
from cloc.models.build import build_model
from cloc.models.compiling import compile_parts
from tests.helpers.models import CLOC_PARTS, CONTEXT, NATIVE, SIGLIP, model_batch

IRPE_MIXED = {"relative": {"kind": "irpe", "on": "qk"}, "rotary": "mixed"}
AXIAL = {"rotary": {"kind": "axial", "zero_start": True}}
CASES = {  # configuration, encodings of position, recompute
    "native": (NATIVE, None, True),
    "siglip": (SIGLIP, None, False),
    "irpe mixed": (NATIVE, IRPE_MIXED, False),
    "axial": (NATIVE, AXIAL, True),
}
RAGGED = ((1, 1, 1), (1, 1, 0), (0, 0, 0))
EMPTY = ((0, 0, 0),) * 3


def run(backend="aot_eager", case=None):
    """A row per case, of one or of all; "wrong" lists those that recompile or differ."""
    warnings.simplefilter("ignore")
    rows = [measure(name, backend) for name in CASES if case in (None, name)]
    wrong = [row for row in rows if row["recompiles"] or row["difference"] > 1e-4]
    return {"what": "recompiles", "backend": backend, "rows": rows, "wrong": wrong}


def made(config, positions):
    """The weights of a seed; what begins at zero is moved."""
    torch.manual_seed(0)
    model = build_model({"config": config, "positions": positions}, **CLOC_PARTS).train()
    for name, weight in model.named_parameters():
        if ".attn.relative." in name or ".attn.gate" in name:
            torch.nn.init.normal_(weight, std=0.2)
    return model


def measure(name, backend):
    torch._dynamo.reset()
    config, positions, recompute = CASES[name]
    eager, compiled = (made(config, positions) for _ in range(2))
    keys = list(compiled.state_dict())
    for model in (eager, compiled):
        model.tower.drop_patches(0.5)
    if recompute:
        compiled.tower.recompute_blocks()
    counter = CompileCounterWithBackend(backend)
    compile_parts(compiled, backend=counter)
    assert counter.frame_count == 0  # not before the first step
    differences = [difference(eager, compiled, ragged(eager, 8, RAGGED))]
    graphs = counter.frame_count
    for num_phrases, valid in ((16, RAGGED), (24, RAGGED), (8, EMPTY), (64, RAGGED)):
        differences.append(difference(eager, compiled, ragged(eager, num_phrases, valid)))
    assert list(compiled.state_dict()) == keys
    return {
        "case": name,
        "recompute": recompute,
        "graphs": graphs,
        "recompiles": counter.frame_count - graphs,
        "difference": max(differences),
    }


def ragged(model, num_phrases, valid):
    """A batch with so many rows of phrases, as the loader's buckets give them."""
    length = 9 if model.tower.short_text_exact else CONTEXT
    phrases = model.tower.tokenizer()([f"{i} stars" for i in range(num_phrases)], length)
    return model_batch(model, valid=valid)._replace(phrases=phrases)


def difference(eager, compiled, batch):
    """The largest of any gradient, as a share of the largest gradient."""
    ours, theirs = gradients(compiled, batch), gradients(eager, batch)
    size = max(grad.abs().max() for grad in theirs)
    return max((a - b).abs().max() / size for a, b in zip(ours, theirs, strict=True)).item()


def gradients(model, batch):
    torch.manual_seed(0)  # the same patches are dropped
    model.zero_grad()
    out = model(batch)
    terms = [f(out, batch) for f in (ImageText(), RegionText(conflict="none"), Grounding())]
    sum(term.value for term in terms).backward()
    return [p.grad for p in model.parameters() if p.grad is not None]


if __name__ == "__main__":
    found = run(*sys.argv[1:])
    print(json.dumps(found))
    sys.exit(bool(found["wrong"]))
