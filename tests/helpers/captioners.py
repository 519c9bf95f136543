"""Tiny image-to-text models of transformers, every weight random, saved as folders."""

import torch
from tokenizers.pre_tokenizers import ByteLevel

from tests.helpers.zero_shot import bert_tokenizer

CHAT = (
    "{% for turn in messages %}<|im_start|>{% for part in turn.content %}{% if part.type == "
    "'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}<|im_end|>{% endfor %}<|im_start|>"
)
QWEN_TOKENS = ("vision_start", "vision_end", "image_pad", "video_pad", "im_start", "im_end")


def letters(*special):
    """One token for every byte."""
    return {token: i for i, token in enumerate([*special, *sorted(ByteLevel.alphabet())])}


def save_florence2(folder):
    """Of 64 pixels, five image tokens."""
    import transformers

    torch.manual_seed(0)
    tokenizer = transformers.RobertaTokenizer(
        vocab=letters("<s>", "<pad>", "</s>", "<unk>"),
        merges=[],
        extra_special_tokens={"image_token": "<image>"},
    )
    text = transformers.BartConfig(
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        vocab_size=len(tokenizer),
        max_position_embeddings=128,
        forced_eos_token_id=None,
    )
    vision = {
        "depths": (1, 1, 1, 1),
        "embed_dim": (8, 8, 16, 16),
        "num_heads": (1, 1, 2, 2),
        "num_groups": (1, 1, 2, 2),
        "window_size": 4,
        "projection_dim": 16,
    }
    config = transformers.Florence2Config(
        text_config=text.to_dict(), vision_config=vision, image_token_id=tokenizer.image_token_id
    )
    model = transformers.Florence2ForConditionalGeneration(config)
    pictures = transformers.CLIPImageProcessor(
        size={"height": 64, "width": 64}, do_center_crop=False, image_seq_length=5
    )
    processor = transformers.Florence2Processor(
        pictures, tokenizer, post_processor_config={"pure_text": {}}
    )
    with torch.no_grad():  # else every picture gets the same caption
        for name, parameter in _shaken(model).named_parameters():
            if name.endswith(".bias") or "image_position_embed" in name:
                parameter.zero_()
            elif "encoder_attn" in name or "image_proj_norm" in name:
                parameter.mul_(5)
    return _saved(model, processor, folder)


def save_qwen2_vl(folder):
    """A chat model that gives a larger picture more tokens."""
    import transformers

    torch.manual_seed(0)
    names = [f"<|{name}|>" for name in QWEN_TOKENS]
    tokenizer = transformers.Qwen2Tokenizer(
        vocab=letters("<|endoftext|>", *names), merges=[], extra_special_tokens=names
    )
    ids = {f"{n}_token_id": tokenizer.convert_tokens_to_ids(f"<|{n}|>") for n in QWEN_TOKENS[:2]}
    config = transformers.Qwen2VLConfig(
        text_config={
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "vocab_size": len(tokenizer),
            "bos_token_id": 0,
            "eos_token_id": 0,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [2, 1, 1],
            },
        },
        vision_config={
            "depth": 1,
            "embed_dim": 16,
            "hidden_size": 16,
            "num_heads": 2,
            "patch_size": 14,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<|video_pad|>"),
        **ids,
    )
    model = transformers.Qwen2VLForConditionalGeneration(config)
    size = {"shortest_edge": 28 * 28, "longest_edge": 28 * 28 * 16}
    processor = transformers.Qwen2VLProcessor(
        transformers.Qwen2VLImageProcessor(size=size),
        tokenizer,
        transformers.Qwen2VLVideoProcessor(size=size),
        chat_template=CHAT,
    )
    return _saved(_shaken(model), processor, folder)


def save_blip(folder):
    """Of 32 pixels; a prompt is the beginning of the caption."""
    import transformers

    torch.manual_seed(0)
    tokenizer = bert_tokenizer()
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    config = transformers.BlipConfig(
        text_config={
            **sizes,
            "num_attention_heads": 2,
            "vocab_size": len(tokenizer),
            "encoder_hidden_size": 16,
            "bos_token_id": tokenizer.cls_token_id,
            "sep_token_id": tokenizer.sep_token_id,
            "eos_token_id": tokenizer.sep_token_id,
            "pad_token_id": 0,
        },
        vision_config={**sizes, "num_attention_heads": 2, "image_size": 32, "patch_size": 8},
        projection_dim=16,
        image_text_hidden_size=16,
    )
    model = transformers.BlipForConditionalGeneration(config)
    pictures = transformers.BlipImageProcessor(size={"height": 32, "width": 32})
    return _saved(_shaken(model), transformers.BlipProcessor(pictures, tokenizer), folder)


def _shaken(model):
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape))
    return model.eval()


def _saved(model, processor, folder):
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
