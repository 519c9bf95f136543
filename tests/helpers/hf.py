"""Tiny CLIP and SigLIP models of transformers, and the tiny timm trunks such a SigLIP needs."""

import torch
from timm.models import register_model
from timm.models.vision_transformer import VisionTransformer

from tests.helpers.models import CONTEXT, TEXT

PATCH, WIDTH = 8, 32
TEXT_CONFIG = {
    "vocab_size": 49408,
    "hidden_size": 16,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": CONTEXT,
}
VISION_CONFIG = {
    "hidden_size": WIDTH,
    "intermediate_size": 80,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": PATCH,
}
# SigLIP as open_clip has it, on the first of the trunks below
TINY_SIGLIP = {
    "embed_dim": WIDTH,
    "init_logit_bias": -10,
    "custom_text": True,
    "vision_cfg": {
        "image_size": 32,
        "timm_model_name": "vit_tiny_patch8_siglip_32",
        "timm_pool": "map",
        "timm_proj": "none",
    },
    "text_cfg": {
        **TEXT,
        "no_causal_mask": True,
        "pool_type": "last",
        "proj_bias": True,
        "norm_kwargs": {"eps": 1e-6},
    },
}


def _trunk(size, act, kwargs):
    kwargs = {
        k: v for k, v in kwargs.items() if not k.startswith("pretrained") and k != "cache_dir"
    }
    return VisionTransformer(
        **{
            "img_size": size,
            "patch_size": PATCH,
            "embed_dim": WIDTH,
            "depth": 2,
            "num_heads": 2,
            "mlp_ratio": 2.5,
            "class_token": False,
            "global_pool": "map",
            "act_layer": act,
            **kwargs,
        }
    )


@register_model
def vit_tiny_patch8_siglip_32(pretrained=False, **kwargs):
    return _trunk(32, "gelu_tanh", kwargs)


@register_model
def vit_tiny_patch8_siglip_48(pretrained=False, **kwargs):
    return _trunk(48, "gelu", kwargs)


def make_clip(act="quick_gelu", *, text=(), vision=()):
    """transformers' CLIPModel, every weight of it random."""
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(0)
    config = CLIPConfig(
        text_config={**TEXT_CONFIG, "hidden_act": act, **dict(text)},
        vision_config={**VISION_CONFIG, "hidden_act": act, **dict(vision)},
        projection_dim=24,
    )
    return _shaken(CLIPModel(config))


def make_siglip(*, text=(), vision=()):
    """transformers' SiglipModel, every weight of it random."""
    from transformers import SiglipConfig, SiglipModel

    torch.manual_seed(0)
    config = SiglipConfig(
        text_config={**TEXT_CONFIG, "projection_size": WIDTH, **dict(text)},
        vision_config={**VISION_CONFIG, **dict(vision)},
    )
    return _shaken(SiglipModel(config))


def _shaken(model):
    """Biases start as zeros and norms as ones, where a mix-up would not show."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape))
    return model.eval()


def write_tokenizer(folder, words=400):
    """A word tokenizer in transformers' own format; its padding is the id 1."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {"<unk>": 0, "<pad>": 1, **{f"w{n}": n for n in range(2, words)}}
    vocabulary |= {word: 10 + n for n, word in enumerate("a photo of dog two red stars x".split())}
    for n in range(10, 18):
        del vocabulary[f"w{n}"]
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<pad>")
    fast.save_pretrained(folder)


def unigram(*, start=None, end=True, pieces=500):
    """A small tokenizer as T5 has it: padding 0, end 1, unknown 2, then SentencePiece's pieces."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
    from tokenizers.processors import TemplateProcessing
    from tokenizers.trainers import UnigramTrainer

    words = ["zebra cat dog photos left of the ring x a red kite star blue cross moon square 2 , !"]
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Replace(Regex(" {2,}"), " ")
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    special = ["<pad>", "</s>", "<unk>"]
    trainer = UnigramTrainer(
        vocab_size=pieces, special_tokens=special, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(words * 50, trainer)
    single = f"{start or ''} $A {'</s>' if end else ''}".strip()
    tokenizer.post_processor = TemplateProcessing(single=single, special_tokens=[("</s>", 1)])
    return tokenizer


def write_unigram(folder, *, start=None, end=True, padding="<pad>", padding_side="right"):
    """`unigram` in transformers' own format."""
    from transformers import PreTrainedTokenizerFast

    made = unigram(start=start, end=end)
    options = {"unk_token": "<unk>", "eos_token": "</s>", "pad_token": padding}
    fast = PreTrainedTokenizerFast(tokenizer_object=made, padding_side=padding_side, **options)
    fast.save_pretrained(folder)
