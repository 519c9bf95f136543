"""Tiny VLMs of transformers with random weights, each with a processor of its own, as folders."""

import torch

WORDS = "you are a system user assistant where what is the dog star red left of ? : unknown".split()
MARKS = "<pad> <begin> <end> <unk> <image> <|vision_start|> <|vision_end|> <|image_pad|>".split()
MARKS += ["<|video_pad|>"]
SYSTEM = "you are a system"
TEXT = {
    "vocab_size": len(MARKS) + len(WORDS),
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
IDS = {
    "image_token_id": MARKS.index("<|image_pad|>"),
    "video_token_id": MARKS.index("<|video_pad|>"),
    "vision_start_token_id": MARKS.index("<|vision_start|>"),
    "vision_end_token_id": MARKS.index("<|vision_end|>"),
}
ROPE = {"rope_type": "default", "rope_theta": 1e4}


def template(picture):
    """Of a chat: a system prompt, the picture and the words of a turn, and whose turn it is."""
    return (
        (
            "<begin> SYSTEM{% for m in messages %} {{ m['role'] }} :{% for c in m['content'] %}"
            "{% if c['type'] == 'image' %} PICTURE{% else %} {{ c['text'] }}{% endif %}"
            "{% endfor %}{% endfor %}{% if add_generation_prompt %} assistant :{% endif %}"
        )
        .replace("SYSTEM", SYSTEM)
        .replace("PICTURE", picture)
    )


def tokenizer():
    """Whole words, and a token of its own for each mark."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: n for n, word in enumerate([*MARKS, *WORDS])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.add_special_tokens(MARKS)
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="<unk>", pad_token="<pad>", eos_token="<end>"
    )


def _llava():
    from transformers import (
        CLIPImageProcessorPil,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    config = LlavaConfig(
        text_config={"model_type": "llama", **TEXT},
        vision_config={
            **{"model_type": "clip_vision_model", "hidden_size": 16, "intermediate_size": 32},
            **{"num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32},
            "patch_size": 8,
        },
        image_token_index=MARKS.index("<image>"),
        vision_feature_layer=-1,
    )
    pictures = CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    processor = LlavaProcessor(
        pictures,
        tokenizer(),
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template("<image>"),
    )
    return LlavaForConditionalGeneration(config), processor


def _qwen(version):
    import transformers
    from transformers import Qwen2VLImageProcessorPil

    name = f"Qwen{version}VL"
    sides = {"patch_size": 4, "temporal_patch_size": 2, "spatial_merge_size": 2}
    text = {**TEXT, "rope_parameters": {**ROPE, "mrope_section": [2, 1, 1]}}
    if version == 2:
        vision = {**sides, "depth": 2, "embed_dim": 16, "hidden_size": 32, "num_heads": 2}
    else:
        text["head_dim"] = 8
        vision = {
            **{**sides, "depth": 2, "hidden_size": 16, "out_hidden_size": 32, "num_heads": 2},
            **{"intermediate_size": 32, "num_position_embeddings": 16},
            "deepstack_visual_indexes": [0],
        }
    config = getattr(transformers, f"{name}Config")(text_config=text, vision_config=vision, **IDS)
    pictures = Qwen2VLImageProcessorPil(
        patch_size=4,
        merge_size=2,
        size={"shortest_edge": 8 * 8, "longest_edge": 48 * 48},
    )
    videos = getattr(transformers, f"Qwen{version}VLVideoProcessor")(patch_size=4, merge_size=2)
    processor = getattr(transformers, f"{name}Processor")(
        pictures,
        tokenizer(),
        videos,
        chat_template=template("<|vision_start|> <|image_pad|> <|vision_end|>"),
    )
    return getattr(transformers, f"{name}ForConditionalGeneration")(config), processor


def _blip2():
    from transformers import (
        Blip2Config,
        Blip2ForConditionalGeneration,
        Blip2Processor,
        BlipImageProcessorPil,
    )

    text = {key: value for key, value in TEXT.items() if "key_value" not in key}
    text |= {"model_type": "opt", "ffn_dim": 48, "word_embed_proj_dim": 32}
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    config = Blip2Config(
        text_config=text,
        vision_config={**small, "num_attention_heads": 2, "image_size": 32, "patch_size": 8},
        qformer_config={**small, "num_attention_heads": 2, "encoder_hidden_size": 16},
        num_query_tokens=4,
        image_token_index=MARKS.index("<image>"),
    )
    pictures = BlipImageProcessorPil(size={"height": 32, "width": 32})
    return Blip2ForConditionalGeneration(config), Blip2Processor(pictures, tokenizer(), 4)


OTHERS = {"blip2": _blip2}
KINDS = {"llava": _llava, "qwen2": lambda: _qwen(2), "qwen3": lambda: _qwen(3)}


@torch.no_grad()
def save_vlm(kind, folder):
    """Weights of a size at which heads differ from each other and from an even look."""
    torch.manual_seed(0)
    model, processor = {**KINDS, **OTHERS}[kind]()
    for name, weight in model.named_parameters():
        if weight.ndim > 1:
            weight.normal_(std=weight[0].numel() ** -0.5 * (2 if "_proj" in name else 1))
        else:
            weight.add_(0.1 * torch.randn(weight.shape))
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
