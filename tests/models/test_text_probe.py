"""Towers and tokenizers that do not belong together are told apart; those that do pass."""

import warnings

import pytest
import torch
from open_clip.hf_model import HFTextEncoder
from torch import nn

from cloc.errors import UserError
from cloc.models.text_probe import check_text
from cloc.models.tower_build import make_tower
from tests.helpers.hf import write_unigram
from tests.helpers.models import EVA, NATIVE

CONTEXT = 24


def config(base=EVA, **text):
    cfg = {**base["text_cfg"], "context_length": CONTEXT, "vocab_size": 600, **text}
    return {**base, "text_cfg": {**cfg, "hf_tokenizer_name": "of the folder"}}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Tokenizers by how they end a text: T5's `</s>` of a low id, none, and others."""
    made = {}

    def folder(**options):
        key = tuple(sorted(options.items()))
        if key not in made:
            made[key] = tmp_path_factory.mktemp("tokenizer")
            write_unigram(made[key], **options)
        return made[key]

    return folder


@torch.no_grad()
def cosine(tower, one, other):
    a, b = tower.texts(tower.tokenizer()([one, other], CONTEXT))
    return float(a @ b)


def test_the_default_pooling_of_another_vocabulary_is_refused_and_the_named_one_tells_words_apart(
    folders,
):
    """What happened without a word: two sentences with one embedding."""
    torch.manual_seed(0)
    blind = make_tower(config(NATIVE), folder=folders()).eval()
    tokens = [[9, 8, 1, *[0] * 21], [9, 7, 1, *[0] * 21]]  # a word of a high id, then two words
    assert torch.equal(*blind.texts(torch.tensor(tokens)))
    says = r"pool_type=argmax reads .*; set pool_type=eos and eos_id=1 in text_cfg \(model.tower"
    with pytest.raises(UserError, match=says) as error:
        blind.tokenizer()
    assert "\n" not in str(error.value)
    tower = make_tower(config(NATIVE, pool_type="eos", eos_id=1), folder=folders()).eval()
    assert cosine(tower, "a red star", "a red ring") < 1 - 1e-4


@pytest.mark.parametrize("base", [NATIVE, EVA], ids=["CLIP", "CustomTextCLIP"])
@pytest.mark.parametrize(
    ("text", "tokenizer", "says"),
    [
        ({}, {}, "argmax reads .*pool_type=eos and eos_id=1"),
        ({"no_causal_mask": True}, {}, "argmax reads the tokens .*pool_type=eos and eos_id=1"),
        ({"pool_type": "eos", "eos_id": 2}, {}, "eos, eos_id=2 reads .*pool_type=eos and eos_id=1"),
        ({"pool_type": "eos", "eos_id": 500}, {}, "eos_id=500 reads .*pool_type=eos and eos_id=1"),
        ({"pool_type": "first"}, {}, "first reads token 0 of 'zebra cat' in a causal tower"),
        ({"pool_type": "none"}, {}, "none gives no single vector .*pool_type=eos and eos_id=1"),
        ({"pool_type": "eos", "eos_id": 1}, {"end": False}, "set pool_type=last in text_cfg"),
        ({"pool_type": "eos", "eos_id": 1}, {"start": "</s>"}, "token 0 .* set pool_type=last"),
        ({"pool_type": "eos", "eos_id": 1}, {"padding_side": "left"}, "fills texts up in front"),
        ({}, {"padding": None}, "the tokenizer cannot fill texts up"),
        ({"tokenizer_mode": "clips"}, {}, "no bos_token_id and no cls_token_id; set .*mode=null"),
        ({"vocab_size": 20}, {}, "does not fit: it gives token .* knows 20; take the tokenizer"),
    ],
)
def test_what_is_wrong_is_said_with_the_keys_that_mend_it(folders, base, text, tokenizer, says):
    if base is NATIVE and "no_causal_mask" in text:
        text = {**text, "no_causal_mask": True}
    tower = make_tower(config(base, **text), folder=folders(**tokenizer))
    with pytest.raises(UserError, match=says) as error:
        tower.tokenizer()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "tokenizer"),
    [
        ({"pool_type": "eos", "eos_id": 1}, {}),
        ({"pool_type": "eos", "eos_id": 1, "no_causal_mask": True}, {}),
        ({"pool_type": "last"}, {}),
        ({"pool_type": "last", "no_causal_mask": True}, {"padding_side": "left"}),
        ({"pool_type": "last"}, {"end": False}),
        ({"pool_type": "last"}, {"start": "</s>"}),
        ({"pool_type": "first", "no_causal_mask": True}, {}),
        ({"pool_type": "eos", "eos_id": 1}, {"padding": "</s>"}),
        ({"embed_cls": True}, {}),
    ],
)
def test_what_fits_passes_and_short_texts_are_exact_where_the_tower_says_so(
    folders, text, tokenizer
):
    torch.manual_seed(0)
    tower = make_tower(config(**text), folder=folders(**tokenizer)).eval()
    tokenize = tower.tokenizer()
    words = ["a red star", "a red ring"]
    assert cosine(tower, *words) < 1 - 1e-5
    if tower.short_text_exact:
        with torch.no_grad():
            short, whole = (tower.texts(tokenize(words, n)) for n in (CONTEXT - 6, CONTEXT))
        torch.testing.assert_close(short, whole, rtol=0, atol=1e-6)


