"""The tower surface against the open_clip model inside it."""

import pytest
import torch
import torch.nn.functional as F

from cloc.errors import UserError
from cloc.models.tower_build import make_tower
from tests.helpers.models import CONFIGS, CONTEXT, EVA, NATIVE, SIGLIP, random_pixels

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)
PHRASES = ["a red star", "two blue rings left of a cross", "star"]


@pytest.fixture(scope="module", params=CONFIGS)
def tower(request):
    torch.manual_seed(0)
    return make_tower(CONFIGS[request.param], mean=MEAN, std=STD).eval()


def normalized(pixels):
    """By hand, channel by channel."""
    x = pixels.float() / 255
    return torch.stack([(x[:, c] - MEAN[c]) / STD[c] for c in range(3)], 1)


def last_norm(visual):
    """Where the last norm stands, and how many tokens before the patches it gets."""
    if hasattr(visual, "trunk"):
        return visual.trunk.norm, visual.trunk.num_prefix_tokens
    return visual.ln_post, 1


@torch.no_grad()
def test_tokens_are_what_the_tower_has_before_pooler_and_projection(tower):
    norm, prefix = last_norm(tower.clip.visual)
    seen = []
    handle = norm.register_forward_hook(lambda module, given, out: seen.append(out))
    pixels = random_pixels(0, 3)
    tower.clip.encode_image(normalized(pixels))  # open_clip's own path, not the intermediates'
    handle.remove()
    (whole,) = seen
    assert whole.shape[1] == prefix + tower.grid[0] * tower.grid[1]
    tokens = tower.images(pixels).tokens
    assert tokens.shape == (3, tower.grid[0] * tower.grid[1], tower.width)
    torch.testing.assert_close(tokens, whole[:, prefix:], rtol=0, atol=1e-5)  # no class token


@torch.no_grad()
def test_tokens_stand_row_by_row(tower):
    """Painting the patch of the second row, last column changes that token most."""
    rows, columns = tower.grid
    side = tower.image_size // rows
    black = torch.zeros(1, 3, tower.image_size, tower.image_size, dtype=torch.uint8)
    painted = black.clone()
    painted[:, :, side : 2 * side, -side:] = 255
    change = (tower.images(painted).tokens - tower.images(black).tokens).norm(dim=-1)[0]
    assert change.argmax() == 2 * columns - 1


@torch.no_grad()
def test_pooled_is_open_clips_own_embedding(tower):
    pixels = random_pixels(1, 3)
    expected = tower.clip.encode_image(normalized(pixels), normalize=True)
    torch.testing.assert_close(tower.images(pixels).pooled, expected, rtol=0, atol=1e-6)


@torch.no_grad()
def test_texts_are_open_clips_own_embeddings(tower):
    tokens = tower.tokenizer()(PHRASES, CONTEXT)
    expected = tower.clip.encode_text(tokens, normalize=True)
    torch.testing.assert_close(tower.texts(tokens), expected, rtol=0, atol=1e-6)


@torch.no_grad()
def test_a_short_text_has_the_embedding_of_its_full_context_or_is_refused(tower):
    tokenize = tower.tokenizer()
    short = tokenize(PHRASES, CONTEXT - 3)
    if tower.short_text_exact:
        whole = tower.texts(tokenize(PHRASES, CONTEXT))
        torch.testing.assert_close(tower.texts(short), whole, rtol=0, atol=1e-6)
    else:
        with pytest.raises(UserError, match=r"9 tokens, .* full context of 12; set region_context"):
            tower.texts(short)
    with pytest.raises(UserError, match="texts of 13 tokens"):
        tower.texts(tokenize(PHRASES, CONTEXT + 1))


def test_short_texts_are_exact_in_causal_towers_that_read_the_end():
    def exact(config, **text):
        with torch.device("meta"):
            return make_tower({**config, "text_cfg": {**config["text_cfg"], **text}})

    assert exact(NATIVE).short_text_exact
    assert exact(EVA).short_text_exact
    assert exact(EVA, pool_type="eos", eos_id=49407).short_text_exact
    assert not exact(EVA, pool_type="last").short_text_exact
    assert not exact(EVA, no_causal_mask=True).short_text_exact
    assert not exact(EVA, embed_cls=True).short_text_exact
    assert not exact(SIGLIP).short_text_exact


