"""Hugging Face's text towers: what open_clip can build of them, and what these read."""

import warnings

import pytest
import torch
import transformers

from cloc.errors import UserError
from cloc.models.hugging_face_text import POOLERS
from cloc.models.tower_build import make_tower
from tests.helpers.hf import write_unigram
from tests.helpers.models import NATIVE

CONTEXT = 16
SMALL = {
    **{"vocab_size": 600, "hidden_size": 16, "intermediate_size": 32, "pad_token_id": 0},
    **{"num_hidden_layers": 1, "num_attention_heads": 2},
}
T5 = {"vocab_size": 600, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def made(tmp_path):
    """A tower with a text tower of this kind, or its configuration's error."""

    def make(kind, *, options=(), **text):
        given = T5 if kind in ("T5", "MT5") else SMALL
        if kind in ("DistilBert", "ModernBert", "GPT2"):
            given = {"vocab_size": 600}
        getattr(transformers, f"{kind}Config")(**{**given, **dict(options)}).save_pretrained(
            tmp_path
        )
        write_unigram(tmp_path)
        place = {"hf_model_name": str(tmp_path), "hf_tokenizer_name": str(tmp_path)}
        usual = {"hf_model_pretrained": False, "hf_proj_type": "linear", "context_length": CONTEXT}
        torch.manual_seed(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return make_tower({**NATIVE, "text_cfg": {**place, **usual, **text}}).eval()

    return make


@pytest.mark.parametrize(
    ("kind", "options", "text"),
    [
        ("Bert", {}, {}),
        ("Bert", {"is_decoder": True}, {"hf_pooler_type": "mean_pooler"}),
        ("Bert", {"max_position_embeddings": CONTEXT}, {}),
        ("Roberta", {"max_position_embeddings": CONTEXT + 1}, {}),
        ("MT5", {}, {}),
        *(("Bert", {}, {"hf_pooler_type": pooler}) for pooler in POOLERS),
    ],
)
def test_what_passes_tells_words_apart(made, kind, options, text):
    tower = made(kind, options=options, **text)
    with torch.no_grad():
        one, other = tower.texts(tower.tokenizer()(["a red star", "a red ring"], CONTEXT))
    assert not torch.equal(one, other)


@pytest.mark.parametrize("pooler", ["cls_last_hidden_state_pooler", "cls_pooler"])
def test_a_causal_tower_that_is_read_at_its_first_token_is_refused(made, pooler):
    """What happened: every text had the same embedding."""
    tower = made("Bert", options={"is_decoder": True}, hf_pooler_type=pooler)
    tokens = torch.tensor([[5, 6, 7, 1, *[0] * 12], [5, 8, 9, 1, *[0] * 12]])
    assert torch.equal(*tower.texts(tokens))
    with pytest.raises(UserError, match=r"is causal .* set text_cfg.hf_pooler_type=mean_pooler"):
        tower.tokenizer()


@pytest.mark.parametrize(
    ("kind", "positions", "most"), [("Bert", 8, 8), ("Roberta", CONTEXT, CONTEXT - 1)]
)
def test_a_context_without_positions_is_refused(made, kind, positions, most):
    tower = made(kind, options={"max_position_embeddings": positions})
    says = rf"of {CONTEXT} tokens, .* has {most} positions; set model.tower.context_length={most}"
    with pytest.raises(UserError, match=says):
        tower.tokenizer()


@pytest.mark.parametrize("kind", ["T5", "DistilBert", "ModernBert", "GPT2"])
def test_kinds_that_open_clip_has_not_are_named(made, kind):
    says = rf"of the kind '{kind.lower()}', which open_clip has no .* has roberta, .*m2m_100"
    with pytest.raises(UserError, match=says):
        made(kind)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ({"hf_pooler_type": "last"}, r"hf_pooler_type='last' .* null, cls_last_.*, mean_pooler"),
        ({"hf_pooler_type": "max_pooler"}, r"hf_pooler_type='max_pooler' is none that works"),
        ({"hf_proj_type": "cubic"}, r"hf_proj_type='cubic' .* there are null, linear, mlp"),
    ],
)
def test_choices_that_open_clip_has_not_are_named(made, text, says):
    with pytest.raises(UserError, match=says):
        made("Bert", **text)


def test_a_width_without_a_projection_is_refused(made):
    with pytest.raises(UserError, match=r"hf_proj_type=null leaves .* set text_cfg.hf_proj_type="):
        made("Bert", hf_proj_type=None).tokenizer()
