"""Encodings inside the real tower: every path has them, and none is changed by one that begins at
nothing."""

import copy
from functools import partial

import pytest
import torch
from torch import nn

from cloc.models.positions.attention import PositionedAttention
from cloc.models.positions.place import Place
from cloc.models.start import Start
from cloc.models.tower_build import make_tower
from cloc.models.values import value_patches
from tests.helpers.models import NATIVE, random_pixels

RELATIVE = [
    {"kind": "shaw"},
    {"kind": "swin"},
    {"kind": "swin_v2", "hidden": 8},
    {"kind": "irpe"},
    {"kind": "irpe", "on": "qkv", "method": "cross"},
    {"kind": "irpe", "on": "v"},
    {"kind": "irpe", "mode": "bias", "method": "euclid"},
]
ROTARY = [{"kind": k} for k in ("flattened", "axial", "mixed", "dinov3", "mrope")]
EVERY = [
    *({"relative": options} for options in RELATIVE),
    *({"rotary": options} for options in ROTARY),
    {"absolute": {"kind": "none"}, "relative": {"kind": "irpe"}, "rotary": {"kind": "mixed"}},
    {"absolute": {"kind": "sincos"}, "rotary": {"kind": "axial"}},
]


def named(options):
    return "+".join(f"{k}:{v['kind']}" for k, v in options.items())


def tower_with(options, *, moved=True, seed=0):
    """Its weights at random; with `moved` also what encodings learn, which begins at zero."""
    torch.manual_seed(seed)
    tower = make_tower(NATIVE, positions=options)
    if moved:
        for name, weight in tower.named_parameters():
            if ".attn.relative." in name or ".attn.gate" in name:
                nn.init.normal_(weight, std=0.5)
    return tower.eval()


