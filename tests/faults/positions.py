"""What each encoding of position can learn and what it cannot: the toys of left and right, and of
sizes that were never trained on.

python -m tests.faults.positions [NAME ...]     # all; one line of JSON

A flag that is parsed but not wired fails the first lines at once.
"""

import json
import sys
import time

import torch

from tests.helpers.position_toys import FOUR, accuracy, train

BLIND = {
    "none": {"absolute": "none"},
    **{
        f"irpe euclid {mode}": {
            "absolute": "none",
            "relative": {"kind": "irpe", "method": "euclid", "mode": mode},
        }
        for mode in ("bias", "contextual")
    },
}
DIRECTED = {
    "learned": {},
    "sincos": {"absolute": "sincos"},
    **{
        f"rotary {kind}": {"absolute": "none", "rotary": kind}
        for kind in ("flattened", "axial", "mixed", "dinov3", "mrope")
    },
    **{
        f"relative {kind}": {"absolute": "none", "relative": kind}
        for kind in ("shaw", "swin", "swin_v2")
    },
    **{
        f"irpe {method} {mode}": {
            "absolute": "none",
            "relative": {"kind": "irpe", "method": method, "mode": mode},
        }
        for method in ("cross", "product")
        for mode in ("bias", "contextual")
    },
    "learned + axial": {"rotary": "axial"},
    "learned + irpe": {"relative": "irpe"},
}
SIZES = {
    "flattened": {"absolute": "none", "rotary": "flattened"},
    "axial": {"absolute": "none", "rotary": "axial"},
    "product": {"absolute": "none", "relative": {"kind": "irpe", "mode": "contextual"}},
}
STEPS = {"learned": 1200, "relative swin": 1200, "relative swin_v2": 1200, "irpe cross bias": 1200}


def sided(name, positions):
    """Accuracy on left and right, with the patches permuted, and on mirrored pictures."""
    trained = train(positions, steps=STEPS.get(name, 600))
    views = ("original", "permuted", "mirrored")
    return {view: round(accuracy(trained, view=view), 3) for view in views}


def wrong_of(name, found):
    """What of the specification's lines is not held."""
    if name in BLIND:
        return [] if abs(found["original"] - 0.5) <= 0.03 else [f"{name}: it tells left from right"]
    lines = {
        "left and right": found["original"] >= 0.98,
        "permuted": found["permuted"] <= 0.6,
        "mirrored": found["mirrored"] >= 0.98,
    }
    return [f"{name}: {line} {found}" for line, holds in lines.items() if not holds]


def of_sizes():
    """Four captions, trained on 5 x 5: accuracy there and on larger grids."""
    found = {}
    for name, positions in SIZES.items():
        trained = train(positions, captions=FOUR, steps=1200)
        grids = ((5, 5), (5, 8), (8, 8), (10, 10))
        found[name] = {
            f"{r}x{c}": round(accuracy(trained, r, c, captions=FOUR), 3) for r, c in grids
        }
    wrong = []
    if found["axial"]["5x8"] - found["flattened"]["5x8"] < 0.3:
        wrong.append("5x8: axial is not above flattened by 0.3")
    if found["product"]["10x10"] < 0.95:
        wrong.append("10x10: product is below 0.95")
    return found, wrong


def run(names=()):
    """All accuracies, and what is wrong with them."""
    torch.set_num_threads(1)
    began, found, wrong = time.perf_counter(), {}, []
    for name, positions in {**BLIND, **DIRECTED}.items():
        if not names or name in names:
            found[name] = sided(name, positions)
            wrong += wrong_of(name, found[name])
            print(name, found[name], file=sys.stderr, flush=True)
    if not names or "sizes" in names:
        sizes, missed = of_sizes()
        found |= {f"sizes {name}": own for name, own in sizes.items()}
        wrong += missed
    seconds = round(time.perf_counter() - began)
    return {"what": "positions", "accuracy": found, "wrong": wrong, "seconds": seconds}


if __name__ == "__main__":
    result = run(sys.argv[1:])
    print(json.dumps(result))
    sys.exit(bool(result["wrong"]))
