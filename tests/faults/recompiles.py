"""Compiled parts over ragged batches: graphs made, graphs made again, distance from eager code.

python -m tests.faults.recompiles [BACKEND [TOWER]]     # aot_eager; inductor needs a C++ compiler
"""

import json
import sys
import warnings

import torch
from torch._dynamo.testing import CompileCounterWithBackend

from cloc.losses.grounding import Grounding
from cloc.losses.image_text import ImageText
from cloc.losses.region_text import RegionText
from cloc.models.compiling import compile_parts
from tests.helpers.models import CONFIGS, CONTEXT, make_model, model_batch

CASES = [("native", True), ("siglip", False)]  # tower, recompute
RAGGED = ((1, 1, 1), (1, 1, 0), (0, 0, 0))
EMPTY = ((0, 0, 0),) * 3


def run(backend="aot_eager", tower=None):
    """A row per case, of one tower or of all; "wrong" lists those that recompile or differ."""
    warnings.simplefilter("ignore")
    rows = [measure(*case, backend) for case in CASES if tower in (None, case[0])]
    wrong = [row for row in rows if row["recompiles"] or row["difference"] > 1e-4]
    return {"what": "recompiles", "backend": backend, "rows": rows, "wrong": wrong}


def measure(kind, recompute, backend):
    torch._dynamo.reset()
    eager, compiled = (make_model(CONFIGS[kind]).train() for _ in range(2))
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
        "tower": kind,
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