@pytest.mark.parametrize(
    "options",
    [
        *({"relative": r} for r in RELATIVE),
        *({"rotary": {**r, "zero_start": True}} for r in ROTARY),
    ],
    ids=named,
)
@torch.no_grad()
def test_a_trained_clip_is_unchanged_at_step_0(options):
    """To 1e-6, the pooled vector and every token; rotations as null has it for a start."""
    plain = tower_with({}, moved=False)
    start = Start(NATIVE, plain.clip.state_dict(), None, None, None)
    tower = make_tower(start=start, positions=options).eval()
    pixels = random_pixels(0, 3)
    for found, wanted in zip(tower.images(pixels)[:2], plain.images(pixels)[:2], strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("options", EVERY, ids=named)
@torch.no_grad()
def test_a_parsed_option_changes_the_answer(options):
    """One that is not wired would not."""
    tower, plain = tower_with(options), tower_with({})
    own = tower.clip.state_dict()
    shared = {k: v for k, v in plain.clip.state_dict().items() if k in own}
    tower.clip.load_state_dict({**own, **shared})
    pixels = random_pixels(0, 2)
    assert (tower.images(pixels).pooled - plain.images(pixels).pooled).abs().max() > 1e-3


@pytest.mark.parametrize(
    "options", [*({"relative": r} for r in RELATIVE), *({"rotary": r} for r in ROTARY)], ids=named
)
@torch.no_grad()
def test_two_patches_answer_by_their_offset_alone(options):
    """With queries turned and keys not, or with a table of every place beside every place, it would
    matter where they stand. (Beside a class token, which is not turned, it does.)"""
    tower = tower_with(options)
    attention = tower.clip.visual.transformer.resblocks[0].attn
    nn.init.normal_(attention.in_proj_weight, std=0.3)  # logits far from equal
    x = torch.randn(1, 2, tower.width)

    def answer(first, second):
        rows, columns = tower.grid
        kept = torch.tensor([[r * columns + c for r, c in (first, second)]])
        place = Place(rows, columns, 0, kept)
        if attention.relative is not None:
            pairs = attention.relative.buckets(place, kept.device)
            place = place._replace(buckets=place.of_kept(pairs))
        return attention(x, x, x, attn_mask=place)[0]

    found = answer((0, 0), (1, 2))
    for first, second in (((0, 1), (1, 3)), ((2, 0), (3, 2)), ((2, 1), (3, 3))):
        torch.testing.assert_close(answer(first, second), found, rtol=0, atol=1e-5)
    assert (answer((0, 0), (3, 3)) - found).abs().max() > 1e-3


@pytest.mark.parametrize("options", EVERY, ids=named)
@torch.no_grad()
def test_clip_itself_and_the_un_pooled_tokens_are_of_one_tower(options):
    tower, pixels = tower_with(options), random_pixels(0, 2)
    x = (pixels / 255 - tower.mean) / tower.std
    direct = nn.functional.normalize(tower.clip.visual(x), dim=-1)
    torch.testing.assert_close(tower.images(pixels).pooled, direct, rtol=0, atol=1e-6)


@pytest.mark.parametrize("options", EVERY, ids=named)
@torch.no_grad()
def test_other_grids_that_are_not_square(options):
    tower = tower_with(options)
    first, second = random_pixels(0, 2, size=(48, 32)), random_pixels(0, 2, size=(32, 64))
    assert tower.images(first).tokens.shape == (2, 24, tower.width)
    alone = tower.images(second).pooled
    tower.images(first)  # what is left of one forward is nothing to the next
    assert torch.equal(tower.images(second).pooled, alone)


@pytest.mark.parametrize("options", EVERY, ids=named)
def test_dropped_patches_leave_the_others_in_their_places(options):
    """What stays is what attention over all patches with the dropped ones masked out gives."""
    tower, pixels = tower_with(options), random_pixels(0, 3)
    tower.drop_patches(0.5)
    tower.train()
    torch.manual_seed(0)
    found = tower.images(pixels)
    assert found.kept is not None
    whole = copy.deepcopy(tower).eval()
    outside = torch.ones(3, 17, dtype=torch.bool)
    for b, kept in enumerate(found.kept):
        outside[b, 0] = outside[b, kept + 1] = False
    hidden = torch.zeros(3, 1, 1, 17).masked_fill(outside[:, None, None], -torch.inf)
    for block in whole.clip.visual.transformer.resblocks:
        hide = partial(_hide, hidden)
        block.attn.register_forward_pre_hook(hide, with_kwargs=True)
    expected = whole.images(pixels)
    torch.testing.assert_close(found.pooled, expected.pooled, rtol=0, atol=1e-5)
    rows = found.kept[..., None].expand(-1, -1, tower.width)
    torch.testing.assert_close(found.tokens, expected.tokens.gather(1, rows), rtol=0, atol=1e-4)


def _hide(hidden, attention, args, kwargs):
    return args, {**kwargs, "attn_mask": kwargs["attn_mask"]._replace(mask=hidden)}


@pytest.mark.parametrize("options", EVERY, ids=named)
def test_recomputed_blocks_give_the_same_gradients_also_after_another_forward(options):
    """A block that runs again in backward has the places of its own forward."""
    grads = []
    for recompute in (False, True):
        tower = tower_with(options).train()
        if recompute:
            tower.recompute_blocks()
        one = tower.images(random_pixels(0, 2, size=(48, 32))).pooled
        other = tower.images(random_pixels(1, 2, size=(32, 64))).pooled
        (one.sum() + 2 * other.sum()).backward()
        grads.append({n: p.grad for n, p in tower.named_parameters() if p.grad is not None})
    assert set(grads[0]) == set(grads[1])
    for name, grad in grads[0].items():
        torch.testing.assert_close(grads[1][name], grad, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("options", EVERY, ids=named)
def test_what_an_encoding_learns_has_a_gradient_from_the_first_step(options):
    tower = tower_with(options, moved=False).train()
    found = tower.images(random_pixels(0, 3))
    ((found.pooled**3).sum() + (found.tokens**3).mean()).backward()
    own = {n: p for n, p in tower.named_parameters() if ".relative." in n or ".rotary." in n}
    learned = {n for n, p in own.items() if p.grad is not None and p.grad.abs().max() > 0}
    assert learned == set(own)


@pytest.mark.parametrize("options", EVERY, ids=named)
@torch.no_grad()
def test_a_copy_has_places_of_its_own_and_a_half_is_near(options):
    tower, pixels = tower_with(options), random_pixels(0, 2)
    twin = copy.deepcopy(tower)
    answer = tower.images(pixels).pooled
    twin.images(random_pixels(0, 2, size=(48, 64)))
    assert torch.equal(tower.images(pixels).pooled, answer)
    assert torch.equal(twin.images(pixels).pooled, answer)
    with torch.autocast("cpu", torch.bfloat16):
        near = tower.images(pixels).pooled
    assert nn.functional.cosine_similarity(near.float(), answer).min() > 0.99


@pytest.mark.parametrize("options", EVERY[:6], ids=named)
@torch.no_grad()
def test_values_of_the_last_attention_are_not_mixed(options):
    """A patch's value is its own: moving another patch's pixels leaves all but what the blocks
    before mixed. With one block nothing is mixed at all."""
    one = {**NATIVE, "vision_cfg": {**NATIVE["vision_cfg"], "layers": 1}}
    tower = make_tower(one, positions=options).eval()
    pixels = random_pixels(0, 1)
    other = pixels.clone()
    other[..., 16:, 16:] = 0  # the last four patches
    first, second = value_patches(tower, pixels), value_patches(tower, other)
    changed = (first - second).abs().amax(-1)[0] > 1e-6
    assert (
        changed.view(4, 4).tolist() == [[False] * 4, [False] * 4] + [[False, False, True, True]] * 2
    )


@torch.no_grad()
def test_a_caller_s_mask_is_added_to_the_logits():
    tower = tower_with({"rotary": {"kind": "axial"}})
    attention = tower.clip.visual.transformer.resblocks[0].attn
    assert isinstance(attention, PositionedAttention)
    x = torch.randn(1, 5, tower.width)
    mask = torch.full((5, 5), -torch.inf).fill_diagonal_(0)
    alone = attention(x, x, x, attn_mask=mask)[0]
    value = nn.functional.linear(x, attention.in_proj_weight, attention.in_proj_bias).chunk(3, -1)
    torch.testing.assert_close(alone, attention.out_proj(value[2]), rtol=0, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["axial", "mixed"])
def test_patches_are_turned_by_the_gate_s_share_and_the_class_token_is_not(kind):
    """Against a loop over heads and tokens, in float64."""
    tower = tower_with({"rotary": {"kind": kind, "zero_start": True}})
    attention = tower.clip.visual.transformer.resblocks[0].attn
    attention.gate.fill_(0.3)
    x, place = torch.randn(1, 7, tower.width), Place(2, 3, 1, None)
    angles = 0.3 * attention.rotary(place, x.device)[0].double()
    parts = nn.functional.linear(x, attention.in_proj_weight, attention.in_proj_bias).double()
    heads = []
    for head, (q, k, v) in enumerate(
        zip(*(p[0].chunk(attention.num_heads, -1) for p in parts.chunk(3, -1)), strict=True)
    ):
        own = angles[head % len(angles)]
        q, k = (torch.stack([t[0], *map(by_hand, t[1:], own)]) for t in (q, k))
        heads.append((q @ k.mT * q.shape[-1] ** -0.5).softmax(-1) @ v)
    expected = nn.functional.linear(
        torch.cat(heads, -1),
        attention.out_proj.weight.double(),
        attention.out_proj.bias.double(),
    )
    if kind == "axial":
        place = place._replace(angles=attention.rotary(place, x.device))
    found = attention(x, attn_mask=place)[0]
    torch.testing.assert_close(found[0].double(), expected, rtol=0, atol=1e-5)


def by_hand(token, angles):
    turned = token.clone()
    for m, angle in enumerate(angles):
        a, b = token[2 * m], token[2 * m + 1]
        turned[2 * m] = a * angle.cos() - b * angle.sin()
        turned[2 * m + 1] = a * angle.sin() + b * angle.cos()
    return turned
