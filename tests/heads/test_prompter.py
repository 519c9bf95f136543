"""The Prompter against its definition: one prompt at a time, written out, in float64."""

import math

import pytest
import torch
import torch.nn.functional as F

from cloc.errors import UserError
from cloc.heads.prompter import Prompter
from tests.helpers.rows import random_boxes, unit_rows

WIDTH, DIM, GRID = 16, 6, (2, 3)
FORMS = [
    {"pool": pool, "num_heads": heads, "patch_positions": positions, "join_corners": join}
    for pool, heads, positions, join in [
        ("prompt", 4, True, True),
        ("prompt", 1, False, False),
        ("tokens", 1, False, False),
        ("tokens", 2, True, True),
    ]
]


def make(**options):
    """A Prompter in float64 whose every parameter is random, norms and biases too."""
    generator = torch.Generator().manual_seed(0)
    head = Prompter(WIDTH, DIM, **options).double()
    for parameter in head.parameters():
        parameter.data.copy_(torch.randn(parameter.shape, generator=generator) / 3)
    return head


def make_input(b=2, r=3, g=2):
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randn(b, math.prod(GRID), WIDTH, generator=generator).double()
    return tokens, random_boxes(2, b, r).float(), unit_rows(3, b, g, DIM)


def layer_norm(x, norm):
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / (centred.square().mean(-1, keepdim=True) + norm.eps).sqrt()
    return scaled * norm.weight + norm.bias


def full_layer(head, x):
    """A pre-norm transformer layer over all rows of `x` [n, w], one attention head at a time."""
    query, key, value = (
        layer_norm(x, head.norm_attend) @ head.query_key_value.weight.T + head.query_key_value.bias
    ).chunk(3, -1)
    size = WIDTH // head.num_heads
    parts = []
    for i in range(head.num_heads):
        own = slice(i * size, (i + 1) * size)
        weights = torch.softmax(query[:, own] @ key[:, own].T / math.sqrt(size), -1)
        parts.append(weights @ value[:, own])
    x = x + torch.cat(parts, -1) @ head.attend_out.weight.T + head.attend_out.bias
    first, last = head.mlp[0], head.mlp[2]
    hidden = layer_norm(x, head.norm_mlp) @ first.weight.T + first.bias
    gelu = hidden * (1 + torch.erf(hidden / math.sqrt(2))) / 2
    return x + gelu @ last.weight.T + last.bias


def answer(head, image, prompt):
    """One full pass over [prompt; image]; the mean at the prompt's tokens, or over all."""
    out = layer_norm(full_layer(head, torch.cat([prompt, image])), head.norm_out)
    read = out[: len(prompt)] if head.pool == "prompt" else out
    return read.mean(0) @ head.project.weight.T


def with_places(head, tokens):
    """The encodings of the patch centres on them, row by row."""
    rows, columns = GRID
    places = [[(j + 0.5) / columns, (i + 0.5) / rows] for i in range(rows) for j in range(columns)]
    return tokens + head.encode(torch.tensor(places))


def by_definition(head, tokens, boxes, phrases):
    images = with_places(head, tokens) if head.patch_positions else tokens
    regions, grounded = [], []
    for image, own_boxes, own_phrases in zip(images, boxes, phrases, strict=True):
        for box in own_boxes:
            corners = head.encode(box.reshape(2, 2)).double()
            prompt = corners + head.corners
            if head.join is not None:
                prompt = prompt + corners.flip(0) @ head.join.weight.T + head.join.bias
            regions.append(answer(head, image, prompt))
        for phrase in own_phrases:
            prompt = phrase @ head.adapt.weight.T + head.adapt.bias
            grounded.append(answer(head, image, prompt[None]))
    shape = (len(tokens), -1, DIM)
    return torch.stack(regions).reshape(shape), torch.stack(grounded).reshape(shape)


def graded(head, function, tokens, boxes, phrases):
    """Both answers and the gradient of a random combination of them."""
    tokens, phrases = tokens.clone().requires_grad_(), phrases.clone().requires_grad_()
    regions, grounded = function(tokens, boxes, phrases)
    pull = sum((x * unit_rows(7, *x.shape)).sum() for x in (regions, grounded))
    inputs = [tokens, phrases, *head.parameters()]
    return [regions, grounded, *torch.autograd.grad(pull, inputs)]