@torch.no_grad()
def test_short_texts_with_an_end_id():
    config = {**EVA, "text_cfg": {**EVA["text_cfg"], "pool_type": "eos", "eos_id": 49407}}
    tower = make_tower(config)
    tokenize = tower.tokenizer()
    whole = tower.texts(tokenize(PHRASES, CONTEXT))
    torch.testing.assert_close(tower.texts(tokenize(PHRASES, 9)), whole, rtol=0, atol=1e-6)


def test_gradients_of_short_texts_are_those_of_the_full_context():
    torch.manual_seed(0)
    tower = make_tower(NATIVE).double()
    tokenize, grads = tower.tokenizer(), []
    for length in (CONTEXT, CONTEXT - 3):
        tower.zero_grad()
        tower.texts(tokenize(PHRASES, length)).sum(0).norm().backward()
        grads.append(tower.clip.positional_embedding.grad.clone())
    torch.testing.assert_close(grads[0], grads[1], rtol=0, atol=1e-12)
    assert grads[0].abs().max() > 0


def test_bytes_become_floats_on_the_device_of_the_tower():
    with torch.device("meta"):
        tower = make_tower(NATIVE)
        pixels = torch.empty(2, 3, 32, 32, dtype=torch.uint8)
    assert tower.images(pixels).tokens.device.type == "meta"


@torch.no_grad()
def test_runs_in_bfloat16_and_answers_in_float32():
    torch.manual_seed(0)
    tower = make_tower(NATIVE)
    pixels, tokens = random_pixels(0, 2), tower.tokenizer()(PHRASES, 9)
    expected = tower.images(pixels).pooled, tower.texts(tokens)
    tower = tower.bfloat16()
    found = tower.images(pixels).pooled, tower.texts(tokens)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == torch.float32
        assert F.cosine_similarity(a, b).min() > 0.99
    norms = torch.cat(found).norm(dim=-1)
    torch.testing.assert_close(norms, torch.ones(len(norms)))


@torch.no_grad()
def test_dense_is_the_projection_of_every_patch(tower):
    """The mean of the patches is the pooled embedding where the tower pools by the mean."""
    pixels = random_pixels(2, 2)
    tokens, pooled, *_ = tower.images(pixels)
    if getattr(getattr(tower.clip.visual, "trunk", None), "attn_pool", None) is not None:
        with pytest.raises(UserError, match=r"pools by attention.* crop extractor instead of roi"):
            tower.dense(tokens)
        return
    dense = tower.dense(tokens)
    assert dense.shape == (2, tokens.shape[1], tower.dim)
    mine = F.normalize(dense.mean(1), dim=-1)
    if getattr(getattr(tower.clip.visual, "trunk", None), "global_pool", "token") == "avg":
        torch.testing.assert_close(mine, pooled, rtol=0, atol=1e-5)
    else:  # a class token that stood among the patches would be projected to the pooled vector
        norm, _ = last_norm(tower.clip.visual)
        seen = []
        handle = norm.register_forward_hook(lambda module, given, out: seen.append(out[:, :1]))
        tower.clip.encode_image(normalized(pixels))
        handle.remove()
        of_class_token = F.normalize(tower.dense(seen[0])[:, 0], dim=-1)
        torch.testing.assert_close(of_class_token, pooled, rtol=0, atol=1e-5)


def test_a_trained_scale_is_at_most_100_and_keeps_its_gradient():
    tower = make_tower(NATIVE)
    raw = tower.clip.logit_scale
    assert tower.scale().shape == ()
    assert tower.scale().item() == pytest.approx(1 / 0.07)
    raw.data.fill_(7.0)
    assert tower.scale().item() == pytest.approx(1096.6, rel=1e-4)  # looking changes nothing
    assert raw.item() == 7
    tower.cap_scale()
    value = tower.scale()
    assert value.item() == pytest.approx(100, rel=1e-6)
    value.backward()
    assert raw.grad.item() == pytest.approx(100, rel=1e-5)
    raw.data.fill_(3.0)
    tower.cap_scale()
    assert raw.item() == 3


@pytest.mark.parametrize("config", [NATIVE, {**NATIVE, "nonscalar_logit_scale": True}])
def test_a_scale_that_began_above_100_may_stay_there_and_no_higher(config):
    tower = make_tower({**config, "init_logit_scale": 4.75})
    raw = tower.clip.logit_scale
    tower.cap_scale()
    assert raw.item() == 4.75
    raw.data.fill_(4.8)
    tower.cap_scale()
    assert raw.item() == 4.75
    raw.data.fill_(4.8)
    raw.requires_grad_(False)
    tower.cap_scale()
    assert raw.item() == pytest.approx(4.8)


