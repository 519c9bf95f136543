"""Every option that is parsed is wired: each of its values gives a tower that answers otherwise."""

import inspect
import itertools

import pytest
import torch
from torch import nn

from cloc.models.positions.absolute import ABSOLUTE, Kernel
from cloc.models.positions.encodings import RELATIVE, ROTARY, Positions, make_positions
from cloc.models.tower_build import make_tower
from tests.helpers.models import NATIVE, random_pixels

# kind -> option -> values beside its default
RELATIVE_OPTIONS = {
    "irpe": {
        "method": ["cross", "euclid", "quant"],
        "mode": ["bias"],
        "on": ["q", "v", "qk", "kv", "qkv"],
        "ratio": [1.0, 3.0],
        "shared_head": [False],
    },
    "shaw": {"reach": [1, 2]},
    "swin": {"grid": [[3, 5], [5, 3]]},
    "swin_v2": {"grid": [[3, 5], [5, 3]], "hidden": [8]},
}
ROTARY_OPTIONS = {
    "flattened": {"base": [100.0]},
    "axial": {"base": [10_000.0]},
    "mixed": {"base": [100.0]},
    "dinov3": {
        "base": [10.0],
        "normalize": ["max", "min"],
        "shift": [0.5],
        "jitter": [2.0],
        "rescale": [2.0],
    },
    "mrope": {
        "base": [100.0],
        "sections": [[4, 2, 2], [6, 1, 1]],
        "layout": ["chunked", "head_wise"],
    },
}
KINDS = {
    "absolute": {kind: [None] for kind in ABSOLUTE},
    "relative": {kind: [None] for kind in RELATIVE},
    "rotary": {kind: [None] for kind in ROTARY},
}
EVERY = [
    *(("relative", kind, o, v) for kind, own in RELATIVE_OPTIONS.items() for o, v in own.items()),
    *(("rotary", kind, o, v) for kind, own in ROTARY_OPTIONS.items() for o, v in own.items()),
    *(("rotary", kind, "zero_start", [True]) for kind in ROTARY_OPTIONS),
    ("absolute", "learned", "interpolation", ["bilinear"]),
    ("absolute", "learned", "antialias", [False]),
]


@torch.no_grad()
def answer(positions):
    """Of the same weights and, as far as they have one shape, tables, in training: two pictures
    that are not square, at another grid than the tower's own."""
    torch.manual_seed(0)
    tower = make_tower(NATIVE, positions=positions).train()
    for name, weight in tower.named_parameters():
        if ".attn.relative." in name or "in_proj_weight" in name:  # logits far from equal
            nn.init.normal_(weight, generator=torch.Generator().manual_seed(len(name)))
    torch.manual_seed(1)  # what training draws
    return tower.images(random_pixels(0, 2, size=(24, 64))).pooled


def differ(answers):
    """Each from each, by more than rounding."""
    pairs = itertools.combinations(answers.items(), 2)
    same = [(a, b) for (a, x), (b, y) in pairs if (x - y).abs().max() < 1e-5]
    assert not same


@pytest.mark.parametrize(
    ("where", "kind", "option", "values"), EVERY, ids=lambda x: x if isinstance(x, str) else ""
)
def test_every_value_of_an_option_changes_the_answer(where, kind, option, values):
    default = {where: {"kind": kind}}
    given = {str(v): {where: {"kind": kind, option: v}} for v in values}
    differ({"default": answer(default)} | {name: answer(own) for name, own in given.items()})


@pytest.mark.parametrize("where", KINDS)
def test_every_kind_answers_otherwise(where):
    answers = {kind: answer({where: {"kind": kind}}) for kind in KINDS[where]}
    differ(answers if where == "absolute" else {"none": answer({}), **answers})


def test_no_option_is_left_out():
    """One that is added has to say here which of its values differ."""
    for kinds, tried in ((RELATIVE, RELATIVE_OPTIONS), (ROTARY, ROTARY_OPTIONS)):
        assert set(kinds) == set(tried)
        for kind, make in kinds.items():
            known = inspect.signature(make).parameters.values()
            assert {p.name for p in known if p.kind is p.KEYWORD_ONLY} == set(tried[kind])
    absolute = {option for where, _, option, _ in EVERY if where == "absolute"}
    assert absolute == set(Kernel._fields)
    described = make_positions({"rotary": "axial"}, pretrained=False).described()
    assert set(described) == set(KINDS)
    assert set(described["rotary"]) - {"kind"} == {"zero_start"}
    assert set(Positions._fields) == {"kind", "kernel", "relative", "rotary", "zero_start"}