@pytest.mark.parametrize("form", FORMS)
def test_equals_a_full_pass_per_prompt_with_gradients(form):
    head, given = make(**form), make_input()
    ours = graded(head, lambda *x: head(*x, grid=GRID), *given)
    theirs = graded(head, lambda *x: by_definition(head, *x), *given)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_an_answer_does_not_depend_on_other_prompts(form):
    head = make(**form)
    tokens, boxes, phrases = make_input()
    regions, grounded = head(tokens, boxes, phrases, grid=GRID)
    one, none = head(tokens, boxes[:, 1:2], None, grid=GRID)
    assert none is None
    torch.testing.assert_close(one, regions[:, 1:2], rtol=0, atol=1e-12)
    none, one = head(tokens, None, phrases[:, 1:], grid=GRID)
    assert none is None
    torch.testing.assert_close(one, grounded[:, 1:], rtol=0, atol=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_kept_patches_keep_their_places_and_dropped_ones_are_not_seen(form):
    """The same as a head without positions over the kept rows of tokens that have theirs."""
    head, bare = make(**form), make(**{**form, "patch_positions": False})
    tokens, boxes, phrases = make_input()
    kept = torch.tensor([[0, 2, 5], [1, 3, 4]])
    chosen = torch.stack([x[rows] for x, rows in zip(tokens, kept, strict=True)])
    placed = with_places(head, tokens) if head.patch_positions else tokens
    expected = torch.stack([x[rows] for x, rows in zip(placed, kept, strict=True)])
    found = head(chosen, boxes, phrases, grid=GRID, kept=kept)
    for a, b in zip(found, bare(expected, boxes, phrases, grid=GRID), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_which_corner_a_token_is_matters(form):
    head = make(**form)
    tokens, boxes, _ = make_input()
    there, _ = head(tokens, boxes, None, grid=GRID)
    back, _ = head(tokens, boxes[..., [2, 3, 0, 1]], None, grid=GRID)
    assert (there - back).abs().amax(-1).min() > 1e-3
    head.corners.data[1] = head.corners.data[0]  # nothing else tells the corners apart
    there, _ = head(tokens, boxes, None, grid=GRID)
    back, _ = head(tokens, boxes[..., [2, 3, 0, 1]], None, grid=GRID)
    torch.testing.assert_close(there, back, rtol=0, atol=1e-12)


def test_without_joined_corners_a_token_knows_its_own_corner_alone():
    """Moving the far corner leaves the near one's query: only the attention's values change."""
    joined, alone = make(join_corners=True), make(join_corners=False)
    near, far = torch.tensor([[[0.1, 0.2, 0.5, 0.6]]]), torch.tensor([[[0.1, 0.2, 0.9, 0.9]]])
    assert alone._corner_tokens(near)[0, 0, 0].equal(alone._corner_tokens(far)[0, 0, 0])
    moved = joined._corner_tokens(near) - joined._corner_tokens(far)
    assert moved[0, 0, 0].abs().max() > 1e-2


@pytest.mark.parametrize("pool", ["prompt", "tokens"])
def test_boxes_and_phrases_go_through_the_same_weights(pool):
    """One token from a phrase and a box whose two tokens are that very token: one layer answers
    both, which would differ in any weight that only one of them saw."""
    head = make(pool=pool, join_corners=False)
    head.corners.data.zero_()
    tokens, _, _ = make_input()
    point = torch.tensor([0.3, 0.7]).repeat(2, 1, 2)  # a box whose two corner tokens are equal
    head.adapt.weight.data.zero_()
    head.adapt.bias.data = head.encode(point[0, 0, :2]).double()
    region, grounded = head(tokens, point, unit_rows(0, 2, 1, DIM), grid=GRID)
    once, twice = head.adapt.bias[None], head.adapt.bias.repeat(2, 1)
    for image, of_box, of_phrase in zip(
        with_places(head, tokens), region[:, 0], grounded[:, 0], strict=True
    ):
        torch.testing.assert_close(of_phrase, answer(head, image, once), rtol=0, atol=1e-12)
        torch.testing.assert_close(of_box, answer(head, image, twice), rtol=0, atol=1e-12)


def test_encoding_is_sinusoids_from_half_a_cycle_to_max_cycles():
    head = Prompter(WIDTH, DIM, max_cycles=8.0)
    points = torch.tensor([[0.0, 0.0], [0.25, 0.7], [1.0, 0.123]])
    cycles = [0.5 * 16 ** (k / 3) for k in range(WIDTH // 4)]
    assert cycles[-1] == pytest.approx(8)
    for point, row in zip(points.tolist(), head.encode(points), strict=True):
        expected = [
            wave(2 * math.pi * c * x)
            for x in point
            for wave in (math.sin, math.cos)
            for c in cycles
        ]
        torch.testing.assert_close(row, torch.tensor(expected), rtol=0, atol=1e-5)


@pytest.mark.parametrize("half", ["module", "autocast"])
def test_encodings_are_in_float32_whatever_the_precision(half):
    head = Prompter(192, DIM)
    points = torch.rand(50, 2, generator=torch.Generator().manual_seed(0))
    expected = head.encode(points)
    if half == "module":
        head = head.bfloat16()
    with torch.autocast("cpu", torch.bfloat16, enabled=half == "autocast"):
        found = head.encode(points)
    assert found.dtype == torch.float32
    assert found.equal(expected)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("half", ["module", "autocast"])
def test_runs_in_bfloat16_near_the_float32_answer(form, half):
    head = make(**form).float()
    tokens, boxes, phrases = (x.float() for x in make_input())
    expected = head(tokens, boxes, phrases, grid=GRID)
    if half == "module":
        head, tokens = head.bfloat16(), tokens.bfloat16()
    with torch.autocast("cpu", torch.bfloat16, enabled=half == "autocast"):
        found = head(tokens, boxes, phrases, grid=GRID)
    for a, b in zip(found, expected, strict=True):
        assert F.cosine_similarity(a.float(), b, dim=-1).min() > 0.99


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("phrases", [True, False])
def test_every_parameter_gets_a_gradient(form, phrases):
    head = make(**form, phrases=phrases)
    tokens, boxes, asked = make_input()
    answers = head(tokens, boxes, asked if phrases else None, grid=GRID)
    sum(a.square().sum() for a in answers if a is not None).backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("pool", ["prompt", "tokens"])
def test_no_prompts_give_no_answers(pool):
    head = make(pool=pool)
    tokens, boxes, phrases = make_input()
    assert head(tokens, None, None, grid=GRID) == (None, None)
    region, grounded = head(tokens, boxes[:, :0], phrases[:, :0], grid=GRID)
    assert region.shape == grounded.shape == (2, 0, DIM)


def test_errors_name_the_key_and_the_cure():
    with pytest.raises(UserError, match=r"region_head\.pool='mean'; choose prompt or tokens"):
        Prompter(WIDTH, DIM, pool="mean")
    for width, heads in ((18, 1), (16, 3), (16, 0)):
        with pytest.raises(UserError, match=rf"{width}, which must be .*num_heads={heads}"):
            Prompter(width, DIM, num_heads=heads)
    tokens, boxes, phrases = make_input()
    with pytest.raises(UserError, match=r"without text prompts; set model\.box_head"):
        make(phrases=False)(tokens, boxes, phrases, grid=GRID)


@pytest.mark.parametrize("form", FORMS)
def test_several_layers_are_brought_to_the_width_by_a_linear_map(form):
    head, (tokens, boxes, phrases) = make(**form, layers=[3, 5]), make_input()
    both = torch.cat([tokens, tokens.flip(1)], -1)
    read = both @ head.gather.weight.T + head.gather.bias
    plain = make(**form)
    plain.load_state_dict({k: v for k, v in head.state_dict().items() if "gather" not in k})
    expected = plain(read, boxes, phrases, grid=GRID)
    for a, b in zip(head(both, boxes, phrases, grid=GRID), expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


LOUD = [form for form in FORMS if form["patch_positions"] or form["pool"] == "tokens"]


@pytest.mark.parametrize("form", LOUD)
@pytest.mark.parametrize("balance", [0.5, {"learned": 2.0}])
def test_image_tokens_have_the_norm_of_a_place_times_the_ratio(form, balance):
    """Before places are added; and nothing else is balanced."""
    head, (tokens, boxes, phrases) = make(**form, norm_balance=balance), make_input()
    ratio = balance if isinstance(balance, float) else float(head.loudness.logarithm.detach().exp())
    level = head.encode(torch.tensor([[0.3, 0.8], [0.0, 1.0]])).norm(dim=-1)
    torch.testing.assert_close(level, torch.full((2,), math.sqrt(WIDTH / 2)))
    balanced = tokens / tokens.norm(dim=-1, keepdim=True) * math.sqrt(WIDTH / 2) * ratio
    plain = make(**form)
    plain.load_state_dict({k: v for k, v in head.state_dict().items() if "loudness" not in k})
    expected = plain(balanced, boxes, phrases, grid=GRID)
    for a, b in zip(head(1e3 * tokens, boxes, phrases, grid=GRID), expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-9)


@pytest.mark.parametrize("form", LOUD)
def test_what_balance_and_layers_learn_has_a_gradient_and_null_has_nothing(form):
    own = {"layers": [1, 2], "norm_balance": {"learned": 1.0}}
    head, (tokens, boxes, phrases) = make(**form, **own), make_input()
    answers = head(torch.cat([tokens, tokens], -1), boxes, phrases, grid=GRID)
    sum(a.pow(3).sum() for a in answers).backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad.abs().max() > 0, name
    null = make(**form, layers=None, norm_balance=None)
    assert null.state_dict().keys() == make(**form).state_dict().keys()


def test_a_balance_without_effect_is_refused():
    """Behind a norm alone the length of a token says nothing."""
    with pytest.raises(UserError, match=r"norm_balance has no effect with pool=prompt and without"):
        Prompter(WIDTH, DIM, pool="prompt", patch_positions=False, norm_balance=1.0)
    with pytest.raises(UserError, match=r"^model\.region_head\.norm_balance=x; give how many"):
        Prompter(WIDTH, DIM, norm_balance="x")