def test_a_scale_beside_a_bias_has_no_cap():
    tower = make_tower(SIGLIP)
    tower.clip.logit_scale.data.fill_(7.0)
    tower.cap_scale()
    assert tower.clip.logit_scale.item() == 7


def test_scale_and_bias_are_scalars_also_where_open_clip_keeps_vectors():
    tower = make_tower({**SIGLIP, "nonscalar_logit_scale": True})
    assert tower.clip.logit_scale.shape == (1,)
    assert tower.scale().shape == tower.bias().shape == ()
    assert tower.bias().item() == -10
    assert make_tower(NATIVE).bias() is None


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_tower_without_a_trainable_weight_stays_in_evaluation(kind):
    tower = make_tower(CONFIGS[kind]).train()
    visual = tower.clip.visual
    text = [child for child in tower.clip.children() if child is not visual]
    assert visual.training
    visual.requires_grad_(False)
    tower.train()
    assert not any(module.training for module in visual.modules())
    assert all(part.training for part in text)
    for part in text:
        part.requires_grad_(False)
    tower.train()
    assert not any(part.training for part in text)


@pytest.mark.parametrize("kind", CONFIGS)
def test_recomputed_blocks_give_the_same_gradients_and_keep_less(kind):
    kept, grads = {}, {}
    for recompute in (False, True):
        torch.manual_seed(0)
        tower = make_tower(CONFIGS[kind]).double().train()
        if recompute:
            tower.recompute_blocks()
        pixels, tokens = random_pixels(0, 2), tower.tokenizer()(PHRASES, CONTEXT)
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda x, sizes=sizes: sizes.append(x.numel()) or x, lambda x: x
        ):
            tokens_out, pooled, *_ = tower.images(pixels)
            loss = tokens_out.sin().sum() + pooled.sum() + tower.texts(tokens).sin().sum()
            if tower.short_text_exact:
                loss = loss + tower.texts(tower.tokenizer()(PHRASES, 9)).cos().sum()
        loss.backward()
        kept[recompute] = sum(sizes)
        grads[recompute] = {n: p.grad for n, p in tower.named_parameters() if p.grad is not None}
    assert kept[True] < kept[False] / 2
    assert grads[True].keys() == grads[False].keys()
    for name, grad in grads[False].items():
        torch.testing.assert_close(grads[True][name], grad, rtol=0, atol=1e-12)


def test_a_trunk_that_cannot_recompute_says_so(monkeypatch):
    tower = make_tower(EVA)
    monkeypatch.setattr(tower.clip.visual.trunk, "set_grad_checkpointing", lambda enable: None)
    with pytest.raises(UserError, match=r"VisionTransformer cannot recompute .* recompute=false"):
        tower.recompute_blocks()


def test_words_gives_back_what_was_tokenized(tower):
    for phrase in PHRASES:
        for length in (9, CONTEXT):
            tokens = tower.tokenizer()([phrase], length)[0].tolist()
            assert tower.words(tokens) == phrase


def test_the_state_dict_is_open_clips_own(tower):
    own = {k.removeprefix("clip."): v for k, v in tower.state_dict().items()}
    assert own.keys() == tower.clip.state_dict().keys()


def test_a_tokenizer_that_does_not_fit_the_text_tower_is_refused():
    small = {**NATIVE, "text_cfg": {**NATIVE["text_cfg"], "vocab_size": 1000}}
    says = r"tokenizer does not fit: it gives token 49407, but the text tower knows 1000; take the"
    with pytest.raises(UserError, match=says):
        make_tower(small).tokenizer()
    assert make_tower(NATIVE).tokenizer()(["a dog"], CONTEXT).shape == (1, CONTEXT)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("std", (0.0, 0.2, 0.2)),
        ("std", (-0.2, 0.2, 0.2)),
        ("std", (float("inf"), 0.2, 0.2)),
        ("mean", (float("nan"), 0.5, 0.5)),
        ("mean", (0.5,)),
    ],
)
def test_pixels_are_normalised_by_numbers_that_can(name, given):
    says = rf"^model\.tower\.{name}=.*: give three (positive|finite) numbers"
    with pytest.raises(UserError, match=says):
        make_tower(NATIVE, **{"mean": MEAN, "std": STD, name: given})