def test_clips_own_tokenizer_fits_the_default_alone():
    NATIVE_TEXT = NATIVE["text_cfg"]

    def of(**text):
        return make_tower({**NATIVE, "text_cfg": {**NATIVE_TEXT, **text}}).tokenizer()

    of()
    of(pool_type="eos", eos_id=49407)
    with pytest.raises(UserError, match=r"eos_id=2 reads .*set pool_type=eos and eos_id=49407"):
        of(pool_type="eos")
    with pytest.raises(
        UserError, match=r"argmax takes the highest token .* words go to 49408; set"
    ):
        of(tokenizer_kwargs={"additional_special_tokens": ["<box>"]}, vocab_size=49500)


@pytest.mark.parametrize(("padding", "fits"), [("<pad>", True), ("</s>", False)])
def test_hugging_faces_towers_leave_out_the_padding_of_their_own_tokenizer(folders, padding, fits):
    from open_clip.tokenizer import HFTokenizer
    from transformers import BertConfig

    small = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1}
    bert = BertConfig(vocab_size=600, pad_token_id=0, **small)
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        text = HFTextEncoder("", 24, config=bert, pooler_type="mean_pooler", proj_type="linear")
    tokenize = HFTokenizer(str(folders(padding=padding)), CONTEXT)
    if fits:
        check_text(text, tokenize, context=CONTEXT, vocabulary=600)
        return
    with pytest.raises(UserError, match=r"fills texts up with token 1, .* leaves out token 0, so"):
        check_text(text, tokenize, context=CONTEXT, vocabulary=600)


def test_no_probe_needs_a_weight():
    text = nn.Module()
    text.pool_type, text.attn_mask = "argmax", torch.zeros(1)
    tokenize = make_tower(NATIVE).tokenizer()
    check_text(text, tokenize, context=CONTEXT, vocabulary=49408)


def with_tokens(folder, target, *tokens):
    """The tokenizer of `folder` with these added, and how many it had without them."""
    from transformers import AutoTokenizer

    fast = AutoTokenizer.from_pretrained(folder)
    size = len(fast)
    fast.add_tokens(list(tokens))
    fast.save_pretrained(target)
    return size


@pytest.mark.parametrize(
    ("token", "clean", "given"),
    [
        ("ruby", "whitespace", True),  # a word that no probe has
        ("<region>", "whitespace", True),
        ("<region>", "canonicalize", False),  # is read as "region"
        ("[region]", "canonicalize", False),
        ("<0x0A>", "canonicalize", True),  # a byte of some character
    ],
)
def test_ids_behind_the_table_are_refused_where_a_text_can_get_them(
    folders, tmp_path, token, clean, given
):
    """What happened: every probe passed, and a caption of another word ended the run."""
    size = with_tokens(folders(), tmp_path, token)
    text = {"pool_type": "eos", "eos_id": 1, "tokenizer_kwargs": {"clean": clean}}
    fits = make_tower(config(NATIVE, **text, vocab_size=size + 1), folder=tmp_path)
    fits.tokenizer()
    tower = make_tower(config(NATIVE, **text, vocab_size=size), folder=tmp_path).eval()
    if given:
        says = rf"gives token {size}, but the text tower knows {size}; .*vocab_size={size + 1}"
        with pytest.raises(UserError, match=says):
            tower.tokenizer()
        return
    tokens = tower.tokenizer()([f"a {token} star"], CONTEXT)
    assert tokens.max() < size
    assert tower.texts(tokens).isfinite().all()


def test_the_unknown_word_of_a_high_id_is_what_any_new_word_gets(folders, tmp_path):
    from transformers import PreTrainedTokenizerFast

    made = PreTrainedTokenizerFast.from_pretrained(folders(), unk_token="<other>")
    made.save_pretrained(tmp_path)
    text = {"pool_type": "eos", "eos_id": 1, "tokenizer_kwargs": {"clean": "canonicalize"}}
    tower = make_tower(config(NATIVE, **text, vocab_size=len(made) - 1), folder=tmp_path)
    with pytest.raises(UserError, match=rf"gives token {len(made) - 1}, but"):
        tower.tokenizer()


def test_a_mark_of_open_clips_own_tokenizer_needs_a_place_in_the_table():
    marks = {"tokenizer_kwargs": {"additional_special_tokens": ["<region>"]}}
    text = {**NATIVE["text_cfg"], "pool_type": "eos", "eos_id": 49407, **marks}
    make_tower({**NATIVE, "text_cfg": {**text, "vocab_size": 49409}}).tokenizer()
    with pytest.raises(UserError, match=r"gives token 49408, .* knows 49408; .*vocab_size=49409"):
        make_tower({**NATIVE, "text_cfg": text}).tokenizer()
